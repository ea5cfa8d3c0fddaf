"""The facts of the event stores published again, byte for byte as the relays sent them.

Stream by stream in the order of versions, of each story what intake recorded before what dispatch
did. Who has read a fact drops its repeat. What partners were answered is not sent again.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from pymongo.errors import PyMongoError

from deploy.lag import Away, Installation
from deploy.topics import FACTS_TOPIC, TopicNotAsWanted, ensure_topics
from deploy.verify.stores import STORES, Told, told_stories, told_story
from shared.backlog import LEASES, RELAY
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded, to_wire
from shared.kafka import FACTS_BEGIN, abandon, fact_producer
from shared.kafka_access import KafkaAccess
from shared.mongo import Client, connect, database
from shared.mongo_store import COMMITS
from shared.sending import PATIENCE_SECONDS, acknowledged

AT_A_TIME: Final = 2000
"""So many facts are sent before all of them are waited for."""
_TOPIC_NAME: Final = rf"{re.escape(FACTS_BEGIN)}[a-zA-Z0-9._-]{{1,200}}"


class NotRepublished(Exception):
    """It cannot be done, or would do harm; the message is one sentence."""


@dataclass(frozen=True)
class Wanted:
    """What is to be published: one story, or (None) all. `into`: another topic than that of the
    facts, named without the installation's prefix. `again`: an interrupted run filled it."""

    story: StoryId | None = None
    into: str | None = None
    again: bool = False
    replication: int = 1


Progress = Callable[[int, int], None]
"""Is told how many facts Kafka has acknowledged, and of how many."""


async def republish(place: Installation, wanted: Wanted, progress: Progress) -> tuple[int, str]:
    """How many facts were published, and into which topic. To be repeated at will: it begins
    anew and only repeats. Raises NotRepublished, Away."""
    mongo = connect(place.mongo)
    try:
        if wanted.into is not None and wanted.story is None:
            await _check_nobody_relays(mongo, place)
        topic = await _topic(place, wanted)
        stories = _stories(mongo, place.database_prefix, wanted.story)
        total = 0 if wanted.story else await _total(mongo, place.database_prefix)
        return await _publish(place.kafka, topic, stories, lambda n: progress(n, total)), topic
    except KafkaError as away:
        raise Away(f"Kafka at {place.kafka} does not answer: {type(away).__name__}") from away
    except PyMongoError as away:
        raise Away(f"MongoDB does not answer: {type(away).__name__}") from away
    finally:
        mongo.close()


async def _topic(place: Installation, wanted: Wanted) -> str:
    """The full name of the topic to publish into, which is there and as it must be."""
    if wanted.into is None:
        topic = place.topic_prefix + place.facts
        if await _records(place.kafka, topic) is None:
            raise NotRepublished(f"there is no topic {topic}: run `wishgrid topics` first")
        return topic
    if not re.fullmatch(_TOPIC_NAME, wanted.into):
        raise NotRepublished(f"{wanted.into!r} is no name for it: it must begin with {FACTS_BEGIN}")
    topic = place.topic_prefix + wanted.into
    records = await _records(place.kafka, topic)
    if records and wanted.story is None and not wanted.again:
        raise NotRepublished(
            f"{topic} holds {records} records: name a new topic, or say --again if an "
            f"interrupted run put them there"
        )
    try:
        as_facts = replace(FACTS_TOPIC, name=topic)
        await ensure_topics(place.kafka, wanted.replication, topics=[as_facts])
    except TopicNotAsWanted as wrong:
        raise NotRepublished(f"{topic} cannot be a topic of facts: {wrong}") from wrong
    return topic


async def _records(kafka: KafkaAccess, topic: str) -> int | None:
    """How many records a topic holds; None where there is no such topic."""
    admin = AIOKafkaAdminClient(**kafka.options())
    consumer = AIOKafkaConsumer(**kafka.options())
    try:
        await admin.start()
        if topic not in await admin.list_topics():
            return None
        (described,) = await admin.describe_topics([topic])
        partitions = [TopicPartition(topic, p["partition"]) for p in described["partitions"]]
        await consumer.start()
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        return sum(int(ends[p] - begins[p]) for p in partitions)
    finally:
        await consumer.stop()
        await admin.close()


async def _check_nobody_relays(mongo: Client, place: Installation) -> None:
    """What a relay publishes into the old topic meanwhile would be missing in the new one."""
    held = {"_id": RELAY, "$expr": {"$gt": ["$until", "$$NOW"]}}
    for service in STORES.values():
        leases = database(mongo, f"{place.database_prefix}_{service}")[LEASES]
        if lease := await leases.find_one(held):
            raise NotRepublished(
                f"{lease['owner']} is relaying: stop {' and '.join(STORES.values())} first, or "
                f"what they publish meanwhile is missing in the new topic"
            )


async def _stories(mongo: Client, prefix: str, story: StoryId | None) -> AsyncIterator[Told]:
    if story is None:
        async for told in told_stories(mongo, prefix):
            yield told
        return
    one = await told_story(mongo, prefix, story)
    if not one.facts and not one.findings:
        raise NotRepublished(f"there is no story {story} in the event stores")
    yield one


async def _total(mongo: Client, prefix: str) -> int:
    """How many facts the stores hold."""
    total = 0
    for service in STORES.values():
        count = {"$group": {"_id": None, "facts": {"$sum": {"$size": "$facts"}}}}
        async for found in database(mongo, f"{prefix}_{service}")[COMMITS].aggregate([count]):
            total += found["facts"]
    return total


async def _publish(
    kafka: KafkaAccess,
    topic: str,
    stories: AsyncIterator[Told],
    progress: Callable[[int], None],
) -> int:
    producer = fact_producer(kafka, "republish")
    published, facts = 0, list[Recorded]()
    try:
        await producer.start()
        async for told in stories:
            if told.findings:
                raise NotRepublished(
                    f"{told.findings[0]}: mend the store first (`wishgrid verify` tells all)"
                )
            facts += told.facts
            if len(facts) >= AT_A_TIME:
                published += await _send(producer, topic, facts)
                progress(published)
                facts = []
        published += await _send(producer, topic, facts)
        progress(published)
        return published
    finally:
        await abandon(producer)


async def _send(producer: AIOKafkaProducer, topic: str, facts: Sequence[Recorded]) -> int:
    """All of them, acknowledged. Raises KafkaError."""
    sent: list[asyncio.Future[object]] = []
    try:
        for recorded in facts:
            key, value, headers = to_wire(recorded)
            sent.append(await producer.send(topic, value, key=key, headers=headers))
        await acknowledged(sent, PATIENCE_SECONDS)
    finally:
        for each in sent:
            each.cancel()
    return len(sent)
