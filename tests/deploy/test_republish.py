"""`wishgrid republish`: the facts once more, and nothing else happens."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI
from typer.testing import CliRunner

from deploy import republish as module
from deploy.cli.main import app
from deploy.lag import Away, Installation, measure
from deploy.republish import Wanted, republish
from deploy.topics import FACTS_TOPIC, Topic, ensure_topics
from deploy.verify import findings
from services.dispatch.app import create as dispatch
from services.intake.app import create as intake
from services.projections.generations import Generation
from services.projections.projector import Projector
from services.projections.readmodel import ReadModel
from shared.contracts.answers import answers_topic
from shared.contracts.base import EventId, EventSource, PartnerId, Request, StoryId
from shared.contracts.intake import WishSubmitted
from shared.kafka import Record
from shared.mongo_store import MongoStore
from shared.serving import House
from shared.store import History
from tests.conftest import (
    TOWNS,
    cancelled,
    following,
    new_story,
    reader,
    send,
    submitted,
    until,
)
from tests.deploy.test_verify import place_of
from tests.way import Cut, Way

stack = pytest.mark.stack
NEW = "wishgrid.facts.v1b"
PARTNER = PartnerId("street-inspection")


class Place:
    """An installation whose writing services run in this process."""

    def __init__(self, house: House) -> None:
        self.house = house
        settings = house.settings
        self.installation = Installation(
            house.kafka, settings.mongo, settings.database_prefix, settings.topic_prefix
        )

    @asynccontextmanager
    async def running(self, facts: str = "wishgrid.facts.v1") -> AsyncIterator[None]:
        """Intake and dispatch at work on this topic of facts."""
        settings = self.house.settings.model_copy(update={"facts_topic": facts})
        house = replace(self.house, settings=settings)
        apps: list[FastAPI] = [intake(house), dispatch(house)]
        one, other = (each.router.lifespan_context(each) for each in apps)
        async with one, other:
            yield

    async def submitted(self, count: int) -> list[StoryId]:
        """Wishes that a partner asked for: each is answered when it is relayed."""
        store, stories = MongoStore(self.house.database("intake")), []
        for n in range(count):
            stories.append(new_story())
            request = Request(partner=PARTNER, source=EventSource("/p"), id=EventId(f"e-{n}"))
            wish: WishSubmitted = submitted(stories[-1]).model_copy(update={"request": request})
            await store.append(following(History(_wish(stories[-1])), wish))
        await store.close()
        return stories

    async def caught_up(self, facts: str = "wishgrid.facts.v1") -> None:
        """Return when reactions and read model have read the whole topic."""
        where = replace(self.installation, facts=facts)

        async def level() -> bool:
            consumers = (await measure(where)).consumers
            return not any(place.lag for places in consumers.values() for place in places)

        await until(level, "all is read", seconds=90)

    @asynccontextmanager
    async def projecting(
        self, name: str = "g1", facts: str = "wishgrid.facts.v1"
    ) -> AsyncIterator[Generation]:
        """A projector of the topic into this generation."""
        generation = Generation(self.house, name)
        await generation.prepare()
        projector = Projector(
            generation,
            ReadModel(self.house.mongo, generation.database),
            self.house.in_kafka(facts),
            TOWNS,
            kafka=self.house.kafka,
            instance=f"1.{facts}",
            session_seconds=6.0,
        )
        task = asyncio.create_task(projector.run())
        try:
            await until(lambda: projector.joined, "it has joined")

            async def level() -> bool:
                return not any((await projector.lag()).values())

            await until(level, "the topic is read")
            yield generation
        finally:
            await cancelled(task)

    async def records(self, topic: str) -> list[Record]:
        async with reader(self.house.kafka, self.house.in_kafka(topic)) as read:
            return await read.to_the_end()

    async def everything(self) -> dict[str, list[Any]]:
        """What may not change: commits of both stores, read model, answers."""
        stores = {s: self.house.database(s)["commits"] for s in ("intake", "dispatch")}
        found = {s: await c.find().sort("_id", 1).to_list(None) for s, c in stores.items()}
        answers = sorted(map(_wire, await self.records(answers_topic(PARTNER))))
        return {**found, **await documents(Generation(self.house)), "answers": answers}

    async def says(self, *words: str) -> tuple[int | None, str]:
        """`wishgrid republish …`: exit status and what it said."""
        where = self.installation
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("wishgrid"),
            "republish",
            *words,
            f"--kafka={where.kafka}",
            f"--mongo={where.mongo}",
            f"--database-prefix={where.database_prefix}",
            f"--topic-prefix={where.topic_prefix}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await process.communicate()
        return process.returncode, (said or complained).decode()


async def documents(generation: Generation) -> dict[str, list[Any]]:
    names = ("stories", "timeline", "case_list", "place")
    return {n: await generation.database[n].find().sort("_id", 1).to_list(None) for n in names}


def _wish(story: StoryId) -> Any:
    return f"wish-{story}"


def _wire(record: Record) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]:
    return record.key, record.value, tuple(record.headers)


@stack
async def test_facts_are_published_again_byte_for_byte_and_nothing_else_happens(
    house: House,
) -> None:
    place = Place(house)
    topics = [FACTS_TOPIC, Topic(answers_topic(PARTNER), partitions=3)]
    await ensure_topics(house.kafka, prefix=house.settings.topic_prefix, topics=topics)
    stories = await place.submitted(20)
    async with place.running(), place.projecting():

        async def opened() -> bool:
            return await house.database("dispatch")["commits"].count_documents({}) == 20

        await until(opened, "dispatch has opened all cases")

        async def relayed() -> bool:
            return len(set(map(_wire, await place.records("wishgrid.facts.v1")))) == 40

        await until(relayed, "all is relayed")
        await place.caught_up()
        before = await place.everything()
        relayed_records = await place.records("wishgrid.facts.v1")
        assert len(before["answers"]) == 20
        topic = house.in_kafka("wishgrid.facts.v1")
        said = await place.says(f"--story={stories[0]}")
        assert said == (0, f"published 2 facts into {topic}\n")
        await place.caught_up()
        assert await place.everything() == before
        records = await place.records("wishgrid.facts.v1")
        # At its first start a relay may tell twice what is committed while it scans.
        assert len(records) >= len(relayed_records) + 2
        assert set(map(_wire, records)) == set(map(_wire, relayed_records))
        code, why = await place.says("--all", f"--into={NEW}")
        assert (code, why.startswith("test-1 is relaying: stop intake and dispatch ")) == (1, True)
    code, said_of_all = await place.says("--all", f"--into={NEW}")
    assert (code, f"WISHGRID_FACTS_TOPIC={NEW}" in said_of_all) == (0, True)
    republished = await place.records(NEW)
    assert sorted(map(_wire, republished)) == sorted(set(map(_wire, relayed_records)))
    async with place.running(facts=NEW), place.projecting(facts=NEW):
        await place.caught_up(NEW)  # all is heard once more, by the read model too
        assert await place.everything() == before
    assert await findings(replace(place.installation, facts=NEW), TOWNS) == []
    async with place.projecting("g2", NEW) as fresh:
        assert await documents(fresh) == await documents(Generation(house))


@stack
async def test_an_interrupted_run_is_begun_again_and_only_repeats(
    house: House, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_A_TIME", 20)
    async with place_of(house, producer, FACTS_TOPIC.partitions) as place:
        told: list[tuple[int, int]] = []

        def interrupted(done: int, total: int) -> None:
            told.append((done, total))
            if len(told) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await republish(place.installation, Wanted(into=NEW), interrupted)
        facts = 11 * len(place.told)
        assert [total for _, total in told] == [facts] * 3
        assert 60 <= told[-1][0] < facts
        with pytest.raises(module.NotRepublished, match=r"holds \d+ records: name a new topic, or"):
            await republish(place.installation, Wanted(into=NEW), lambda *_: None)
        again = Wanted(into=NEW, again=True)
        published = await republish(place.installation, again, lambda *_: None)
        assert published == (facts, house.in_kafka(NEW))
        into = replace(place.installation, facts=NEW)
        behind = "the projector is behind by"
        assert [f for f in await findings(into, TOWNS) if not f.startswith(behind)] == []


@pytest.mark.parametrize("how", ["refused", "silent"])
@stack
async def test_a_run_that_is_cut_off_from_kafka_says_so(
    house: House, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch, how: Cut
) -> None:
    monkeypatch.setattr(module, "AT_A_TIME", 20)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 1.0)
    parts = FACTS_TOPIC.partitions
    async with place_of(house, producer, parts) as place, Way(house.kafka).opened() as way:
        monkeypatch.setattr(module, "fact_producer", lambda _, name: way.producer(name))
        cutting = list[asyncio.Task[None]]()

        def cut(done: int, total: int) -> None:
            cutting.append(asyncio.create_task(way.cut(how)))

        with pytest.raises(Away, match="does not answer: KafkaTimeoutError"):
            await asyncio.wait_for(republish(place.installation, Wanted(into=NEW), cut), 15)
        await asyncio.gather(*cutting)


@stack
async def test_a_topic_with_the_facts_of_cases_first_folds_the_same(
    house: House, producer: AIOKafkaProducer
) -> None:
    async with place_of(house, producer, FACTS_TOPIC.partitions) as place:
        prefix = house.settings.topic_prefix
        await ensure_topics(house.kafka, topics=[replace(FACTS_TOPIC, name=prefix + NEW)])
        cases_first = [r for wish, case in place.told for r in (*case, *wish)]
        await send(producer, prefix + NEW, cases_first)
        async with Place(house).projecting("g2", NEW) as fresh:
            assert await documents(fresh) == await documents(Generation(house))


@stack
async def test_what_would_do_harm_is_refused_in_one_sentence(
    house: House, producer: AIOKafkaProducer
) -> None:
    async with place_of(house, producer) as place:
        where, story = place.installation, place.told[0][0][0].story

        async def why(**wanted: Any) -> str:
            with pytest.raises(module.NotRepublished) as refused:
                await republish(where, Wanted(**wanted), lambda *_: None)
            return str(refused.value)

        assert "it must begin with wishgrid.facts." in await why(into="wishgrid.care.v2")
        assert await why(story="gone") == "there is no story gone in the event stores"
        assert "partitions is 4, wanted 12" in await why(story=story, into="wishgrid.facts.v1")
        missing = replace(where, facts="wishgrid.facts.v9")
        with pytest.raises(module.NotRepublished, match="run `wishgrid topics` first"):
            await republish(missing, Wanted(story=story), lambda *_: None)
        await place.commits("case").delete_one({"_id": f"case-{story}@0000000003"})
        hole = f"case-{story}@3 is missing in its store"
        assert hole in await why(story=story)
        assert hole in await why(into=NEW)


def test_a_republish_of_nothing_in_particular_is_one_sentence() -> None:
    where = ["--kafka=127.0.0.1:1", "--mongo=mongodb://nowhere"]
    for words in ([], ["--all", "--story=x"]):
        said = CliRunner().invoke(app, ["republish", *where, *words])
        assert said.exit_code == 1
        assert "say which: --story ID, or --all" in said.output
