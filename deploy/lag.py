"""How far everybody who reads or relays facts is behind, told from outside the services."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaError,
)
from aiokafka.structs import TopicPartition
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from deploy.kafka_door import why_not
from services.projections.roll import Roll
from shared.backlog import unpublished_seconds
from shared.kafka import FACTS, INBOUND
from shared.kafka_access import KafkaAccess
from shared.mongo import Client, connect, database
from shared.serving import answers

STORES: Final = ("intake", "dispatch")
COORDINATOR_SECONDS: Final = 10.0


class Away(Exception):
    """A server does not answer, or has not what is asked for; the message is one sentence."""


@dataclass(frozen=True)
class Place:
    """One partition as one consumer has read it: up to `read` of `end`, both offsets; `start` is
    the first there still is."""

    topic: str
    partition: int
    end: int
    read: int
    start: int = 0

    @property
    def lag(self) -> int:
        """Records it has not read."""
        return max(self.end - self.read, 0)


@dataclass(frozen=True)
class Installation:
    """Where an installation is and how its names begin."""

    kafka: KafkaAccess
    mongo: str
    database_prefix: str
    topic_prefix: str
    facts: str = FACTS
    """The topic of facts, named without the prefix."""

    @property
    def groups(self) -> dict[str, str]:
        """Consumer groups whose offsets are Kafka's, and the pattern of the topics they read."""
        return {
            "wishgrid.intake.reactions": re.escape(self.facts),
            "wishgrid.dispatch.reactions": re.escape(self.facts),
            "wishgrid.intake.gate": INBOUND,
        }


@dataclass(frozen=True)
class Lag:
    """By consumer (a group, or the generation of a read model) its places, and by store the age
    in seconds of the oldest commit that was not relayed."""

    consumers: Mapping[str, Sequence[Place]]
    relays: Mapping[str, float]
    generations: Mapping[str, str] = field(default_factory=dict)
    """The state of each consumer that is a generation: building, reading or kept."""

    def as_json(self) -> dict[str, Any]:
        """For machines; `lag` of a consumer is the sum over its partitions."""
        return {
            "consumers": {
                name: {
                    "lag": sum(place.lag for place in places),
                    "partitions": [{**vars(place), "lag": place.lag} for place in places],
                }
                for name, places in self.consumers.items()
            },
            "generations": dict(self.generations),
            "relays": {store: {"unpublished_seconds": s} for store, s in self.relays.items()},
        }


async def measure(place: Installation) -> Lag:
    """How it is now. Raises Away."""
    client = connect(place.mongo)
    try:
        if not await answers(client):
            raise Away(f"MongoDB at {_hosts(place.mongo)} does not answer")
        relays = {
            store: await unpublished_seconds(database(client, f"{place.database_prefix}_{store}"))
            for store in STORES
        }
        read_models, states = await _read_models(client, place)
    except PyMongoError as failed:
        raise Away(
            f"MongoDB at {_hosts(place.mongo)} does not answer: {type(failed).__name__}"
        ) from None
    finally:
        client.close()
    try:
        return Lag(await _consumers(place, read_models), relays, states)
    except KafkaError as failed:
        raise Away(await why_not(place.kafka, failed)) from None


async def _read_models(
    client: Client, place: Installation
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Per generation of read models what it says itself (topic and partition, next offset), and
    its state."""
    roll = Roll(database(client, f"{place.database_prefix}_views"))
    models: dict[str, dict[str, int]] = {}
    states: dict[str, str] = {}
    for generation in await roll.there():
        name = f"wishgrid.projections.{generation['_id']}"
        offsets = roll.database(generation["_id"])["offsets"].find()
        models[name] = {d["_id"]: d["next"] async for d in offsets}
        states[name] = str(generation["state"])
    return models, states


async def _consumers(
    place: Installation, read_models: Mapping[str, Mapping[str, int]]
) -> dict[str, list[Place]]:
    partitions, committed = await _topics_and_offsets(place)
    facts = [p for p in partitions if p.topic == place.topic_prefix + place.facts]
    if not facts:
        raise Away(f"there is no topic {place.topic_prefix + place.facts}: run `wishgrid topics`")
    starts, ends = await extents(place, partitions)

    def placed(partition: TopicPartition, read: int | None) -> Place:
        """Who never said where it is begins at the first record there still is."""
        start, end = starts[partition], ends[partition]
        return Place(partition.topic, partition.partition, end, max(start, read or 0), start)

    consumers = {
        name: [placed(p, offsets.get(f"{p.topic}:{p.partition}")) for p in facts]
        for name, offsets in read_models.items()
    }
    for group, reads in place.groups.items():
        pattern = re.compile(re.escape(place.topic_prefix) + reads)
        heard = [p for p in partitions if pattern.fullmatch(p.topic)]
        if heard:  # nobody is behind on topics that do not exist
            consumers[group] = [placed(p, committed[group].get(p)) for p in heard]
    return consumers


async def _topics_and_offsets(
    place: Installation,
) -> tuple[list[TopicPartition], dict[str, dict[TopicPartition, int]]]:
    """The partitions that are read, and per group what it committed in Kafka."""
    read = re.compile(f"{re.escape(place.topic_prefix)}(?:{'|'.join({*place.groups.values()})})")
    admin = AIOKafkaAdminClient(**place.kafka.options())
    try:
        await admin.start()
        names = [name for name in await admin.list_topics() if read.fullmatch(name)]
        topics = await admin.describe_topics(names) if names else []
        found = {
            group: await _committed(admin, place.topic_prefix + group) for group in place.groups
        }
    finally:
        await admin.close()
    partitions = [
        TopicPartition(topic["topic"], partition["partition"])
        for topic in topics
        for partition in topic["partitions"]
    ]
    committed = {
        group: {p: o.offset for p, o in offsets.items() if o.offset >= 0}
        for group, offsets in found.items()
    }
    return sorted(partitions), committed


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, Any]:
    """What the group committed; a cluster that never had a group needs a moment to begin."""
    deadline = time.monotonic() + COORDINATOR_SECONDS
    while True:
        try:
            found: dict[TopicPartition, Any] = await admin.list_consumer_group_offsets(group)
        except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            return found


async def extents(
    place: Installation, partitions: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Of each partition the first record's offset, and one past the last one's."""
    consumer = AIOKafkaConsumer(**place.kafka.options())
    try:
        await consumer.start()
        return (
            await consumer.beginning_offsets(partitions),
            await consumer.end_offsets(partitions),
        )
    finally:
        await consumer.stop()


def _hosts(uri: str) -> str:
    """The hosts of a URI that may hold a password."""
    return ",".join(f"{host}:{port}" for host, port in parse_uri(uri)["nodelist"])
