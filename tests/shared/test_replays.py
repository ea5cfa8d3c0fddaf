"""Parked stories tried again: in order, once each, whatever arrives or dies meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from pymongo import InsertOne
from structlog.testing import capture_logs

from services.dispatch.commands import CaseCommand
from services.dispatch.policies import react
from shared.contracts.base import EventId, EventSource, PartnerId, Request, StoryId
from shared.contracts.intake import UnitReportReceived, WishWithdrawn
from shared.contracts.recorded import Recorded, stream_id, to_wire
from shared.contracts.registry import AnyFact
from shared.kafka import Gate
from shared.mongo import Document
from shared.parking import BEHIND, Waiting
from shared.policy import Policy, Reaction
from shared.replays import AT_A_TIME, REPLAYS
from shared.town import Town
from tests.conftest import OFFICER, UNIT, new_story, send, submitted, told, until
from tests.shared.desk import Desk, wishes

pytestmark = pytest.mark.stack


def eventful(story: StoryId, reports: int = 3) -> list[Recorded]:
    """A wish, reports of a unit that nobody sent, each of which is answered, and its end."""
    asked = [
        Request(partner=PartnerId("p"), source=EventSource("/p"), id=EventId(f"e-{n}"))
        for n in range(reports)
    ]
    arrivals = [UnitReportReceived(by=OFFICER, unit=UNIT, request=each) for each in asked]
    facts: list[AnyFact] = [submitted(story), *arrivals, WishWithdrawn(by=OFFICER)]
    return told(stream_id("wish", story), *([fact] for fact in facts))


def raising(sick: StoryId, *versions: int) -> Policy[CaseCommand]:
    """A policy with a bug that shows at these facts of one story."""

    def policy(recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
        if recorded.story == sick and recorded.version in versions:
            raise LookupError(f"a rule with a bug at {recorded.version}")
        return react(recorded, town)

    return policy


async def ask(desk: Desk, *stories: StoryId) -> None:
    for story in stories:
        asked = {"_id": story, "asked": datetime.now(UTC), "done": False, "handled": 0}
        await desk.home[REPLAYS].insert_one(asked)


async def done(desk: Desk, story: StoryId) -> Document:
    """What was said of the replay, once it is done."""
    said: list[Document] = []

    async def is_done() -> bool:
        said[:] = await desk.home[REPLAYS].find({"_id": story, "done": True}).to_list(None)
        return bool(said)

    await until(is_done, "the replay is done")
    return said[0]


async def parked_facts(desk: Desk) -> list[str]:
    found = await desk.home["parked"].find().to_list(None)
    return sorted(document["_id"] for document in found)


async def case_of(desk: Desk, story: StoryId) -> list[tuple[dict[str, Any], str | None]]:
    """The case as facts with their causes, as it would read in any story."""
    history = await desk.store.load(stream_id("case", story))
    return [
        (fact.model_dump(), str(commit.cause.causation).replace(story, "story"))
        for commit in history.commits
        for fact in commit.facts
    ]


async def park(desk: Desk, producer: AIOKafkaProducer, facts: Sequence[Recorded], at: int) -> None:
    """Send the facts while the policy raises at one of them; then it is mended."""
    desk.policy = raising(facts[0].story, at)
    await send(producer, desk.topic, facts)
    async with desk.consuming():
        await desk.caught_up()
    assert len(await parked_facts(desk)) == len(facts) - at + 1
    desk.policy = react


async def test_a_story_that_was_parked_ends_as_one_that_never_was(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    sick, well = new_story(), new_story()
    await send(producer, desk.topic, eventful(well))
    await park(desk, producer, eventful(sick), at=1)
    assert await case_of(desk, sick) == []
    await ask(desk, sick)
    async with desk.replaying():
        said = await done(desk, sick)
    assert (said["handled"], said["left"], said["reason"]) == (5, 0, None)
    assert await parked_facts(desk) == []
    assert await case_of(desk, sick) == await case_of(desk, well)
    assert len(await case_of(desk, sick)) == 5
    seen = {d["_id"]: d["wish"] async for d in desk.home["seen"].find()}
    assert seen == {sick: 5, well: 5}


async def test_what_still_fails_stays_with_its_new_reason_and_holds_back_the_rest(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    sick = new_story()
    await park(desk, producer, eventful(sick), at=2)
    desk.policy = raising(sick, 4)
    await ask(desk, sick)
    async with desk.replaying():
        said = await done(desk, sick)
        assert (said["handled"], said["left"]) == (2, 2)
        assert said["reason"] == "LookupError: a rule with a bug at 4"
        reasons = {d["_id"]: d["reason"] async for d in desk.home["parked"].find()}
        assert reasons == {f"wish-{sick}@4": said["reason"], f"wish-{sick}@5": BEHIND}
        assert (await case_of(desk, sick))[-1][1] == "wish-story@3"
        await desk.home[REPLAYS].delete_many({})
        desk.policy = react
        await ask(desk, sick)
        assert (await done(desk, sick))["handled"] == 2
    assert [cause for _, cause in await case_of(desk, sick)] == [
        f"wish-story@{version}" for version in (1, 2, 3, 4, 5)
    ]


async def test_killed_between_handling_and_letting_go_it_is_done_again_and_doubles_nothing(
    desk: Desk, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, well = new_story(), new_story()
    await send(producer, desk.topic, eventful(well))
    await park(desk, producer, eventful(sick), at=1)
    reactions = desk.reactions()
    let_go, gone = reactions._parked.let_go, list[str]()

    async def killed(waiting: Waiting) -> None:
        if len(gone) == 2:
            raise asyncio.CancelledError
        await let_go(waiting)
        gone.append(waiting.name)

    monkeypatch.setattr(reactions._parked, "let_go", killed)
    await ask(desk, sick)
    async with desk.replaying(reactions=reactions) as job:
        await until(job.done, "it is killed in the middle")
    assert len(await case_of(desk, sick)) == 3
    assert await parked_facts(desk) == [f"wish-{sick}@{version}" for version in (3, 4, 5)]
    async with desk.replaying():
        await done(desk, sick)
    assert await parked_facts(desk) == []
    assert await case_of(desk, sick) == await case_of(desk, well)


async def test_facts_that_arrive_while_a_story_is_drained_are_handled_after_it(
    desk: Desk, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the consumer would park behind a story that is being drained would wait for ever, and
    what it would handle would overtake."""
    sick = new_story()
    facts = eventful(sick, reports=AT_A_TIME + 20)
    before = AT_A_TIME + 10
    await park(desk, producer, facts[:before], at=1)
    reactions, gate = desk.reactions(), Gate()
    on_parked, later = reactions.on_parked, [facts[before : before + 6], facts[before + 6 :]]

    async def meanwhile(waiting: Sequence[Waiting]) -> tuple[int, str | None]:
        await send(producer, desk.topic, later.pop(0) if later else [])

        async def met() -> bool:
            queued = bool(getattr(gate.lock, "_waiters", None))
            return queued or len(await parked_facts(desk)) > len(waiting)

        await until(met, "the consumer has what was sent, and waits for its turn")
        return await on_parked(waiting)

    monkeypatch.setattr(reactions, "on_parked", meanwhile)
    await ask(desk, sick)
    async with desk.replaying(reactions=reactions, gate=gate):
        await done(desk, sick)
        await desk.caught_up()
    assert not later  # some came while its first part was drained, some while its last was
    assert await parked_facts(desk) == []
    causes = [cause for _, cause in await case_of(desk, sick)]
    assert causes == [f"wish-story@{n}" for n in range(1, len(facts) + 1)]


async def test_of_two_instances_the_one_that_reads_the_story_drains_it(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    stories = [new_story() for _ in range(12)]
    desk.policy = lambda recorded, town: 1 / 0  # type: ignore[assignment, return-value]  # a bug
    await send(producer, desk.topic, [r for story in stories for r in eventful(story)])
    async with desk.consuming():
        await desk.caught_up()
    assert len(await parked_facts(desk)) == 60
    desk.policy = react
    at_work = Counter[str]()
    async with (
        desk.replaying("1", counted(desk, "1", at_work)),
        desk.replaying("2", counted(desk, "2", at_work)),
    ):
        await send(producer, desk.topic, wishes(60))
        await desk.caught_up()
        assert min(at_work["1"], at_work["2"]) > 0  # both read
        at_work.clear()
        await ask(desk, *stories)
        for story in stories:
            await done(desk, story)
    assert await parked_facts(desk) == []
    assert at_work["1"] > 0
    assert at_work["2"] > 0
    assert at_work["1"] + at_work["2"] == 60  # none was drained by both


def counted(desk: Desk, instance: str, at_work: Counter[str]) -> Any:
    """Reactions that count what they react to, by who does."""
    reactions = desk.reactions()
    bug = reactions._bug

    async def counting(recorded: Recorded, judged: set[str]) -> str | None:
        at_work[instance] += 1
        return await bug(recorded, judged)

    reactions._bug = counting  # type: ignore[method-assign]  # listened to
    return reactions


async def test_a_record_that_did_not_read_is_read_again(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    sick, garbled = new_story(), new_story()
    for story in (sick, garbled):
        first, *rest = eventful(story)
        key, _, headers = to_wire(first)
        await producer.send_and_wait(desk.topic, b"{", key=key, headers=headers)
        await send(producer, desk.topic, rest)
    async with desk.consuming():
        await desk.caught_up()
    assert await desk.home["parked"].count_documents({"fact": None}) == 2
    value = to_wire(eventful(sick)[0])[1]  # a later build reads what this one could not
    unread = {"story": sick, "fact": None}
    await desk.home["parked"].update_one(unread, {"$set": {"value": value}})
    await ask(desk, sick, garbled)
    async with desk.replaying():
        assert (await done(desk, sick))["left"] == 0
        said = await done(desk, garbled)
    assert (said["handled"], said["left"]) == (0, 5)
    assert said["reason"].startswith("unreadable: ")
    assert [cause for _, cause in await case_of(desk, sick)] == [
        f"wish-story@{version}" for version in (1, 2, 3, 4, 5)
    ]
    assert await case_of(desk, garbled) == []


async def test_why_a_replay_waits_is_told_without_what_was_to_be_written(
    desk: Desk, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bulk write lists in the text of its failure the documents that it holds."""
    sick, secret = new_story(), "3号楼的王阿姨"
    await park(desk, producer, eventful(sick), at=1)
    reactions = desk.reactions()

    async def refused(_: Sequence[Waiting]) -> tuple[int, str | None]:
        write = InsertOne({"_id": sick, "words": secret})
        await desk.home["taken"].bulk_write([write, write])
        return 0, None

    monkeypatch.setattr(reactions, "on_parked", refused)
    await ask(desk, sick)
    waits: list[str] = []

    async def waiting() -> bool:
        asked = await desk.home[REPLAYS].find_one({"_id": sick, "waits": {"$exists": True}})
        waits[:] = [] if asked is None else [asked["waits"]]
        return bool(waits)

    with capture_logs() as logged:
        async with desk.replaying(reactions=reactions):
            await until(waiting, "it is said why it waits")
    assert "a replay waits" in {line["event"] for line in logged}
    assert waits[0].startswith("BulkWriteError: E11000 duplicate key")
    assert secret not in f"{logged}{waits}"
