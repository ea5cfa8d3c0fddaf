"""`wishgrid verify`: a sound installation has no findings, each damage is found and named."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.lag import Installation
from deploy.topics import Topic, ensure_topics
from deploy.verify import findings
from deploy.verify.stores import STORES
from services.projections.generations import Generation
from services.projections.projector import Projector
from services.projections.stories import FOLD_VERSION
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded
from shared.contracts.registry import STREAM_OWNERS
from shared.kafka import FACTS
from shared.mongo import Database
from shared.mongo_store import MongoStore
from shared.serving import House
from shared.store import Cause, Commit, History
from tests.conftest import (
    TOWNS,
    TOWNS_FOLDER,
    cancelled,
    new_story,
    send,
    until,
    whole_story,
)

stack = pytest.mark.stack
STORIES = 13


@dataclass
class Place:
    """An installation at rest: stores, topic and read model of some stories."""

    house: House
    producer: AIOKafkaProducer
    told: list[tuple[list[Recorded], list[Recorded]]]

    @property
    def topic(self) -> str:
        return self.house.in_kafka(FACTS)

    @property
    def views(self) -> Database:
        return self.house.database("views_g1")

    @property
    def installation(self) -> Installation:
        settings = self.house.settings
        return Installation(
            self.house.kafka, settings.mongo, settings.database_prefix, settings.topic_prefix
        )

    def commits(self, kind: str) -> Any:
        return self.house.database(STORES[kind])["commits"]

    async def findings(self) -> list[str]:
        return await findings(self.installation, TOWNS)

    async def projected(self) -> None:
        """Run a projector until it has read the whole topic."""
        generation = Generation(self.house)
        await generation.prepare()
        projector = Projector(
            generation,
            generation.model(),
            self.topic,
            TOWNS,
            kafka=self.house.kafka,
            instance="1",
            session_seconds=6.0,
        )
        task = asyncio.create_task(projector.run())
        try:

            async def there() -> bool:
                return projector.joined and not any((await projector.lag()).values())

            await until(there, "the topic was read")
        finally:
            await cancelled(task)


def commits_of(facts: list[Recorded]) -> list[Commit]:
    """The facts as their store has them, each a commit."""
    history = History(facts[0].stream)
    for recorded in facts:
        commit = history.next(
            [recorded.fact],
            cause=Cause(recorded.command_id, recorded.correlation),
            town=recorded.town,
            profile=recorded.profile,
            occurred=recorded.occurred,
            recorded=recorded.recorded,
        )
        history = History(history.stream, (*history.commits, commit))
    return list(history.commits)


def one_command_each(facts: list[Recorded]) -> list[Recorded]:
    return [replace(r, command_id=f"{r.id}#") for r in facts]  # type: ignore[arg-type]


@asynccontextmanager
async def place_of(
    house: House, producer: AIOKafkaProducer, partitions: int = 4
) -> AsyncIterator[Place]:
    await ensure_topics(
        house.kafka, prefix=house.settings.topic_prefix, topics=[Topic(FACTS, partitions)]
    )
    stories = (whole_story(new_story()) for _ in range(STORIES))
    told = [(one_command_each(wish), one_command_each(case)) for wish, case in stories]
    place = Place(house, producer, told)
    for kind, streams in (("wish", [w for w, _ in told]), ("case", [c for _, c in told])):
        store = MongoStore(house.database(STORES[kind]))
        for facts in streams:
            for commit in commits_of(facts):
                await store.append(commit)
        await store.close()
    await send(producer, place.topic, [r for wish, case in told for r in (*wish, *case)])
    await place.projected()
    yield place


@stack
async def test_an_installation_at_rest_tells_the_same_everywhere(
    house: House, producer: AIOKafkaProducer
) -> None:
    async with place_of(house, producer) as place:
        assert await place.findings() == []
        wish, case = place.told[0]
        await send(producer, place.topic, [*wish, *case])  # published again: no harm
        await place.projected()
        assert await place.findings() == []


Damage = Callable[[Place, StoryId], Awaitable[Any]]


async def without_a_row(place: Place, story: StoryId) -> None:
    await place.views["case_list"].delete_one({"_id": story})


async def with_another_row(place: Place, story: StoryId) -> None:
    await place.views["case_list"].update_one({"_id": story}, {"$set": {"state": "opened"}})


async def with_a_strangers_row(place: Place, story: StoryId) -> None:
    await place.views["case_list"].insert_one({"_id": "a-stranger"})


async def with_another_story(place: Place, story: StoryId) -> None:
    await place.views["stories"].update_one({"_id": story}, {"$set": {"parts.case.state": "x"}})


async def without_a_timeline_entry(place: Place, story: StoryId) -> None:
    await place.views["timeline"].delete_one({"_id": f"case-{story}@2"})


async def with_another_cell(place: Place, story: StoryId) -> None:
    first = await place.views["place"].find().sort("_id", 1).to_list(1)
    await place.views["place"].update_one(first[0], {"$inc": {"cells.0.received": 1}})


async def without_a_sheet(place: Place, story: StoryId) -> None:
    last = await place.views["place"].find().sort("_id", -1).to_list(1)
    await place.views["place"].delete_one(last[0])


async def without_a_commit(place: Place, story: StoryId) -> None:
    await place.commits("case").delete_one({"_id": f"case-{story}@0000000003"})


async def with_a_command_twice(place: Place, story: StoryId) -> None:
    command = {"command_id": f"case-{story}@1#"}
    await place.commits("case").update_one({"_id": f"case-{story}@0000000002"}, {"$set": command})


async def with_a_commit_in_the_wrong_store(place: Place, story: StoryId) -> None:
    commit = await place.commits("case").find_one({"_id": f"case-{story}@0000000001"})
    await place.commits("wish").insert_one(commit)


async def with_a_foreign_fact(place: Place, story: StoryId) -> None:
    await send(place.producer, place.topic, whole_story(StoryId("foreign"))[0][:1])
    await place.projected()


async def with_a_fact_told_otherwise(place: Place, story: StoryId) -> None:
    (told,) = [wish for wish, _ in place.told if wish[0].story == story]
    await send(place.producer, place.topic, [replace(told[0], correlation="another")])
    await place.projected()


async def with_garbage(place: Place, story: StoryId) -> None:
    await place.producer.send_and_wait(place.topic, b"garbage", key=b"k", partition=0)
    await place.projected()


DAMAGES: list[tuple[Damage, tuple[str, ...]]] = [
    (without_a_row, ("case_list {story} is missing in the read model",)),
    (with_another_row, ("case_list {story} is not what the facts fold into: state",)),
    (with_a_strangers_row, ("case_list a-stranger is of a story that is in no store",)),
    (with_another_story, ("stories {story} is not what the facts fold into: parts.case.state",)),
    (without_a_timeline_entry, ("timeline case-{story}@2 is missing in the read model",)),
    (with_another_cell, ("is not what the facts fold into: cells",)),
    (without_a_sheet, ("|2026-03 is missing in the read model",)),
    (
        without_a_commit,
        (
            "case-{story}@3 is missing in its store: case-{story}@4 is what follows",
            "case-{story}@3 is in the topic and in no store",
        ),
    ),
    (
        with_a_command_twice,
        ("case-{story}@0000000002 and case-{story}@0000000001 were decided by one command",),
    ),
    (
        with_a_commit_in_the_wrong_store,
        ("commit case-{story}@0000000001 is in the store of intake, which has no such streams",),
    ),
    (
        with_a_foreign_fact,
        (
            "wish-foreign@1 is in the topic and in no store",
            "stories foreign is of a story that is in no store",
        ),
    ),
    (
        with_a_fact_told_otherwise,
        ("wish-{story}@1 is in the topic twice, with different bodies",),
    ),
    (with_garbage, (":0:",)),
]


@stack
async def test_each_damage_is_found_and_named(house: House, producer: AIOKafkaProducer) -> None:
    """All at once, each to another story."""
    async with place_of(house, producer) as place:
        for (damage, _), (wish, _) in zip(DAMAGES, place.told, strict=True):
            await damage(place, wish[0].story)
        found = await place.findings()
        for (_, sentences), (wish, _) in zip(DAMAGES, place.told, strict=True):
            for sentence in sentences:
                named = sentence.format(story=wish[0].story)
                assert [line for line in found if named in line], (named, found)


@stack
async def test_what_cannot_be_compared_is_said_and_not_compared(
    house: House, producer: AIOKafkaProducer
) -> None:
    not_compared = "its documents were not compared"
    async with place_of(house, producer) as place:
        await place.views["case_list"].delete_many({})
        offsets = await place.views["offsets"].find({"next": {"$gt": 3}}).to_list(1)
        await place.views["offsets"].update_one(offsets[0], {"$inc": {"next": -3}})
        behind = f"the projector is behind by 3 records: {not_compared}"
        assert await place.findings() == [behind]
        views = place.house.database("views")
        await views["generations"].update_one({}, {"$set": {"filling": ["place"]}})
        unfilled = f"read model g1 has not been filled with place yet: {not_compared}"
        assert await place.findings() == [unfilled]
        await views["generations"].update_one({}, {"$set": {"folds": 1}})
        older = f"read model g1 was written by folds 1, these are {FOLD_VERSION}: {not_compared}"
        assert await place.findings() == [older]
        await views["alias"].delete_many({})
        assert await place.findings() == [f"there is no read model: {not_compared}"]


@stack
async def test_a_topic_that_is_missing_is_a_finding_and_no_silent_kafka(house: House) -> None:
    settings = house.settings
    place = Installation(
        house.kafka, settings.mongo, settings.database_prefix, settings.topic_prefix
    )
    assert await findings(place, TOWNS) == [
        f"there is no topic {house.in_kafka(FACTS)}",
        "there is no read model: its documents were not compared",
    ]


@stack
async def test_the_command_prints_findings_and_ends_with_1(
    house: House, producer: AIOKafkaProducer
) -> None:
    async with place_of(house, producer) as place:
        sound = await wishgrid_verify(place)
        assert sound == (0, "stores, topic and read model tell the same\n")
        await place.views["case_list"].delete_many({})
        code, said = await wishgrid_verify(place)
        assert code == 1
        assert len(said.splitlines()) == STORIES


async def wishgrid_verify(place: Place) -> tuple[int | None, str]:
    where = place.installation
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("wishgrid"),
        "verify",
        f"--kafka={where.kafka}",
        f"--mongo={where.mongo}",
        f"--database-prefix={where.database_prefix}",
        f"--topic-prefix={where.topic_prefix}",
        f"--towns={TOWNS_FOLDER}",
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


def test_every_kind_of_stream_is_looked_for_in_its_store() -> None:
    assert STORES.keys() == STREAM_OWNERS.keys()
