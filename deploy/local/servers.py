"""The two servers the suite needs: started together, or taken from given addresses."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import AUTHORITY
from deploy.local.kafka import CERTIFICATES, start_kafka
from deploy.local.mongod import start_mongod
from deploy.local.server import Server
from deploy.rights.passwords import Passwords
from deploy.rights.table import ADMIN
from shared.kafka_access import KafkaAccess


@dataclass(frozen=True)
class Servers:
    """How to get into Kafka, and where MongoDB (URI) answers.

    `kafka_server` and `mongo_server` are there to be killed and restarted; None if not ours.
    """

    kafka: KafkaAccess
    mongo: str
    kafka_server: Server | None = None
    mongo_server: Server | None = None
    passwords: Passwords | None = None
    """Of Kafka's users, where it asks for them: `kafka` then is the admin's way in, once the
    rights job has run."""
    outside: KafkaAccess | None = None
    """Where a secure Kafka answers partners, by TLS; as whom is theirs to add."""


@contextmanager
def servers(
    folder: Path | None = None,
    *,
    kafka: KafkaAccess | None = None,
    mongo: str | None = None,
    secure: bool = False,
) -> Iterator[Servers]:
    """Both servers, taking requests; what was started here is ended when the context is left.

    Data is in `folder` and stays there, without one in a temporary folder that is removed.
    An address that is given is used as it is. A `secure` Kafka lets nobody in without a password.
    """
    with ExitStack() as ending:
        home = folder or Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="wishgrid-")))
        pool = ending.enter_context(ThreadPoolExecutor(max_workers=2))
        passwords = Passwords(home / "passwords") if secure and not kafka else None
        if passwords is not None:
            passwords.ensure(())
        kafka_start = (
            None if kafka else pool.submit(start_kafka, home / "kafka", passwords=passwords)
        )
        mongo_start = None if mongo else pool.submit(start_mongod, home / "mongo")
        ending.callback(_stop, [each for each in (kafka_start, mongo_start) if each], pool)
        kafka_server = kafka_start.result() if kafka_start else None
        mongo_server = mongo_start.result() if mongo_start else None
        access = kafka or KafkaAccess(kafka_server.address if kafka_server else "")
        yield Servers(
            kafka=access if passwords is None else passwords.access(access, ADMIN),
            mongo=mongo_server.address if mongo_server else str(mongo),
            kafka_server=kafka_server,
            mongo_server=mongo_server,
            passwords=passwords,
            outside=_outside(kafka_server),
        )


def _outside(kafka: Server | None) -> KafkaAccess | None:
    if kafka is None or kafka.outside is None:
        return None
    certificates = kafka.process.log.parent / CERTIFICATES
    return KafkaAccess(kafka.outside, ca_file=certificates / AUTHORITY)


def _stop(starts: list[Future[Server]], pool: ThreadPoolExecutor) -> None:
    started = [each.result() for each in starts if each.exception() is None]
    list(pool.map(Server.stop, started))
