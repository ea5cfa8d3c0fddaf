"""Brokers and mongods of a cluster die under load: nothing acknowledged is lost, writes are back
within 20 s, and no service is started again."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final, NamedTuple

import pytest
from pymongo import MongoClient

from deploy.lag import Installation as Addresses
from deploy.local.installation import Installation, installation
from deploy.local.server import Server, start_together
from deploy.local.servers import servers
from deploy.topics import IN_SYNC, Topic, TopicNotAsWanted, ensure_topics
from shared.access import Role
from shared.contracts.base import FactId
from tests.chaos.oracle import Acknowledged, settled, violations
from tests.cluster import faults
from tests.cluster.load import Ledger, Person, load
from tests.conftest import TOWNS
from tests.journeys.conftest import WISH, log_of, until

pytestmark = pytest.mark.stack

NAME: Final = "cluster"
WRITERS: Final = ("intake", "dispatch")
BACK_SECONDS: Final = 20.0
"""Promised: so long may nobody's write be acknowledged."""
AGAIN_SECONDS: Final = 120.0
"""Not promised, waited for: until what is written then is seen by readers."""
WARM: Final = 12


class Cluster(NamedTuple):
    """The installation, all that was acknowledged in it, and the processes it began with."""

    place: Installation
    ledger: Ledger
    pids: dict[str, int]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers, a replica set of three, two instances of each service."""
    folder = tmp_path_factory.mktemp("cluster")
    began = time.monotonic()
    with servers(folder / "servers", nodes=faults.NODES) as own:
        with installation(own, folder, name=NAME, instances=2) as place:
            print(f"\nthe cluster is up after {time.monotonic() - began:.1f} s")
            yield Cluster(place, Ledger(), _pids(place))
        for server in (*own.kafka_servers, *own.mongo_servers):
            server.kill()  # nothing of it is needed any more


def test_the_primary_steps_down(cluster: Cluster) -> None:
    _rehearse(cluster, "step-down of the primary", lambda: faults.step_down(cluster.place))


def test_the_primary_is_killed(cluster: Cluster) -> None:
    _rehearse(cluster, "kill of the primary", _killed(faults.primary(cluster.place)))


def test_the_broker_that_leads_facts_and_controls_is_killed(cluster: Cluster) -> None:
    broker = faults.controller(cluster.place)
    assert asyncio.run(faults.leads(cluster.place, broker)) > 0
    _rehearse(cluster, "kill of the controller", _killed(broker))


def test_the_broker_that_coordinates_readers_is_killed(cluster: Cluster) -> None:
    broker = asyncio.run(faults.coordinator(cluster.place, _reading(cluster.place)))
    _rehearse(cluster, "kill of the coordinator", _killed(broker))


def test_without_two_brokers_wishes_are_taken_in_and_told_later(cluster: Cluster) -> None:
    dead = cluster.place.servers.kafka_servers[:2]
    for broker in dead:
        broker.kill()
    began = time.monotonic()
    with closing(Person(cluster.place, cluster.ledger, Role.RESIDENT, "wx-brokers")) as resident:
        said = [
            resident.insist("intake", "/v1/wishes", {**WISH, "words": f"{n}"}, f"brokers-{n}")
            for n in range(10)
        ]
        taken = time.monotonic() - began
        start_together(dead)
        began = time.monotonic()
        until(lambda: all(_opened(resident, each) for each in said), AGAIN_SECONDS)
        seen = time.monotonic() - began
    print(
        f"\ntwo brokers dead: 10 taken in within {taken:.1f} s; seen {seen:.1f} s after the return"
    )
    assert taken < BACK_SECONDS
    faults.wait_until_whole(cluster.place)


def test_without_a_majority_a_write_is_refused_with_its_key_and_done_once_later(
    cluster: Cluster,
) -> None:
    leads = faults.primary(cluster.place)
    others = [each for each in cluster.place.servers.mongo_servers if each is not leads]
    wish, key = {**WISH, "words": "two mongods"}, "two-mongods"
    refused = []
    with closing(Person(cluster.place, cluster.ledger, Role.RESIDENT, "wx-mongods")) as resident:

        def refuse(why: str) -> None:
            began = time.monotonic()
            request: dict[str, Any] = {"json": wish, "headers": {"Idempotency-Key": key}}
            answer = resident.once("intake", "/v1/wishes", **request)
            assert answer is not None
            assert answer.status_code == 503
            assert answer.headers["Idempotency-Key"] == key
            seconds = time.monotonic() - began
            refused.append(f"{why}: {answer.json()['code']} after {seconds:.1f} s")

        with faults.behind(others):
            refuse("two are behind")
            refuse("sent again")  # it meets what the primary alone has of the first
        for mongod in others:
            mongod.kill()
        refuse("two are dead")
        start_together(others)
        began = time.monotonic()
        said = resident.insist("intake", "/v1/wishes", wish, key)
        back = time.monotonic() - began
        until(lambda: _opened(resident, said), AGAIN_SECONDS)
    print(f"\n{'; '.join(refused)}; written {back:.1f} s after the return")
    assert back < BACK_SECONDS
    faults.wait_until_whole(cluster.place)


async def test_a_majority_of_copies_acknowledges_and_less_fails_the_topics_job(
    cluster: Cluster,
) -> None:
    kafka, prefix = cluster.place.servers.kafka, cluster.place.environment["WISHGRID_TOPIC_PREFIX"]
    beside = Topic("beside", partitions=1)
    await ensure_topics(kafka, faults.NODES, prefix=prefix, topics=[beside])
    await faults.configure(cluster.place, f"{prefix}beside", {IN_SYNC: "1"})
    with pytest.raises(TopicNotAsWanted, match=f"{IN_SYNC} is 1, wanted 2"):
        await ensure_topics(kafka, faults.NODES, prefix=prefix, topics=[beside])
    assert await faults.configured(cluster.place, "__consumer_offsets", IN_SYNC) == "2"


async def test_in_the_end_nothing_acknowledged_is_lost_or_doubled(cluster: Cluster) -> None:
    place, ledger = cluster.place, cluster.ledger
    prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
    where = Addresses(place.servers.kafka, place.servers.mongo, f"wishgrid{NAME}", prefix)
    await settled(where, TOWNS, AGAIN_SECONDS)
    told = [Acknowledged(ack.service, FactId(ack.position), None) for ack in ledger.acks]
    assert await violations(where, TOWNS, told) == []
    assert len({ack.position for ack in ledger.acks}) == len({ack.key for ack in ledger.acks})
    wishes = {ack.position for ack in ledger.acks if ack.position.startswith("wish-")}
    assert set(_begun(place)) <= wishes, "a wish that was sent again under its key is there twice"
    assert _pids(place) == cluster.pids, "no service was started again"
    assert "a background job died" not in "".join(log_of(place, each) for each in place.services)
    print(f"\n{len(told)} writes acknowledged; instead was heard {dict(ledger.heard)}")


def _rehearse(cluster: Cluster, name: str, fault: Callable[[], object]) -> None:
    """The fault under load: what clients see of it, and that the cluster becomes whole again."""
    place, ledger = cluster.place, cluster.ledger
    key = name.replace(" ", "-")
    with (
        closing(Person(place, ledger, Role.RESIDENT, "wx-probe")) as resident,
        load(place, ledger, key),
    ):
        _go_on(ledger, WARM)
        began = time.monotonic()
        fault()
        said = resident.insist("intake", "/v1/wishes", {**WISH, "words": name}, f"{key}-probe")
        until(lambda: _opened(resident, said), AGAIN_SECONDS)
        seen = time.monotonic() - began
        for server in (*place.servers.kafka_servers, *place.servers.mongo_servers):
            if not server.process.alive():
                server.start()
        faults.wait_until_whole(place)
        _go_on(ledger, WARM)
        outages = {each: ledger.outage(f"{each}-{key}", began) for each in WRITERS}
    told = ", ".join(f"{service} {seconds:.1f} s" for service, seconds in outages.items())
    print(f"\n{name}: longest without a write: {told}; new facts seen after {seen:.1f} s")
    assert max(outages.values()) <= BACK_SECONDS


def _go_on(ledger: Ledger, more: int) -> None:
    """Return when so many more writes of each service are acknowledged."""
    before = Counter(ack.service for ack in tuple(ledger.acks))

    def enough() -> bool:
        now = Counter(ack.service for ack in tuple(ledger.acks))
        return all(now[each] >= before[each] + more for each in WRITERS)

    until(enough, AGAIN_SECONDS)


def _killed(server: Server) -> Callable[[], None]:
    return server.kill


def _opened(reader: Person, said: dict[str, Any]) -> bool:
    return reader.sees(said["story"], said["position"], "opened")


def _pids(place: Installation) -> dict[str, int]:
    return {
        each.process.name: each.process.pid for each in place.instances() if each.process.alive()
    }


def _reading(place: Installation) -> str:
    """The consumer group of the read model that is read."""

    with MongoClient[dict[str, Any]](place.servers.mongo) as client:
        alias = client[f"wishgrid{NAME}_views"]["alias"].find_one({"_id": "reading"})
    assert alias is not None
    return f"wishgrid.projections.{alias['generation']}"


def _begun(place: Installation) -> Iterator[str]:
    """Where each wish there is begins."""
    with MongoClient[dict[str, Any]](place.servers.mongo) as client:
        for commit in client[f"wishgrid{NAME}_intake"]["commits"].find({"first": 1}):
            yield f"{commit['stream']}@1"
