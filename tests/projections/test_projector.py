"""From a real topic into real read models: once each, whatever arrives how often in which order."""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from pymongo.errors import AutoReconnect

from deploy.topics import Topic, ensure_topics
from services.projections.folding import Changes, fold_poll
from services.projections.generations import Generation
from services.projections.positions import Move, ce_id
from services.projections.projector import Projector
from services.projections.readmodel import Moves, ReadModel
from services.projections.records import decoded
from services.projections.views.registry import recipe
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded, to_wire
from shared.kafka import Record
from shared.mongo import Document
from shared.serving import House
from tests.conftest import (
    TOWNS,
    cancelled,
    new_story,
    new_topic,
    reader,
    send,
    until,
    whole_story,
)

pytestmark = pytest.mark.stack

SESSION_SECONDS = 6.0
COMPARED = ("stories", "timeline", "case_list", "place")


class Model:
    """One generation's read model of one topic, and projectors that write it."""

    def __init__(self, house: House, name: str, topic: str) -> None:
        self.house = house
        self.topic = topic
        self.generation = Generation(house, name)
        self.written = self.generation.model()

    def projector(self, instance: str = "1", generation: Generation | None = None) -> Projector:
        return Projector(
            generation or self.generation,
            ReadModel(self.house.mongo, self.generation.database),
            self.topic,
            TOWNS,
            kafka=self.house.kafka,
            instance=instance,
            session_seconds=SESSION_SECONDS,
        )

    @asynccontextmanager
    async def running(self, projector: Projector | None = None) -> AsyncIterator[Projector]:
        """A projector at work, ended with the block as by a kill."""
        projector = projector or self.projector()
        task = asyncio.create_task(projector.run())
        try:
            yield projector
        finally:
            await cancelled(task)

    async def ends(self) -> dict[str, int]:
        """One past the last record of each partition that has any."""
        ends: dict[str, int] = {}
        async with reader(self.house.kafka, self.topic) as read:
            for record in await read.to_the_end():
                ends[f"{self.topic}:{record.partition}"] = record.offset + 1
        return ends

    async def offsets(self) -> dict[str, int]:
        found = self.generation.database["offsets"].find({"next": {"$gt": 0}})
        return {d["_id"]: d["next"] async for d in found}

    async def caught_up(self, seconds: float = 30) -> None:
        """Return when all that is in the topic was folded."""
        ends = await self.ends()

        async def there() -> bool:
            return await self.offsets() == ends

        await until(there, "the read model is where the topic ends", seconds)

    async def projected(self) -> "Model":
        """Run a projector until it has caught up."""
        async with self.running():
            await self.caught_up()
        return self

    async def documents(self) -> dict[str, list[Document]]:
        """All that readers may see."""
        database = self.generation.database
        return {name: await database[name].find().sort("_id", 1).to_list(None) for name in COMPARED}

    async def all_of(self, name: str) -> list[Document]:
        return await self.generation.database[name].find().sort("_id", 1).to_list(None)


class Models:
    """Makes read models, each a generation of its own."""

    def __init__(self, house: House, producer: AIOKafkaProducer) -> None:
        self._house = house
        self._producer = producer
        self._count = 0

    async def on(self, topic: str) -> Model:
        """An empty one on a topic there is."""
        self._count += 1
        model = Model(self._house, f"g{self._count}", topic)
        await model.generation.prepare()
        return model

    async def of(self, facts: Sequence[Recorded]) -> Model:
        """An empty one on a new topic that holds these facts."""
        topic = await new_topic(self._house.kafka)
        await send(self._producer, topic, facts)
        return await self.on(topic)

    async def clean(self, facts: Sequence[Recorded]) -> dict[str, list[Document]]:
        """What a read model holds to which these facts came once and in order."""
        return await (await (await self.of(facts)).projected()).documents()


@pytest.fixture
async def models(house: House, producer: AIOKafkaProducer) -> Models:
    return Models(house, producer)


def stories(count: int) -> list[tuple[list[Recorded], list[Recorded]]]:
    return [whole_story(new_story()) for _ in range(count)]


def in_turn(told: Iterable[tuple[list[Recorded], list[Recorded]]]) -> list[Recorded]:
    """All facts, wishes before cases."""
    told = list(told)
    return [r for wish, _ in told for r in wish] + [r for _, case in told for r in case]


async def test_facts_become_stories_a_timeline_and_rows(models: Models) -> None:
    told = stories(10)
    model = await (await models.of(in_turn(told))).projected()
    documents = await model.documents()
    assert len(documents["stories"]) == len(documents["case_list"]) == 10
    assert {d["_id"] for d in documents["timeline"]} == {r.id for r in in_turn(told)}
    assert {d["state"] for d in documents["case_list"]} == {"closed"}
    assert all(d["v"] == {"wish": 5, "case": 6} for d in documents["stories"])
    assert await model.all_of("parked") == []
    assert await model.all_of("ignored") == []


async def test_facts_twice_again_or_in_another_order_make_the_same_documents(
    models: Models, producer: AIOKafkaProducer
) -> None:
    told = stories(20)
    facts = in_turn(told)
    clean = await models.clean(facts)

    twice = await models.of([r for recorded in facts for r in (recorded, recorded)])
    assert await (await twice.projected()).documents() == clean

    cases_first = [r for _, case in told for r in case] + [r for wish, _ in told for r in wish]
    other_order = await models.of(cases_first)
    assert await (await other_order.projected()).documents() == clean

    by_story = await models.of([r for wish, case in told for r in (*case, *wish)])
    async with by_story.running():
        await by_story.caught_up()
        await send(producer, by_story.topic, facts)  # republished from the stores
        await by_story.caught_up()
        assert await by_story.documents() == clean
    assert await by_story.all_of("parked") == []


async def test_a_hole_parks_its_story_until_the_missing_fact_comes(
    models: Models, producer: AIOKafkaProducer
) -> None:
    told = stories(10)
    facts = in_turn(told)
    wish, case = told[3]
    story, missing = wish[0].story, case[1]
    model = await models.of([r for r in facts if r is not missing])
    async with model.running():
        await model.caught_up()
        stuck = {d["_id"]: d["stuck"] for d in await model.all_of("stories") if "stuck" in d}
        assert stuck == {story: {"case": "version 2 is missing"}}
        assert [d["_id"] for d in await model.all_of("parked")] == [r.id for r in case[2:]]
        rows = {d["_id"]: d["state"] for d in await model.all_of("case_list")}
        assert rows.pop(story) == "opened"  # its wish and the beginning of its case are there
        assert set(rows.values()) == {"closed"}
        await send(producer, model.topic, [missing])
        await model.caught_up()
        assert await model.documents() == await models.clean(facts)
        assert await model.all_of("parked") == []


async def test_a_hole_is_filled_over_a_restart_and_doubled_facts_park_once(
    models: Models, producer: AIOKafkaProducer
) -> None:
    wish, case = whole_story(new_story())
    facts = [*wish, *case]
    model = await models.of([*wish, *case[3:], *case[3:]])
    await model.projected()
    assert len(await model.all_of("parked")) == 3
    await send(producer, model.topic, [*case[5:], *case[:2]])
    await model.projected()
    assert [d["_id"] for d in await model.all_of("parked")] == [r.id for r in case[3:]]
    await send(producer, model.topic, case[2:4])
    await model.projected()
    assert await model.all_of("parked") == []
    assert await model.documents() == await models.clean(facts)


async def test_records_that_do_not_read_are_parked_and_the_next_flow(
    models: Models, producer: AIOKafkaProducer
) -> None:
    told = stories(10)
    facts = in_turn(told)
    key, value, headers = to_wire(facts[0])
    no_utf8 = [(k, b"\xff\xfe" if k == "ce_correlationid" else v) for k, v in headers]
    no_id = [(k, b"\xff" if k == "ce_id" else v) for k, v in headers]
    null_id = [(k, None if k == "ce_id" else v) for k, v in headers]
    null = [(k, None if k == "ce_town" else v) for k, v in headers]
    model = await models.of([])
    for bad in (no_utf8, no_id, null_id, null):
        await producer.send_and_wait(model.topic, value, key=key, headers=bad, partition=0)
    await producer.send_and_wait(model.topic, b"\x00\xffgarbage", key=b"\xff", partition=0)
    await producer.send_and_wait(model.topic, b"{", key=key, headers=headers, partition=0)
    await producer.send_and_wait(model.topic, None, key=key, partition=0)
    await send(producer, model.topic, facts)
    await model.projected()
    parked = await model.all_of("parked")
    assert [d["_id"] for d in parked] == [f"{model.topic}:0:{n}" for n in range(7)]
    assert all(d["reason"] for d in parked)
    assert parked[4]["value"] == b"\x00\xffgarbage"
    assert await model.documents() == await models.clean(facts)
    await send(producer, model.topic, facts)  # on from where the last one read was unreadable
    await model.projected()
    assert len(await model.all_of("parked")) == 7


async def test_a_fact_under_another_key_than_its_story_is_parked_as_unreadable(
    models: Models, producer: AIOKafkaProducer
) -> None:
    """By its key it may lie in a partition whose owner does not own the story's numbers."""
    facts = in_turn(stories(3))
    model = await models.of(facts)
    strays = {"another": b"another-story", "none": None}
    for n, key in enumerate(strays.values()):
        _, value, headers = to_wire(whole_story(new_story())[0][0])
        await producer.send_and_wait(model.topic, value, key=key, headers=headers, partition=n)
    await model.projected()
    parked = await model.all_of("parked")
    assert len(parked) == len(strays)
    assert all("the key is not the story" in document["reason"] for document in parked)
    assert await model.documents() == await models.clean(facts)


async def test_after_an_unreadable_last_record_a_restart_goes_on(
    models: Models, producer: AIOKafkaProducer
) -> None:
    model = await models.of([])
    for headers in ([], [("ce_id", None)], [("ce_id", b"\xff")]):
        await producer.send_and_wait(model.topic, b"x", headers=headers, partition=0)
        await model.projected()
    async with model.running() as projector:
        await send(producer, model.topic, whole_story(new_story())[0])
        await model.caught_up()
        assert projector.fault is None


async def records(model: Model) -> list[Record]:
    async with reader(model.house.kafka, model.topic) as read:
        return await read.to_the_end()


def folded(read: Sequence[Record]) -> tuple[Changes, Moves]:
    """What one poll of these records would write to an empty read model."""
    ends = {
        TopicPartition(r.topic, r.partition): Move(0, r.offset + 1, ce_id(r))
        for r in sorted(read, key=lambda r: r.offset)
    }
    facts, unreadable = decoded(read)
    assert not unreadable
    return fold_poll(facts, {}, {}, recipe(TOWNS)), ends


async def test_of_two_owners_of_a_partition_one_writes(models: Models) -> None:
    model = await models.of(in_turn(stories(5)))
    changes, moves = folded(await records(model))
    ours, zombie = model.written, ReadModel(model.house.mongo, model.generation.database)
    for partition in moves:
        assert await ours.offset(partition) == Move(0, 0, None)
    assert await ours.write(changes, moves, (), model.generation.check)
    before = await model.documents(), await model.all_of("offsets")
    assert not await zombie.write(changes, moves, (), model.generation.check)
    assert (await model.documents(), await model.all_of("offsets")) == before


async def test_one_lost_partition_undoes_the_whole_poll(models: Models) -> None:
    model = await models.of(in_turn(stories(12)))
    changes, moves = folded(await records(model))
    assert len(moves) > 1
    for partition in moves:
        await model.written.offset(partition)
    last = list(moves)[-1]
    check = model.generation.check
    assert await model.written.write(Changes(), {last: moves[last]}, (), check)  # the other owner's
    assert not await model.written.write(changes, moves, (), check)
    assert await model.documents() == {name: [] for name in COMPARED}
    assert await model.offsets() == {f"{last.topic}:{last.partition}": moves[last].following}


async def test_two_projectors_that_both_hold_every_partition_write_each_fact_once(
    models: Models, producer: AIOKafkaProducer
) -> None:
    """The worst a rebalance could do: neither knows of the other."""
    told = stories(60)
    facts = in_turn(told)
    model = await models.of(facts[: len(facts) // 2])
    zombie = Generation(model.house, model.generation.name)
    zombie.group += ".zombie"
    async with (
        model.running(model.projector("1")) as ours,
        model.running(model.projector("2", zombie)) as theirs,
    ):
        for at in range(len(facts) // 2, len(facts), 30):
            await send(producer, model.topic, facts[at : at + 30])
        await model.caught_up()
        assert ours.fault is theirs.fault is None
    assert await model.documents() == await models.clean(facts)


async def test_two_projectors_share_the_partitions_and_one_leaves(
    models: Models, producer: AIOKafkaProducer
) -> None:
    told = stories(120)
    facts = in_turn(told)
    third = len(facts) // 3
    model = await models.of(facts[:third])
    async with model.running(model.projector("1")) as staying:
        async with model.running(model.projector("2")) as leaving:
            await until(lambda: leaving.joined and staying.joined, "both joined")
            await send(producer, model.topic, facts[third : 2 * third])
            await model.caught_up()
        await send(producer, model.topic, facts[2 * third :])
        await model.caught_up()  # after the session of the one that left ran out
    assert await model.documents() == await models.clean(facts)


async def test_a_projector_killed_again_and_again_ends_as_a_clean_fold(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = in_turn(stories(150))
    model = await models.of(facts)
    monkeypatch.setattr("services.projections.projector.MOST_BYTES", 100_000)
    ends = await model.ends()
    rounds = 0
    while await model.offsets() != ends:
        rounds += 1
        before = sum((await model.offsets()).values())

        async def moved(before: int = before) -> bool:
            return sum((await model.offsets()).values()) > before

        async with model.running():
            await until(moved, "some more were folded")
    assert rounds > 2
    assert await model.documents() == await models.clean(facts)


async def test_a_failure_right_after_the_start_does_not_stop_a_projector(
    models: Models, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads every partition's last record again, to check; then the database is away."""
    told = stories(60)
    facts = in_turn(told)
    model = await models.of(facts[:300])
    await model.projected()
    write, failures = ReadModel.write, 0

    async def failing(self: ReadModel, *what: Any) -> bool:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise AutoReconnect("the database is away")
        return await write(self, *what)

    await send(producer, model.topic, facts[300:])
    monkeypatch.setattr(ReadModel, "write", failing)
    async with model.running() as projector:
        await model.caught_up()
        assert projector.fault is None
    assert failures > 2
    assert await model.documents() == await models.clean(facts)


async def test_a_rebalance_with_a_backlog_at_hand_does_not_stop_a_projector(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched before partitions came back is not what follows by the offsets read then."""
    facts = in_turn(stories(60))
    model = await models.of(facts)
    monkeypatch.setattr("services.projections.projector.MOST_BYTES", 30_000)
    async with model.running() as projector:

        async def begun() -> bool:
            return bool(await model.offsets()) and bool(projector._ahead)

        await until(begun, "some were folded, more are at hand")
        ours = {TopicPartition(model.topic, p) for p in range(6)}
        await projector.on_partitions_revoked(ours)
        await projector.on_partitions_assigned(ours)
        await model.caught_up()
    assert await model.documents() == await models.clean(facts)


async def remade(model: Model) -> None:
    """The topic deleted and made again, empty."""
    admin = AIOKafkaAdminClient(**model.house.kafka.options())
    await admin.start()
    try:
        await admin.delete_topics([model.topic])

        async def gone() -> bool:
            return model.topic not in await admin.list_topics()

        await until(gone, "the topic is deleted")
    finally:
        await admin.close()
    await ensure_topics(model.house.kafka, topics=[Topic(model.topic, 6)])


async def whole(model: Model) -> Any:
    return await model.documents(), await model.all_of("offsets"), await model.all_of("parked")


async def test_a_topic_made_again_with_other_facts_stops_the_projector(
    models: Models, producer: AIOKafkaProducer
) -> None:
    model = await models.of(in_turn(stories(40)))
    await model.projected()
    before = await whole(model)
    await remade(model)
    await send(producer, model.topic, in_turn(stories(160)))  # more than before, everywhere
    async with model.running() as projector:
        await until(lambda: projector.fault is not None, "the projector stops")
        assert model.topic in str(projector.fault)
        assert "made again" in str(projector.fault)
        assert await whole(model) == before


async def test_a_topic_made_again_and_empty_stops_the_projector(models: Models) -> None:
    model = await models.of(in_turn(stories(40)))
    await model.projected()
    before = await whole(model)
    await remade(model)
    async with model.running() as projector:
        await until(lambda: projector.fault is not None, "the projector stops")
        assert model.topic in str(projector.fault)
        assert await whole(model) == before


async def test_a_topic_made_again_under_a_running_projector_stops_it(
    models: Models, producer: AIOKafkaProducer
) -> None:
    model = await models.of(in_turn(stories(40)))
    async with model.running() as projector:
        await model.caught_up()
        before = await whole(model)
        await remade(model)
        await send(producer, model.topic, whole_story(new_story())[0])
        await until(lambda: projector.fault is not None, "the projector stops")
        assert model.topic in str(projector.fault)
        assert await whole(model) == before


async def test_a_failure_does_not_make_a_projector_forget_to_check_the_topic(
    models: Models, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = await models.of(in_turn(stories(40)))
    await model.projected()
    before = await whole(model)
    await remade(model)
    await send(producer, model.topic, in_turn(stories(160)))
    poll, failures = Projector._poll, 0

    async def failing(self: Projector, consumer: Any) -> None:
        nonlocal failures
        if not failures:
            failures += 1
            raise AutoReconnect("the database is away")
        await poll(self, consumer)

    monkeypatch.setattr(Projector, "_poll", failing)
    async with model.running(projector := model.projector()):
        await until(lambda: projector.fault is not None, "the projector stops")
        assert await whole(model) == before


async def test_a_projector_started_before_its_topic_is_made_begins_when_it_is(
    models: Models, producer: AIOKafkaProducer, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"t{uuid.uuid4().hex}"
    model = await models.on(topic)
    facts = in_turn(stories(5))
    async with model.running() as projector:
        await until(lambda: f"{topic} not found" in caplog.text, "it missed its topic")
        assert not projector.joined
        await ensure_topics(model.house.kafka, topics=[Topic(topic, 6)])
        await send(producer, topic, facts)
        await model.caught_up()
    assert await model.documents() == await models.clean(facts)


async def test_a_backlog_of_5000_facts_is_folded(
    models: Models, capsys: pytest.CaptureFixture[str]
) -> None:
    told = stories(455)
    facts = in_turn(told)[:5000]
    model = await models.of(facts)
    ends = await model.ends()
    started = time.monotonic()
    async with model.running():

        async def there() -> bool:
            return await model.offsets() == ends

        await until(there, "the backlog is folded")
        seconds = time.monotonic() - started
    with capsys.disabled():
        print(f"\n5,000 facts folded in {seconds:.2f} s, {5000 / seconds:,.0f} facts/s")
    seen: dict[StoryId, int] = defaultdict(int)
    for recorded in facts:
        seen[recorded.story] += 1
    found = {d["_id"]: sum(d["v"].values()) for d in await model.all_of("stories")}
    assert found == seen
    assert len(await model.all_of("timeline")) == 5000
