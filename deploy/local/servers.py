"""The Kafka and the MongoDB that the suite needs: started together, or taken from addresses."""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import AUTHORITY
from deploy.local.kafka import CERTIFICATES, start_kafka
from deploy.local.mongod import start_members, together
from deploy.local.server import Server
from deploy.rights.passwords import Passwords
from deploy.rights.table import ADMIN
from shared.kafka_access import KafkaAccess


@dataclass(frozen=True)
class Servers:
    """How to get into Kafka, and where MongoDB (URI) answers.

    `kafka_servers` and `mongo_servers` are there to be killed and restarted; none if not ours.
    """

    kafka: KafkaAccess
    mongo: str
    kafka_servers: tuple[Server, ...] = ()
    mongo_servers: tuple[Server, ...] = ()
    passwords: Passwords | None = None
    """Of Kafka's users, where it asks for them: `kafka` then is the admin's way in, once the
    rights job has run."""
    outside: KafkaAccess | None = None
    """Where a secure Kafka answers partners, by TLS; as whom is theirs to add."""

    @property
    def kafka_server(self) -> Server | None:
        """The one there is, or the first."""
        return next(iter(self.kafka_servers), None)

    @property
    def mongo_server(self) -> Server | None:
        """The one there is, or the first."""
        return next(iter(self.mongo_servers), None)


@contextmanager
def servers(
    folder: Path | None = None,
    *,
    kafka: KafkaAccess | None = None,
    mongo: str | None = None,
    secure: bool = False,
    nodes: int = 1,
) -> Iterator[Servers]:
    """Both servers, taking requests; what was started here is ended when the context is left.

    Data is in `folder` and stays there, without one in a temporary folder that is removed.
    An address that is given is used as it is. A `secure` Kafka lets nobody in without a password.
    `nodes`: brokers, and members of the replica set.
    """
    with ExitStack() as ending:
        home = folder or Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="wishgrid-")))
        pool = ending.enter_context(ThreadPoolExecutor(max_workers=2))
        passwords = Passwords(home / "passwords") if secure and not kafka else None
        if passwords is not None:
            passwords.ensure(())
        kafka_start = (
            None
            if kafka
            else pool.submit(start_kafka, home / "kafka", passwords=passwords, nodes=nodes)
        )
        mongo_start = None if mongo else pool.submit(start_members, home / "mongo", nodes)
        ending.callback(_stop, [each for each in (kafka_start, mongo_start) if each], pool)
        brokers = kafka_start.result() if kafka_start else ()
        members = mongo_start.result() if mongo_start else ()
        access = kafka or KafkaAccess(",".join(broker.address for broker in brokers))
        yield Servers(
            kafka=access if passwords is None else passwords.access(access, ADMIN),
            mongo=together(members) if members else str(mongo),
            kafka_servers=brokers,
            mongo_servers=members,
            passwords=passwords,
            outside=_outside(brokers),
        )


def _outside(brokers: Sequence[Server]) -> KafkaAccess | None:
    there = [broker.outside for broker in brokers if broker.outside is not None]
    if not there:
        return None
    certificates = brokers[0].process.log.parent / CERTIFICATES
    return KafkaAccess(",".join(there), ca_file=certificates / AUTHORITY)


def _stop(starts: list[Future[tuple[Server, ...]]], pool: ThreadPoolExecutor) -> None:
    """All at once: a broker hands over what it leads while others still live."""
    for each in starts:
        for server in each.result() if each.exception() is None else ():
            server.process.ask_to_end()
    for each in starts:
        list(pool.map(Server.stop, each.result() if each.exception() is None else ()))
