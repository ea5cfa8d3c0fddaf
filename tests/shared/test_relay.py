"""The relay: all that is stored arrives in Kafka, in order, and nothing is lost on the way."""

import asyncio
from collections.abc import Iterator

import pytest
from pymongo.read_concern import ReadConcern

from shared.contracts.recorded import Recorded
from shared.lease import Lost
from shared.mongo import ChangeFeed, Client, Document
from shared.outgoing import Outgoing
from shared.store import History
from tests.conftest import (
    Reader,
    cancelled,
    facts_to,
    following,
    new_story,
    reader,
    submitted,
    until,
    wish_commit,
)
from tests.shared.line import Line, assert_in_order, ce_id, first_of_each, ids, stories

pytestmark = pytest.mark.stack


async def hold_majority(mongo: Client, mode: str) -> None:
    """Whether the server stops telling what a majority has."""
    await mongo.admin.command({"configureFailPoint": "disableSnapshotting", "mode": mode})


async def test_all_that_is_appended_arrives_in_order_per_stream(line: Line) -> None:
    async with line.running(line.relay()):
        streams = stories(20)
        facts: list[Recorded] = []
        for step in range(3):
            facts += await line.append(*(commits[step] for commits in streams))
        seen = first_of_each(await line.arrived(facts))
    assert_in_order(seen)
    assert sorted(seen, key=lambda r: r.id) == sorted(facts, key=lambda r: r.id)


async def test_a_record_is_a_cloud_event_under_the_key_of_its_story(line: Line) -> None:
    commit = wish_commit()
    async with line.running(line.relay()):
        (fact,) = await line.append(commit)
        (record,) = await line.arrived([fact])
    assert record.key == fact.story.encode()
    headers = {name: value.decode() for name, value in record.headers}
    assert headers == {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": f"{commit.stream}@1",
        "ce_source": "/wishgrid/wish",
        "ce_type": "wishgrid.wish-submitted.v1",
        "ce_subject": fact.story,
        "ce_time": "2026-03-02T00:00:00.000+00:00",
        "ce_dataschema": "urn:wishgrid:schema:wish-submitted.v1",
        "ce_streamversion": "1",
        "ce_recordedtime": "2026-03-02T00:00:00.000+00:00",
        "ce_commandid": commit.cause.command_id,
        "ce_correlationid": "c-1",
        "ce_town": "t3",
        "ce_profileversion": commit.profile,
    }


async def test_what_was_stored_before_the_very_first_start_arrives(line: Line) -> None:
    facts = await line.append(*(wish_commit() for _ in range(50)))
    async with line.running(line.relay()):
        facts += await line.append(*(wish_commit() for _ in range(50)))
        seen = first_of_each(await line.arrived(facts))
    assert len(seen) == 100


async def test_a_relay_killed_before_it_saved_repeats_and_loses_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = line.relay("a")
    save = relay._save

    async def killed(feed: ChangeFeed, *, force: bool) -> None:
        if relay.published:
            raise asyncio.CancelledError
        await save(feed, force=force)

    async with line.running(relay) as task:
        await until(lambda: relay.leading, "the relay leads")
        before = await line.append(wish_commit())
        await line.arrived(before)
        await until(lambda: relay.published > 0, "the first was acknowledged")
        monkeypatch.setattr(relay, "_save", killed)
        facts = await line.append(*(wish_commit() for _ in range(20)))
        await until(task.done, "the relay is killed between publishing and saving")
    meanwhile = await line.append(*(wish_commit() for _ in range(20)))
    async with line.running(line.relay("b")):
        records = await line.arrived(before + facts + meanwhile)
    seen = [ce_id(record) for record in records]
    assert ids(records) == {r.id for r in before + facts + meanwhile}
    assert len(seen) > len(set(seen))  # what was published and not saved came again
    assert len(first_of_each(records)) == 41


async def test_an_error_between_publishing_and_saving_loses_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = line.relay()
    save = relay._save
    raised = 0

    async def failing(feed: ChangeFeed, *, force: bool) -> None:
        nonlocal raised
        if force and relay.published and not raised:
            raised += 1
            raise Lost("relay")
        await save(feed, force=force)

    monkeypatch.setattr(relay, "_save", failing)
    async with line.running(relay):
        facts = await line.append(*(wish_commit() for _ in range(20)))
        await line.arrived(facts)
        await until(lambda: raised == 1, "saving failed once")
        facts += await line.append(*(wish_commit() for _ in range(20)))
        assert len(first_of_each(await line.arrived(facts))) == 40


async def test_what_no_majority_had_when_the_stream_was_opened_arrives(
    line: Line, mongo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored before the stream begins, and not yet readable at majority: a scan that does not
    wait for it misses it, and so does the stream."""
    relay, commit = line.relay(), wish_commit()
    really, appending = ChangeFeed.open, list[asyncio.Task[None]]()
    here = line.store.commits.with_options(read_concern=ReadConcern("local"))

    async def stored() -> bool:
        return await here.find_one({"stream": commit.stream}) is not None

    async def open_late(feed: ChangeFeed, after: Document | None) -> None:
        await hold_majority(mongo, "alwaysOn")
        appending.append(asyncio.create_task(line.store.append(commit)))
        await until(stored, "the commit is stored")
        await really(feed, after)

    renew = relay._lease.renew

    async def renew_again(**fields: object) -> None:
        await hold_majority(mongo, "off")
        await renew(**fields)

    monkeypatch.setattr(ChangeFeed, "open", open_late)
    monkeypatch.setattr(relay._lease, "renew", renew_again)
    try:
        async with line.running(relay):
            await line.arrived(commit.recorded_facts())
            await asyncio.gather(*appending)
    finally:
        await hold_majority(mongo, "off")


@pytest.mark.parametrize("end", ["released", "died"])
async def test_of_two_relays_one_leads_and_the_other_takes_over(
    line: Line, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    first, second = line.relay("a"), line.relay("b")

    async def not_released() -> None:
        """A process that is killed says nothing; its term must run out."""

    if end == "died":
        monkeypatch.setattr(first._lease, "release", not_released)
    async with line.running(first) as leader:
        await until(lambda: first.leading, "the first leads")
        async with line.running(second):
            facts = await line.append(*(wish_commit() for _ in range(20)))
            await line.arrived(facts)
            assert first.leading
            assert not second.leading
            await cancelled(leader)
            facts += await line.append(*(wish_commit() for _ in range(20)))
            await until(lambda: second.leading, "the second leads")
            facts += await line.append(*(wish_commit() for _ in range(20)))
            seen = first_of_each(await line.arrived(facts))
    assert {r.id for r in seen} == {r.id for r in facts}
    assert (await line.saved())["owner"] == "b"


async def test_a_leader_that_lost_its_lease_to_another_stops_leading(line: Line) -> None:
    first, second = line.relay("a"), line.relay("b")
    async with line.running(first):
        await until(lambda: first.leading, "the first leads")
        await line.home["leases"].update_one(  # as if it had slept past its term
            {"_id": "relay"}, {"$set": {"owner": "b"}, "$inc": {"epoch": 1}}
        )
        facts = await line.append(*(wish_commit() for _ in range(5)))
        await until(lambda: not first.leading, "the first is told")
        async with line.running(second):
            await until(lambda: second.leading, "the second leads")
            facts += await line.append(*(wish_commit() for _ in range(5)))
            await line.arrived(facts)


async def test_what_a_consumer_sees_of_1000_commits_is_what_is_stored(line: Line) -> None:
    """Two relays; the leader is killed in the middle, again and again."""
    streams = stories(167)  # 334 streams of 3 commits
    relays = [asyncio.create_task(line.relay(f"{n}").run()) for n in range(2)]
    facts: list[Recorded] = []

    async def write() -> None:
        for step in range(3):
            for at in range(0, len(streams), 50):
                facts.extend(await line.append(*(c[step] for c in streams[at : at + 50])))

    async def kill_leaders(read: Reader) -> None:
        for n in range(3):
            enough = (n + 1) * 300
            await read.until(lambda records, e=enough: len(records) > e, "some arrive")  # type: ignore[misc]
            owner = (await line.saved()).get("owner", "0")
            await cancelled(relays[int(owner)])
            relays[int(owner)] = asyncio.create_task(line.relay(owner).run())

    try:
        async with reader(line.kafka, line.topic) as read:
            await asyncio.gather(write(), kill_leaders(read))
            wanted = {r.id for r in facts}
            records = await read.until(lambda found: wanted <= ids(found), "all arrive")
    finally:
        for relay in relays:
            await cancelled(relay)
    seen = first_of_each(records)
    assert_in_order(seen)
    stored = [
        recorded
        for commits in streams
        for commit in (await line.store.load(commits[0].stream)).commits
        for recorded in commit.recorded_facts()
    ]
    assert await line.store.commits.count_documents({}) == 1002
    assert sorted(seen, key=lambda r: r.id) == sorted(stored, key=lambda r: r.id)


async def test_a_commit_near_the_limit_goes_through(line: Line) -> None:
    story = new_story()
    history = History(wish_commit(story).stream)
    large = following(history, *[submitted(story, 250_000)] * 8)
    async with line.running(line.relay()):
        facts = await line.append(large)
        assert_in_order(first_of_each(await line.arrived(facts)))


async def test_a_commit_that_does_not_read_makes_the_relay_stand_still_and_say_so(
    line: Line,
) -> None:
    first, second = (told[0] for told in stories(2)[:2])
    await line.append(first)
    broken = {"$set": {"facts.0.words": "not sealed"}}
    key = {"stream": first.stream}
    good = await line.store.commits.find_one(key)
    await line.store.commits.update_one(key, broken)
    relay = line.relay()
    async with line.running(relay):
        await until(lambda: relay.fault is not None, "it says what does not read")
        assert "words" in str(relay.fault)
        assert "not sealed" not in str(relay.fault)
        assert good is not None
        await line.store.commits.replace_one(key, good)  # mended
        await line.arrived([*first.recorded_facts(), *await line.append(second)])
        await until(lambda: relay.fault is None, "it is well again")


async def test_facts_do_not_wait_for_an_answer_that_nobody_can_be_given(line: Line) -> None:
    def outlet(recorded: Recorded) -> Iterator[Outgoing]:
        yield from facts_to(line.topic)(recorded)
        yield Outgoing(f"{line.topic}.gone", b"k", b"{}", [], optional=True)

    relay = line.relay()
    relay._outlet = outlet
    facts = await line.append(*(wish_commit(new_story()) for _ in range(3)))
    async with line.running(relay):
        await line.arrived(facts)
        later = await line.append(wish_commit(new_story()))
        await line.arrived([*facts, *later])
    assert relay.published == len(facts) + len(later)
