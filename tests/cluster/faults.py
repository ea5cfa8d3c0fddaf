"""Who leads what in a cluster of this machine, and when it is whole again."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.local.installation import Installation
from deploy.local.server import Server
from shared.kafka import FACTS

NODES: Final = 3
WHOLE_SECONDS: Final = 180.0


def step_down(place: Installation) -> None:
    """The primary lets another one lead."""
    with MongoClient[dict[str, Any]](place.servers.mongo) as client:
        client.admin.command("replSetStepDown", 30)


def primary(place: Installation) -> Server:
    """The member that takes writes."""
    with MongoClient[dict[str, Any]](place.servers.mongo) as client:
        client.admin.command("ping")
        address = client.primary
    assert address is not None
    (found,) = (s for s in place.servers.mongo_servers if f":{address[1]}/" in s.address)
    return found


@contextmanager
def behind(members: Sequence[Server]) -> Iterator[None]:
    """These follow the primary no further during the block, and still say that they live."""
    _stand_still(members, "alwaysOn")
    try:
        yield
    finally:
        _stand_still(members, "off")


def controller(place: Installation) -> Server:
    """The broker that leads the quorum of controllers: by their logs, nobody else says."""
    brokers = [each for each in place.servers.kafka_servers if each.process.alive()]
    (found,) = (each for each in brokers if _last_role(each) == "Leader")
    return found


async def coordinator(place: Installation, group: str) -> Server:
    """The broker that coordinates a consumer group."""
    async with _admin(place) as admin:
        node: int = await admin.find_coordinator(_named(place, group))
    return place.servers.kafka_servers[node - 1]


async def leads(place: Installation, broker: Server) -> int:
    """How many partitions of facts a broker leads."""
    node = place.servers.kafka_servers.index(broker) + 1
    return [p["leader"] for p in await _partitions(place, _named(place, FACTS))].count(node)


async def configure(place: Installation, topic: str, settings: dict[str, str]) -> None:
    """Change settings of a topic."""
    async with _admin(place) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])


async def configured(place: Installation, topic: str, setting: str) -> str:
    """A setting of a topic, its own or the brokers'."""
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, {setting: None})
    async with _admin(place) as admin:
        (answer,) = await admin.describe_configs([asked])
    ((resource,),) = (answer.to_object()["resources"],)
    (entry,) = resource["config_entries"]
    return str(entry["config_value"])


def wait_until_whole(place: Installation) -> None:
    """Return when every copy of everything is in sync and every mongod follows or leads."""
    deadline = time.monotonic() + WHOLE_SECONDS
    while not (_mongo_is_whole(place) and asyncio.run(_kafka_is_whole(place))):
        assert time.monotonic() < deadline, "the cluster did not become whole"
        time.sleep(0.2)


def _mongo_is_whole(place: Installation) -> bool:
    try:
        with MongoClient[dict[str, Any]](place.servers.mongo) as client:
            members = client.admin.command("replSetGetStatus")["members"]
    except PyMongoError:
        return False
    states = sorted(member["stateStr"] for member in members)
    return states == ["PRIMARY", *["SECONDARY"] * (NODES - 1)]


async def _kafka_is_whole(place: Installation) -> bool:
    try:
        facts = await _partitions(place, _named(place, FACTS))
        groups = await _partitions(place, "__consumer_offsets")
    except KafkaError:
        return False
    return all(len(each["isr"]) == NODES for each in (*facts, *groups))


async def _partitions(place: Installation, topic: str) -> list[dict[str, Any]]:
    async with _admin(place) as admin:
        (described,) = await admin.describe_topics([topic])
    found: list[dict[str, Any]] = described["partitions"]
    return found


@asynccontextmanager
async def _admin(place: Installation) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**place.servers.kafka.options())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


def _stand_still(members: Sequence[Server], mode: str) -> None:
    for member in members:
        with MongoClient[dict[str, Any]](member.address, directConnection=True) as client:
            client.admin.command("configureFailPoint", "stopReplProducer", mode=mode)


def _named(place: Installation, name: str) -> str:
    return place.environment["WISHGRID_TOPIC_PREFIX"] + name


def _last_role(broker: Server) -> str:
    """What it last became in the quorum."""
    roles = re.findall(r"RaftManager .* Completed transition to ([A-Za-z]+)", broker.process.said())
    return str(roles[-1]) if roles else ""
