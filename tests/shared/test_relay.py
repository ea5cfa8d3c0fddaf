"""The relay: all that is stored arrives in Kafka, in order, and nothing is lost on the way."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import pytest
from bson import Timestamp
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from deploy.local.servers import Servers
from shared.contracts.base import FactId
from shared.contracts.recorded import Recorded, from_wire
from shared.kafka import Record, fact_producer
from shared.kafka_access import KafkaAccess
from shared.lease import Lease, Lost
from shared.mongo import ChangeFeed, Client, Database, Document
from shared.mongo_store import MongoStore
from shared.outgoing import Outgoing
from shared.relay import MARGIN_SECONDS, Relay
from shared.store import Commit, History
from tests.conftest import (
    Reader,
    cancelled,
    facts_to,
    following,
    new_story,
    reader,
    submitted,
    until,
    whole_story,
    wish_commit,
)

pytestmark = pytest.mark.stack

LEASE_SECONDS = 1.0


class Line:
    """A store, a topic, and relays between them."""

    def __init__(self, kafka: KafkaAccess, home: Database, topic: str) -> None:
        self.kafka = kafka
        self.home = home
        self.topic = topic
        self.store = MongoStore(home)

    def relay(self, owner: str = "a") -> Relay:
        """A relay under the line's one lease."""
        lease = Lease(self.home["leases"], "relay", owner, LEASE_SECONDS)
        return Relay(
            self.store.commits,
            lease,
            facts_to(self.topic),
            lambda: fact_producer(self.kafka, f"relay-{owner}"),
            lease_seconds=LEASE_SECONDS,
        )

    @asynccontextmanager
    async def running(self, relay: Relay) -> AsyncIterator["asyncio.Task[None]"]:
        """The relay as a task that is ended with the block."""
        task = asyncio.create_task(relay.run())
        try:
            yield task
        finally:
            await cancelled(task)

    async def append(self, *commits: Commit) -> list[Recorded]:
        """Store them; their facts."""
        await asyncio.gather(*(self.store.append(commit) for commit in commits))
        return [recorded for commit in commits for recorded in commit.recorded_facts()]

    async def arrived(self, facts: Iterable[Recorded]) -> list[Record]:
        """The topic's records, once all these facts are among them."""
        wanted = {recorded.id for recorded in facts}
        async with reader(self.kafka, self.topic) as read:
            return await read.until(lambda records: wanted <= ids(records), "all facts arrive")

    async def saved(self) -> Document:
        """The lease with what the relay keeps in it."""
        document = await self.home["leases"].find_one({"_id": "relay"})
        return document or {}


@pytest.fixture
async def line(stack_servers: Servers, home: Database, topic: str) -> AsyncIterator[Line]:
    line = Line(stack_servers.kafka, home, topic)
    await line.store.prepare()
    yield line
    await line.store.close()


async def hold_majority(mongo: Client, mode: str) -> None:
    """Whether the server stops telling what a majority has."""
    await mongo.admin.command({"configureFailPoint": "disableSnapshotting", "mode": mode})


def ce_id(record: Record) -> FactId:
    return FactId(dict(record.headers)["ce_id"].decode())


def ids(records: Iterable[Record]) -> set[FactId]:
    return {ce_id(record) for record in records}


def first_of_each(records: Iterable[Record]) -> list[Recorded]:
    """What a consumer sees that drops what it has seen: in order, each ce_id once."""
    seen: dict[FactId, Recorded] = {}
    for record in records:
        recorded = from_wire(record.value, record.headers)
        known = seen.setdefault(recorded.id, recorded)
        assert known == recorded  # the same id is the same fact
    return list(seen.values())


def assert_in_order(facts: Iterable[Recorded]) -> None:
    """Each stream begins at 1 and has no gap."""
    versions: dict[str, list[int]] = defaultdict(list)
    for recorded in facts:
        versions[recorded.stream].append(recorded.version)
    for stream, seen in versions.items():
        assert seen == list(range(1, len(seen) + 1)), stream


def stories(count: int) -> list[list[Commit]]:
    """For each story one commit after the other, of one or two facts."""
    told = []
    for _ in range(count):
        wish, case = whole_story(new_story())
        for facts in (wish, case):
            history = History(facts[0].stream)
            for at in range(0, len(facts), 2):
                commit = following(history, *(r.fact for r in facts[at : at + 2]))
                history = History(history.stream, (*history.commits, commit))
            told.append(list(history.commits))
    return told


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


@pytest.mark.parametrize("code", [286, 280])
async def test_a_lost_token_does_not_lose_what_was_committed_meanwhile(
    line: Line, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async with line.running(line.relay()):
        before = await line.append(*(wish_commit() for _ in range(5)))
        await line.arrived(before)

        async def saved() -> bool:
            return "token" in await line.saved()

        await until(saved, "a token is saved")
    meanwhile = await line.append(*(wish_commit() for _ in range(20)))
    opened: list[Document | None] = []
    really = ChangeFeed.open

    async def lost(feed: ChangeFeed, after: Document | None) -> None:
        opened.append(after)
        if after is not None and len(opened) == 1:
            raise OperationFailure("the resume point may no longer be in the oplog", code)
        await really(feed, after)

    monkeypatch.setattr(ChangeFeed, "open", lost)
    async with line.running(line.relay()):
        afterwards = await line.append(*(wish_commit() for _ in range(20)))
        records = await line.arrived(before + meanwhile + afterwards)
    assert [token is None for token in opened] == [False, True]
    assert len(first_of_each(records)) == 45


async def test_after_a_lost_token_what_is_known_to_be_out_is_not_scanned(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line.running(line.relay()):
        old = await line.append(*(wish_commit() for _ in range(5)))
        await line.arrived(old)
    long_after = Timestamp(int(time.time()) + MARGIN_SECONDS + 60, 0)
    await line.home["leases"].update_one({"_id": "relay"}, {"$set": {"cluster_time": long_after}})
    really, opened = ChangeFeed.open, asyncio.Event()

    async def lost(feed: ChangeFeed, after: Document | None) -> None:
        if after is not None:
            raise OperationFailure("the resume point may no longer be in the oplog", 286)
        await really(feed, after)
        opened.set()

    monkeypatch.setattr(ChangeFeed, "open", lost)
    relay = line.relay()
    async with line.running(relay):
        await until(opened.is_set, "the new stream is open")
        new = await line.append(*(wish_commit() for _ in range(5)))
        records = await line.arrived(old + new)
    known = {r.id for r in old}
    assert len([record for record in records if ce_id(record) in known]) == 5


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
