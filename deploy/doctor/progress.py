"""Whether everything that moves is moving: relays, readers, stories, the read model."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.doctor.faults import Diagnosis
from deploy.lag import Away, Installation, Place, measure
from services.projections.build import Build
from services.projections.positions import ce_id
from services.projections.roll import KEPT, Roll
from shared.breaker import STOPS
from shared.mongo import Client, Collection, Document, database
from shared.town import Towns

WRITERS: Final = ("intake", "dispatch")
ANSWER_SECONDS: Final = 10.0
LATE_SECONDS: Final = 30.0
"""How long a commit may wait for Kafka: a relay's lease is over after a few seconds."""
LATELY_DAYS: Final = 7
"""A refusal is for ever: only what is new is to be looked at."""


async def look_at_progress(
    mongo: Client, place: Installation, towns: Towns | None, found: Diagnosis
) -> None:
    """Relays, readers, parked stories, refused reactions, the read model being read."""
    try:
        lag = await measure(place)
        members = await asyncio.to_thread(_members, place, lag.consumers)
    except (Away, KafkaException) as gone:
        found.unseen.append(f"how far readers and relays are: {gone}")
        return
    for service, seconds in lag.relays.items():
        if seconds > LATE_SECONDS:
            found.add("relay-behind", service=service, seconds=round(seconds))
    for group, places in lag.consumers.items():
        if lag.generations.get(group) == KEPT:
            continue  # builds that do not write it leave it as it is, until it is dropped
        if (behind := sum(each.lag for each in places)) and not members[group]:
            found.add("reader-gone", lag=behind, group=group, service=group.split(".")[1])
    for service in WRITERS:
        home = database(mongo, f"{place.database_prefix}_{service}")
        _look_at_stops(await home[STOPS].find().to_list(None), service, found)
        await _look_at_parked(home["parked"], f"the reactions of {service}", found)
        await _look_at_refused(home["issues"], service, found)
    await _look_at_read_model(mongo, place, towns, lag.consumers, found)


def _members(place: Installation, groups: Iterable[str]) -> dict[str, int]:
    """How many processes read for each group now. By librdkafka: aiokafka's admin client cannot
    read what this Kafka answers for more than one group. Raises KafkaException."""
    admin = AdminClient({**place.kafka.librdkafka(), "log_level": 0})
    asked = admin.describe_consumer_groups(
        [place.topic_prefix + group for group in groups], request_timeout=ANSWER_SECONDS
    )
    return {
        name.removeprefix(place.topic_prefix): len(answer.result().members)
        for name, answer in asked.items()
    }


def _look_at_stops(stops: Iterable[Document], service: str, found: Diagnosis) -> None:
    for each in stops:
        where = f"{each['reader']} of {service}, on {each['instance']}"
        since = f"{each['since']:%Y-%m-%d %H:%M} UTC"
        found.add("reader-stands-still", where=where, since=since, why=each["why"])


async def _look_at_parked(parked: Collection, where: str, found: Diagnosis) -> None:
    if count := await parked.count_documents({}):
        found.add("stories-parked", count=count, where=where)


async def _look_at_refused(issues: Collection, service: str, found: Diagnosis) -> None:
    lately = {"noted": {"$gt": datetime.now(UTC) - timedelta(days=LATELY_DAYS)}}
    asked = issues.find(lately, {"code": 1, "story": 1}).sort("noted", 1)
    refused: list[Document] = await asked.to_list(None)
    if not refused:
        return
    codes = Counter(issue["code"] for issue in refused)
    found.add(
        "reactions-refused",
        service=service,
        days=LATELY_DAYS,
        count=len(refused),
        codes=", ".join(f"{code} {count} times" for code, count in codes.most_common()),
        story=refused[-1]["story"],
    )


async def _look_at_read_model(
    mongo: Client,
    place: Installation,
    towns: Towns | None,
    consumers: Mapping[str, Sequence[Place]],
    found: Diagnosis,
) -> None:
    roll = Roll(database(mongo, f"{place.database_prefix}_views"))
    there = [each["_id"] for each in await roll.there()]
    stops = await roll.views[STOPS].find({"reader": {"$in": there}}).to_list(None)
    _look_at_stops(stops, "projections", found)
    name = await roll.reading()
    generation = None if name is None else await roll.one(name)
    if name is None or generation is None:
        return  # projections has not been started yet: `reader-gone` says so
    await _look_at_parked(roll.database(name)["parked"], f"read model {name}", found)
    if towns is not None and (misfit := Build.of(towns).misfit(generation)):
        found.add("read-model-outdated", generation=name, misfit=misfit)
    for each in consumers.get(f"wishgrid.projections.{name}", ()):
        offsets = await roll.database(name)["offsets"].find_one(
            {"_id": f"{each.topic}:{each.partition}"}
        )
        if each.read > each.end or await _is_another(place, each, offsets):
            words = {"topic": each.topic, "partition": each.partition}
            found.add(
                "read-model-elsewhere", generation=name, read=each.read, end=each.end, **words
            )
            break


async def _is_another(place: Installation, at: Place, offsets: Document | None) -> bool:
    """Whether the record before `at` is not the one that was read there. One that is there no
    more, or does not come, tells nothing."""
    if offsets is None or not at.start < offsets["next"] <= at.end:
        return False
    partition = TopicPartition(at.topic, at.partition)
    consumer = AIOKafkaConsumer(**place.kafka.options(), enable_auto_commit=False)
    try:
        await consumer.start()
        consumer.assign([partition])
        consumer.seek(partition, offsets["next"] - 1)
        came = await consumer.getmany(partition, timeout_ms=int(ANSWER_SECONDS * 1000))
    except KafkaError:
        return False
    finally:
        await consumer.stop()
    records = came.get(partition, [])
    return bool(records) and ce_id(records[0]) != offsets["last"]
