"""Reactions on a real Kafka: every fact is reacted to once in effect, whatever gets in the way."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.topics import Topic, ensure_topics
from services.dispatch.commands import CaseCommand, TakeRating
from services.dispatch.policies import react
from shared.contracts.base import ActorId
from shared.contracts.dispatch import CaseClosed, CaseOpened
from shared.contracts.intake import WishRated, WishWithdrawn
from shared.contracts.recorded import Recorded, stream_id, to_wire
from shared.kafka import Record
from shared.mongo import DURABLE
from shared.policy import Reaction
from shared.town import Town
from tests.conftest import (
    OFFICER,
    cancelled,
    new_story,
    offsets_in_kafka,
    reader,
    send,
    submitted,
    told,
    until,
    whole_story,
)
from tests.partner import record
from tests.shared.desk import Desk, Handle, wishes

pytestmark = pytest.mark.stack


def place(record: Record) -> tuple[int, int]:
    return record.partition, record.offset


async def test_every_wish_opens_its_case(desk: Desk, producer: AIOKafkaProducer) -> None:
    facts = wishes(20)
    await send(producer, desk.topic, facts)
    async with desk.consuming():
        await desk.caught_up()
    for recorded in facts:
        (commit,) = (await desk.store.load(stream_id("case", recorded.story))).commits
        assert isinstance(commit.facts[0], CaseOpened)
        assert commit.cause.causation == recorded.id
        assert commit.occurred == recorded.occurred


async def test_the_consumer_is_set_up_to_lose_nothing(desk: Desk) -> None:
    async with desk.consuming(instance="7") as kafka:
        (subscriber,) = kafka.subscribers
        consumer: Any = getattr(subscriber, "consumer")  # noqa: B009  # on no public type
        assert consumer._group_id == desk.group()
        assert consumer._group_instance_id == f"{desk.group()}.7"
        assert consumer._auto_offset_reset == "earliest"
        assert consumer._enable_auto_commit is False
        assert consumer._session_timeout_ms == 6000
        assert consumer._rebalance_timeout_ms == 60_000
        (assignor,) = consumer._partition_assignment_strategy
        assert assignor.name == "sticky"


async def test_reactions_started_before_their_topic_is_made_begin_when_it_is(
    desk: Desk, producer: AIOKafkaProducer, caplog: pytest.LogCaptureFixture
) -> None:
    desk.topic = f"{desk.topic}.late"
    kafka = desk.member(desk.reactions().on_batch)
    starting = asyncio.create_task(kafka.start())
    try:
        await until(lambda: f"{desk.topic} not found" in caplog.text, "it missed its topic")
        await ensure_topics(desk.kafka, topics=[Topic(desk.topic, 6)])
        await send(producer, desk.topic, wishes(5))
        await starting
        await desk.caught_up()
        assert await desk.commits() == 5
    finally:
        await cancelled(starting)
        await kafka.stop()


async def test_a_batch_that_failed_comes_again_and_nothing_is_skipped(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    await send(producer, desk.topic, wishes(100))
    seen: list[list[tuple[int, int]]] = []
    committed: list[dict[int, int]] = []
    reactions = desk.reactions()

    async def handle(batch: Sequence[Record]) -> None:
        seen.append([place(record) for record in batch])
        if len(seen) <= 2:
            raise OSError("the network is away")
        committed.append(await offsets_in_kafka(desk.kafka, desk.group()))
        await reactions.on_batch(batch)

    async with desk.consuming(handle):
        await desk.caught_up()
    assert committed[0] == {}  # nothing was committed before the third try
    failed = seen[0] + seen[1]
    again: dict[int, list[int]] = defaultdict(list)
    for partition, offset in (p for batch in seen[2:] for p in batch):
        again[partition].append(offset)
    for offsets in again.values():  # each from its beginning, in order, without a gap
        assert offsets == list(range(len(offsets)))
    assert set(failed) <= {(p, offset) for p, offsets in again.items() for offset in offsets}
    assert sum(map(len, again.values())) == 100
    assert await desk.commits() == 100


async def test_a_failure_in_the_middle_of_the_topic_does_not_commit_past_it(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    reactions, handled = desk.reactions(), list[tuple[int, int]]()
    failing = True

    async def handle(batch: Sequence[Record]) -> None:
        if failing and handled:
            await reactions.on_batch(batch[: len(batch) // 2])  # half done, then the server dies
            raise OSError("the network is away")
        await reactions.on_batch(batch)
        handled.extend(place(record) for record in batch)

    await send(producer, desk.topic, wishes(10))
    async with desk.consuming(handle):
        await desk.caught_up()
        before = await offsets_in_kafka(desk.kafka, desk.group())
        await send(producer, desk.topic, wishes(40))

        async def begun() -> bool:
            return await desk.commits() > 10

        await until(begun, "the second lot was begun")
        assert await offsets_in_kafka(desk.kafka, desk.group()) == before
        failing = False
        await desk.caught_up()
    assert len(handled) == len(set(handled)) == 50
    assert await desk.commits() == 50


async def test_a_bug_in_a_handler_stops_the_consumer_and_skips_nothing(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    await send(producer, desk.topic, wishes(10))
    reactions, tries = desk.reactions(), 0

    async def handle(batch: Sequence[Record]) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise ZeroDivisionError("a bug")
        await reactions.on_batch(batch)

    async with desk.consuming(handle):
        await desk.caught_up()
    assert await desk.commits() == 10


async def test_records_that_do_not_read_are_parked_and_the_next_flow(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    (mangled,) = wishes(1)
    key, value, headers = to_wire(mangled)
    broken = [(k, b"\xff\xfe" if k == "ce_correlationid" else v) for k, v in headers]
    nothing = [(k, None if k == "ce_town" else v) for k, v in headers]
    await producer.send_and_wait(desk.topic, value, key=key, headers=broken, partition=0)
    await producer.send_and_wait(desk.topic, value, key=key, headers=nothing, partition=0)
    await producer.send_and_wait(desk.topic, b"\x00\xffgarbage", key=b"\xff", partition=0)
    await producer.send_and_wait(desk.topic, b"{", key=key, headers=headers, partition=0)
    await producer.send_and_wait(desk.topic, None, key=key, headers=headers, partition=0)
    facts = wishes(30)
    await send(producer, desk.topic, facts)
    async with desk.consuming():
        await desk.caught_up()
    parked = await desk.home["parked"].find().sort("_id", 1).to_list(None)
    assert [document["_id"] for document in parked] == [f"{desk.topic}:0:{n}" for n in range(5)]
    assert all(document["reason"].startswith("unreadable") for document in parked)
    assert parked[2]["value"] == b"\x00\xffgarbage"
    kept = dict(parked[0]["headers"])
    assert kept["ce_correlationid"] == b"\xff\xfe"  # as it came, so that it can be looked into
    assert await desk.commits() == 30
    assert (await desk.store.load(stream_id("case", mangled.story))).version == 0


async def test_a_refusal_is_kept_and_not_judged_again(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    story = new_story()
    rating = WishRated(by=OFFICER, case_version=1, resolved=True, satisfaction=5)
    facts = told(stream_id("wish", story), [submitted(story)], [rating])  # nothing is resolved
    await send(producer, desk.topic, facts)
    async with desk.consuming():
        await desk.caught_up()
        (issue,) = await desk.home["issues"].find().to_list(None)
        assert (issue["story"], issue["fact"]) == (story, f"wish-{story}@2")
        assert (issue["policy"], issue["code"]) == ("take-rating", "not-resolved")
        assert datetime.now(UTC) - issue["noted"] < timedelta(minutes=10)
        judged = desk.asked[TakeRating]
        await send(producer, desk.topic, facts)
        await desk.caught_up()
    async with desk.consuming(group="another"):
        await desk.caught_up("another")
    assert desk.asked[TakeRating] == judged
    assert await desk.home["issues"].count_documents({}) == 1
    assert await desk.commits() == 1


async def test_what_came_before_what_it_is_about_is_judged_again_when_it_comes_again(
    desk: Desk,
) -> None:
    """A topic lacked the wish for a while; its story was then published again, in order."""
    story = new_story()
    withdrawn = WishWithdrawn(by=OFFICER)
    wish, withdrawal = (
        record(value, headers, key=key)
        for key, value, headers in map(
            to_wire, told(stream_id("wish", story), [submitted(story)], [withdrawn])
        )
    )
    reactions = desk.reactions()
    await reactions.on_batch([withdrawal])
    (issue,) = await desk.home["issues"].find().to_list(None)
    assert (issue["policy"], issue["code"]) == ("take-withdrawal", "not-yet")
    for _ in range(2):
        await reactions.on_batch([wish, withdrawal])
    case = await desk.store.load(stream_id("case", story))
    assert [type(fact) for fact in case.facts] == [CaseOpened, CaseClosed]
    assert await desk.home["issues"].count_documents({}) == 0


async def test_what_one_target_refuses_is_decided_by_the_other(desk: Desk) -> None:
    """The command's id names its target: what is refused once is not judged again, elsewhere it
    was never judged."""
    unopened, other = (stream_id("case", new_story()) for _ in range(2))

    def both(recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
        (opening,) = react(recorded, town)
        rating = TakeRating(ActorId("policy:both"), recorded.version, resolved=True)
        return Reaction("both", unopened, rating), Reaction("both", other, opening.command)

    desk.policy = both
    (submission,) = wishes(1)
    key, value, headers = to_wire(submission)
    await desk.reactions().on_batch([record(value, headers, key=key)])
    (issue,) = await desk.home["issues"].find().to_list(None)
    assert (issue["stream"], await desk.commits()) == (unopened, 1)
    assert [type(fact) for fact in (await desk.store.load(other)).facts] == [CaseOpened]


async def test_a_policy_that_raises_parks_its_story_and_the_others_flow(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    sick, *well = (new_story() for _ in range(10))

    def raising(recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
        if recorded.story == sick and recorded.version == 2:
            raise LookupError("a rule with a bug")
        return react(recorded, town)

    desk.policy = raising
    stories = {story: whole_story(story)[0] for story in (sick, *well)}
    first = [recorded for wish in stories.values() for recorded in wish[:3]]
    await send(producer, desk.topic, first)
    async with desk.consuming():
        await desk.caught_up()
        later = [recorded for wish in stories.values() for recorded in wish[3:]]
        await send(producer, desk.topic, later)  # in another batch
        await desk.caught_up()
    parked = await desk.home["parked"].find().to_list(None)
    assert sorted(document["fact"] for document in parked) == [
        f"wish-{sick}@{version}" for version in (2, 3, 4, 5)
    ]
    reasons = {document["fact"]: document["reason"] for document in parked}
    assert reasons[f"wish-{sick}@2"] == "LookupError: a rule with a bug"
    assert {document["story"] for document in parked} == {sick}
    assert await desk.commits() == 10  # also the sick one was opened before

    async def seen() -> bool:
        found = {d["_id"]: d["wish"] async for d in desk.home["seen"].find()}
        return found == {sick: 1, **dict.fromkeys(well, 5)}

    await until(seen, "a majority has what was taken in")


async def test_a_fact_of_an_unknown_profile_waits_and_is_not_skipped(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    before, recorded, after = wishes(3)
    for each, known in ((before, True), (recorded, False), (after, True)):
        key, value, headers = to_wire(each)
        if not known:
            headers = [(k, b"9.ffffffff" if k == "ce_profileversion" else v) for k, v in headers]
        await producer.send_and_wait(desk.topic, value, key=key, headers=headers, partition=0)
    reactions, tries = desk.reactions(), 0

    async def handle(batch: Sequence[Record]) -> None:
        nonlocal tries
        tries += 1
        await reactions.on_batch(batch)

    async with desk.consuming(handle):
        await until(lambda: tries >= 3, "tried again")
        await until(lambda: reactions.lacks is not None, "it says what it lacks")
        assert "9.ffffffff" in str(reactions.lacks)
        assert await offsets_in_kafka(desk.kafka, desk.group()) == {}
    assert await desk.home["parked"].count_documents({}) == 0


async def test_the_whole_topic_again_for_a_new_group_appends_nothing(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    facts = [recorded for _ in range(100) for recorded in whole_story(new_story())[0]]
    await send(producer, desk.topic, facts)
    async with desk.consuming():
        await desk.caught_up()
    before = await desk.store.commits.find().sort("_id", 1).to_list(None)
    issues = await desk.home["issues"].find().sort("_id", 1).to_list(None)
    assert len(before) == 100
    async with desk.consuming(group="another"):
        await desk.caught_up("another")
    assert await desk.store.commits.find().sort("_id", 1).to_list(None) == before
    assert await desk.home["issues"].find().sort("_id", 1).to_list(None) == issues
    assert await desk.home["parked"].count_documents({}) == 0


async def test_of_two_members_one_stops_and_each_of_2000_facts_has_one_effect(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    facts = wishes(2000)
    handled: dict[str, int] = Counter()

    def counting(instance: str) -> Handle:
        reactions = desk.reactions()

        async def handle(batch: Sequence[Record]) -> None:
            await reactions.on_batch(batch)
            handled[instance] += len(batch)

        return handle

    async with desk.consuming(counting("1"), instance="1"):
        leaving = desk.member(counting("2"), "2")
        await leaving.start()
        try:
            await send(producer, desk.topic, facts[:1000])
            await until(lambda: handled["1"] > 50 and handled["2"] > 50, "both are at work")
            await asyncio.gather(leaving.stop(), send(producer, desk.topic, facts[1000:]))
        finally:
            await leaving.stop()
        await desk.caught_up()
    assert handled["1"] + handled["2"] >= 2000
    opened = await desk.store.commits.find({}, {"stream": 1, "first": 1}).to_list(None)
    assert len(opened) == 2000
    assert {d["stream"] for d in opened} == {stream_id("case", r.story) for r in facts}
    assert {d["first"] for d in opened} == {1}
    assert await desk.home["parked"].count_documents({}) == 0


async def test_a_member_that_joins_in_the_middle_takes_over_without_a_gap(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    reactions, by_instance = desk.reactions(), dict[str, list[tuple[int, int]]]()

    def noting(instance: str) -> Handle:
        async def handle(batch: Sequence[Record]) -> None:
            await reactions.on_batch(batch)
            by_instance.setdefault(instance, []).extend(place(record) for record in batch)

        return handle

    facts = wishes(600)
    await send(producer, desk.topic, facts[:300])
    async with (
        desk.consuming(noting("1"), instance="1"),
        desk.consuming(noting("2"), instance="2"),
    ):
        await send(producer, desk.topic, facts[300:])
        await desk.caught_up()
    handled = [p for places in by_instance.values() for p in places]
    assert len(set(handled)) == 600
    assert await desk.commits() == 600


async def test_a_fact_of_a_newer_build_waits_and_is_not_skipped(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    (recorded,) = wishes(1)
    key, _, headers = to_wire(recorded)
    newer = [(k, b"wishgrid.wish-submitted.v2" if k == "ce_type" else v) for k, v in headers]
    value = b'{"type": "wish-submitted.v2", "by": "resident:x"}'
    await producer.send_and_wait(desk.topic, value, key=key, headers=newer)
    reactions = desk.reactions()
    async with desk.consuming(reactions.on_batch):
        await until(lambda: reactions.lacks is not None, "it says what it lacks")
        assert "wish-submitted.v2" in str(reactions.lacks)
        assert await offsets_in_kafka(desk.kafka, desk.group()) == {}
    assert await desk.home["parked"].count_documents({}) == 0


async def test_an_unreadable_fact_holds_back_what_follows_in_its_story(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    sick, well = wishes(2)
    await producer.send_and_wait(desk.topic, b"{", key=sick.story.encode(), partition=0)
    for each in (sick, well):
        key, value, headers = to_wire(each)
        await producer.send_and_wait(desk.topic, value, key=key, headers=headers, partition=0)
    async with desk.consuming():

        async def parked() -> bool:
            return await desk.home["parked"].count_documents({"story": sick.story}) == 2

        await until(parked, "both wait")
        await until(lambda: desk.asked.total() == 1, "the other one flows")


async def test_an_unreadable_fact_holds_back_nothing_that_came_before_it(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    wish = whole_story(new_story())[0]
    await send(producer, desk.topic, wish[:1])
    await producer.send_and_wait(desk.topic, b"{", key=wish[0].story.encode())
    await send(producer, desk.topic, wish[1:2])
    async with reader(desk.kafka, desk.topic) as read:
        await desk.reactions().on_batch(await read.to_the_end())  # one batch
    assert await desk.commits() == 1
    parked = await desk.home["parked"].find().to_list(None)
    assert {document["fact"] for document in parked} == {None, wish[1].id}


async def test_what_was_seen_is_as_durable_as_what_was_stored(desk: Desk) -> None:
    """The offset is committed after it: what a crash took back would never be written again, and
    whoever waits for it would wait for ever."""
    assert desk.reactions()._seen.write_concern == DURABLE
