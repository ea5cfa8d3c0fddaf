"""A topic ahead of its store: nothing is served before the store has what it lacks."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import CommitFailedError

from deploy.local.servers import Servers
from shared.contracts.base import StreamId
from shared.contracts.recorded import Recorded
from shared.errors import NotReady
from shared.kafka import Record, fact_producer
from shared.kafka_access import KafkaAccess
from shared.lease import Lease
from shared.marks import Marks, marks_in
from shared.mongo import Database, Document
from shared.mongo_store import MongoStore
from shared.relay import Relay
from shared.restored import is_restored, note_restored
from shared.store import Commit, History
from shared.taking_in import TAKE_IN, TakeIn
from tests.conftest import facts_to, following, new_story, reader, send, until, whole_story
from tests.shared.line import LEASE_SECONDS, Line, assert_in_order, first_of_each, stories

pytestmark = pytest.mark.stack
NOWHERE = KafkaAccess("127.0.0.1:1")


class Service:
    """One instance of a writing service whose streams are wishes, and its topic."""

    def __init__(
        self, line: Line, owner: str = "a", kafka: KafkaAccess | None = None, failures: int = 0
    ) -> None:
        self.line = line
        self.store = MongoStore(line.home)
        self.marks = Marks(line.topic)
        self.began_anew = 0
        self._failures = failures
        self.taken_in = TakeIn(
            line.home,
            self.store,
            kafka or line.kafka,
            self.marks,
            "wish",
            Lease(line.home["leases"], TAKE_IN, owner, 5),
            self._again,
        )
        self.relay = Relay(
            self.store.commits,
            Lease(line.home["leases"], "relay", owner, LEASE_SECONDS),
            facts_to(line.topic),
            lambda: fact_producer(line.kafka, f"relay-{owner}"),
            lease_seconds=LEASE_SECONDS,
            marks=self.marks,
        )

    async def _again(self) -> None:
        if self._failures:
            self._failures -= 1
            raise CommitFailedError("it still has members")
        self.began_anew += 1

    async def relayed(self, facts: Sequence[Recorded]) -> list[Record]:
        """Relay until all facts are in the topic, and the lease says so."""
        async with self.line.running(self.relay):
            records = await self.line.arrived(facts)
            last = {record.partition: record.offset for record in records}

            async def marked() -> bool:
                marks = marks_in(await self.line.saved(), self.line.topic)
                return {n: m.next - 1 for n, m in marks.items()} == last

            await until(marked, "the marks are saved", seconds=60)
        return records


@pytest.fixture
def line(stack_servers: Servers, home: Database, topic: str) -> Line:
    return Line(stack_servers.kafka, home, topic)


def wishes(count: int) -> list[list[Commit]]:
    return [commits for commits in stories(count) if commits[0].stream.startswith("wish-")]


async def dump(line: Line) -> tuple[list[Document], list[Document]]:
    """Commits and leases, as a backup of the files of a database would have them."""
    both = line.home["commits"], line.home["leases"]
    commits, leases = [await each.find().sort("_id", 1).to_list(None) for each in both]
    return commits, leases


async def put_back(line: Line, dumped: tuple[list[Document], list[Document]]) -> None:
    for collection, documents in zip(("commits", "leases"), dumped, strict=True):
        await line.home[collection].delete_many({})
        if documents:
            await line.home[collection].insert_many(documents)


def untimed(commits: Sequence[Document]) -> list[Document]:
    return [{k: v for k, v in commit.items() if k not in ("ts", "request")} for commit in commits]


def wire(record: Record) -> tuple[Any, ...]:
    return record.key, record.value, tuple(record.headers)


async def test_a_store_that_lost_its_last_part_takes_it_in_from_the_topic(line: Line) -> None:
    told = wishes(6)
    service = Service(line)
    early = await line.append(*(commits[0] for commits in told))
    await service.relayed(early)
    backup = await dump(line)
    late = [
        each for n in (1, 2) for commits in told for each in await line.append(*commits[n : n + 1])
    ]
    records = await service.relayed([*early, *late])
    before, _ = await dump(line)
    await put_back(line, backup)

    restored = Service(line)
    with pytest.raises(NotReady, match="has not been compared"):
        await restored.store.load(told[0][0].stream)
    await restored.taken_in.run()
    after, _ = await dump(line)
    assert untimed(after) == untimed(before)
    assert restored.began_anew == 1
    assert not await is_restored(line.home)
    history = await restored.store.load(told[0][0].stream)
    assert history.decided_by(told[0][1].cause.command_id) == told[0][1]
    async with line.running(restored.relay):  # what was taken in goes out once more, the same

        async def repeated() -> bool:
            async with reader(line.kafka, line.topic) as read:
                again = await read.to_the_end()
            assert set(map(wire, again)) == set(map(wire, records))
            assert_in_order(first_of_each(again))
            return len(again) >= len(records) + len(late)

        await until(repeated, "the relay repeats what was taken in", seconds=60)
    assert (Service(line).store.shut, restored.store.shut) == (restored_is_shut(), None)


def restored_is_shut() -> str:
    return "the topic has not been compared with the store yet"


async def test_a_start_reads_no_further_back_than_its_marks(line: Line) -> None:
    """Else it would find what was taken out of the store behind them."""
    told = wishes(8)
    service = Service(line)
    early = [each for commit in told[0] for each in await line.append(commit)]
    await service.relayed(early)
    late = [
        each for commits in told[1:] for commit in commits for each in await line.append(commit)
    ]
    await service.relayed([*early, *late])
    marks = marks_in(await line.saved(), line.topic)
    named = {str(mark.own).rpartition("@")[0] for mark in marks.values()}
    unnamed = next(c[0].stream for c in told if c[0].stream not in named)
    await line.home["commits"].delete_many({"stream": unnamed})
    started = Service(line)
    await started.taken_in.run()
    assert started.began_anew == 0
    assert started.marks.by_partition == marks
    # A mark whose fact is not in the store proves nothing, and all of its partition is read.
    mark = marks[await _partition(line, unnamed)]
    own = StreamId(str(mark.own).rpartition("@")[0])
    await line.home["commits"].delete_many({"stream": own})
    suspicious = Service(line)
    await suspicious.taken_in.run()
    assert suspicious.taken_in.fault is None
    assert suspicious.began_anew == 1
    for stream in (own, unnamed):
        assert (await suspicious.store.load(stream)).version > 0


async def _partition(line: Line, stream: StreamId) -> int:
    story = stream.partition("-")[2].encode()
    async with reader(line.kafka, line.topic) as read:
        return next(r.partition for r in await read.to_the_end() if r.key == story)


async def test_marks_of_another_topic_under_the_same_name_are_not_believed(
    line: Line, producer: AIOKafkaProducer
) -> None:
    commits = wishes(1)[0]
    facts = [each for commit in commits for each in commit.recorded_facts()]
    await line.append(commits[0])
    await send(producer, line.topic, facts)
    (partition,) = {r.partition for r in await line.arrived(facts)}
    own = commits[0].position
    for following_offset, last in ((len(facts), "wish-other@1"), (500, own)):
        mark = {"next": following_offset, "last": last, "own": own}
        known = {"topic": line.topic, "marks": {str(partition): mark}}
        update = {"$set": {"known": known}}
        await line.home["leases"].update_one({"_id": "relay"}, update, upsert=True)
        await line.home["commits"].delete_many({"first": {"$gt": 1}})
        service = Service(line)
        await service.taken_in.run()
        assert (await service.store.load(commits[0].stream)).version == facts[-1].version


async def test_a_fact_behind_the_marks_on_which_another_follows_is_found_too(
    line: Line, producer: AIOKafkaProducer
) -> None:
    wish = whole_story(new_story())[0]
    facts = [replace(r, command_id=f"{r.id}#") for r in wish]  # type: ignore[arg-type]  # an id
    await send(producer, line.topic, facts)
    (partition,) = {r.partition for r in await line.arrived(facts)}
    await line.append(_commit(facts[0]))
    mark = {"next": 3, "last": facts[2].id, "own": None}
    known = {"topic": line.topic, "marks": {str(partition): mark}}
    await line.home["leases"].insert_one({"_id": "relay", "known": known})
    service = Service(line)
    await service.taken_in.run()
    assert (await service.store.load(wish[0].stream)).version == len(wish)


def _commit(recorded: Recorded) -> Commit:
    commit = following(History(recorded.stream), recorded.fact, command=recorded.command_id)
    return replace(commit, occurred=recorded.occurred, recorded=recorded.recorded)


async def test_a_fact_that_was_lost_and_published_again_is_taken_in_out_of_its_turn(
    line: Line, producer: AIOKafkaProducer
) -> None:
    wish = whole_story(new_story())[0]
    facts = [replace(r, command_id=f"{r.id}#") for r in wish]  # type: ignore[arg-type]  # an id
    await send(producer, line.topic, [facts[0], *facts[2:], *facts])
    service = Service(line)
    await service.taken_in.run()
    assert (await service.store.load(wish[0].stream)).version == len(wish)


async def test_what_cannot_be_brought_together_is_served_by_nobody(
    line: Line, producer: AIOKafkaProducer
) -> None:
    wish = whole_story(new_story())[0]
    facts = [replace(r, command_id=f"{r.id}#") for r in wish]  # type: ignore[arg-type]  # an id
    await send(producer, line.topic, [facts[0], facts[2]])
    stream = wish[0].stream
    holed = Service(line)
    await holed.taken_in.run()
    why = f"{stream}@2 is neither in the store nor in the topic, and what follows it is in the"
    assert str(holed.taken_in.fault).startswith(why)
    assert not holed.taken_in.done.is_set()
    with pytest.raises(NotReady, match="is neither in the store nor"):
        await holed.store.append(_commit(facts[0]))
    noted = await line.home["restore"].find_one() or {}
    assert (noted["state"], str(noted["why"]).startswith(why)) == ("restored", True)

    await line.home["commits"].delete_many({})
    await line.append(replace(_commit(facts[0]), profile="t3:9"))  # type: ignore[arg-type]  # an id
    apart = Service(line)
    await apart.taken_in.run()
    assert apart.taken_in.fault == f"{stream}@1 is another fact in the topic than in the store"


async def test_two_instances_that_start_at_once_take_in_once(line: Line) -> None:
    told = wishes(30)
    facts = [each for commits in told for each in await line.append(*commits[:1])]
    facts += [each for commits in told for each in await line.append(*commits[1:2])]
    await Service(line).relayed(facts)
    before, _ = await dump(line)
    await put_back(line, ([], []))
    await note_restored(line.home)
    both = [Service(line, "a", failures=2), Service(line, "b", failures=2)]
    await asyncio.gather(*(each.taken_in.run() for each in both))
    after, _ = await dump(line)
    assert untimed(after) == untimed(before)
    assert sum(each.began_anew for each in both) == 1
    assert not await is_restored(line.home)
    assert [each.store.shut for each in both] == [None, None]


async def test_without_kafka_a_store_is_served_unless_it_was_restored(line: Line) -> None:
    commits = wishes(1)[0]
    service = Service(line, kafka=NOWHERE)
    running = asyncio.create_task(service.taken_in.run())
    try:
        await service.taken_in.looked()
        await service.store.append(commits[0])
        assert not service.taken_in.done.is_set()  # and nothing is relayed or reacted to
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    await note_restored(line.home)
    restored = Service(line, kafka=NOWHERE)
    running = asyncio.create_task(restored.taken_in.run())
    try:
        why = "it was restored: Kafka must be asked what it lacks first"
        await until(lambda: restored.store.shut == why, "it says why", seconds=60)
        with pytest.raises(NotReady, match="it was restored"):
            await restored.store.append(commits[1])
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
