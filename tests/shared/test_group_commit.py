"""Many callers share one durable write, and each still gets an outcome of its own."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import AutoReconnect, BulkWriteError
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from deploy.local.servers import Servers
from shared.errors import OutcomeUnknown, Overloaded
from shared.group_commit import DUPLICATE_KEY, AlreadyThere, GroupInsert
from shared.mongo import Client, Collection, Database, database


def document(name: str, lane: str = "", size: int = 0) -> RawBSONDocument:
    """A document encoded as callers hand them in."""
    return RawBSONDocument(bson.encode({"_id": name, "lane": lane, "fill": "x" * size}))


class Held:
    """A collection whose writes wait until `go`, and that says what each flush held."""

    def __init__(self, *failures: Exception) -> None:
        self.go = asyncio.Event()
        self.flushes: list[list[Mapping[str, Any]]] = []
        self.together = 0
        self.most_together = 0
        self._failures = list(failures)

    async def insert_many(self, documents: Sequence[RawBSONDocument], *, ordered: bool) -> None:
        assert not ordered
        self.flushes.append([bson.decode(d.raw) for d in documents])
        self.together += 1
        self.most_together = max(self.together, self.most_together)
        await self.go.wait()
        self.together -= 1
        if self._failures:
            raise self._failures.pop(0)

    @property
    def names(self) -> list[list[str]]:
        return [[d["_id"] for d in flush] for flush in self.flushes]


def group(held: Held, **limits: int) -> GroupInsert:
    return GroupInsert(cast(Collection, held), **limits)


def queued(inserts: GroupInsert, *names: str) -> "list[asyncio.Task[None]]":
    """Callers, each in a lane by the first letter of its document."""
    return [asyncio.create_task(inserts.insert(n[0], document(n, n[0]))) for n in names]


async def turns(count: int = 5) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_waits_is_bounded_by_its_bytes_too_and_there_is_room_when_it_was_sent() -> None:
    held = Held()
    size = len(document("a1", "a").raw)
    inserts = group(held, queued_bytes=3 * size, in_flight=1, documents=1)
    callers = queued(inserts, "a1")
    await turns()  # it is on its way and waits no more
    callers += queued(inserts, "b1", "b2", "c1")
    await turns()
    with pytest.raises(Overloaded):
        await inserts.insert("d", document("d1", "d"))
    held.go.set()
    await asyncio.gather(*callers)
    await inserts.insert("d", document("d1", "d"))
    assert inserts.inserted == 5


async def test_callers_of_one_turn_share_a_flush() -> None:
    held = Held()
    inserts = group(held)
    callers = queued(inserts, "a1", "b1", "c1")
    await turns()
    assert held.names == [["a1", "b1", "c1"]]
    held.go.set()
    await asyncio.gather(*callers)
    assert (inserts.flushed, inserts.inserted) == (1, 3)


async def test_two_documents_of_one_lane_never_share_a_flush() -> None:
    held = Held()
    held.go.set()
    inserts = group(held)
    names = [f"{lane}{n}" for n in range(20) for lane in "abcde"]
    await asyncio.gather(*queued(inserts, *names))
    for flush in held.flushes:
        lanes = [d["lane"] for d in flush]
        assert len(lanes) == len(set(lanes))
    for lane in "abcde":  # and a lane keeps its order
        mine = [name for flush in held.names for name in flush if name[0] == lane]
        assert mine == [f"{lane}{n}" for n in range(20)]


async def test_while_two_flushes_wait_for_the_disk_the_third_fills() -> None:
    held = Held()
    inserts = group(held)
    callers = queued(inserts, "a1")
    await turns()
    callers += queued(inserts, "b1")
    await turns()
    callers += queued(inserts, "c1")
    await turns()
    callers += queued(inserts, "d1")
    await turns()
    assert held.names == [["a1"], ["b1"]]
    held.go.set()
    await asyncio.gather(*callers)
    assert held.names == [["a1"], ["b1"], ["c1", "d1"]]
    assert held.most_together == 2


async def test_a_flush_is_limited_in_documents_and_bytes() -> None:
    held = Held()
    held.go.set()
    few = group(held, documents=2)
    await asyncio.gather(*queued(few, "a1", "b1", "c1", "d1", "e1"))
    assert [len(flush) for flush in held.flushes] == [2, 2, 1]

    held.flushes.clear()
    small = group(held, size=1000)
    large = [document(name, name, size=600) for name in "abcd"]
    await asyncio.gather(*(small.insert(d["_id"], d) for d in large))
    assert [len(flush) for flush in held.flushes] == [2, 2]


async def test_the_next_caller_of_a_full_queue_is_told_at_once() -> None:
    held = Held()
    inserts = group(held, queue=3)
    callers = queued(inserts, "a1", "b1", "c1")
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await inserts.insert("d", document("d1"))
    held.go.set()
    await asyncio.gather(*callers)
    assert held.names == [["a1", "b1", "c1"]]


async def test_a_caller_cancelled_in_the_queue_is_never_sent() -> None:
    held = Held()
    inserts = group(held, in_flight=1)
    first = queued(inserts, "a1")
    await turns()
    waiting = queued(inserts, "b1", "c1")
    await turns()
    waiting[0].cancel()
    held.go.set()
    await asyncio.gather(*first, waiting[1])
    await inserts.drain()
    assert waiting[0].cancelled()
    assert held.names == [["a1"], ["c1"]]


async def test_a_caller_cancelled_in_flight_changes_nothing_for_the_others() -> None:
    held = Held()
    inserts = group(held)
    callers = queued(inserts, "a1", "b1", "c1")
    await turns()
    callers[1].cancel()
    await turns()
    held.go.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert results[0] is results[2] is None
    assert isinstance(results[1], asyncio.CancelledError)
    await inserts.insert("d", document("d1"))  # and the group goes on


async def test_when_all_callers_are_gone_the_queue_is_empty() -> None:
    held = Held()
    inserts = group(held, in_flight=1)
    first = queued(inserts, "a1")
    await turns()
    gone = queued(inserts, "b1", "c1")
    await turns()
    for caller in gone:
        caller.cancel()
    await turns()
    held.go.set()
    await inserts.drain()
    await asyncio.gather(*first)
    assert held.names == [["a1"]]


async def test_each_caller_of_a_mixed_flush_gets_its_own_outcome() -> None:
    written = {
        "writeErrors": [{"index": 1, "code": DUPLICATE_KEY}, {"index": 3, "code": 121}],
        "writeConcernErrors": [],
    }
    held = Held(BulkWriteError(written))
    held.go.set()
    callers = queued(group(held), "a1", "b1", "c1", "d1")
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(r) for r in results] == [type(None), AlreadyThere, type(None), OutcomeUnknown]


async def test_a_late_majority_makes_all_unknown_also_what_took_an_id() -> None:
    """Two of three mongods dead: the same sent again found its own write, which a majority had not,
    could not read it, and was told `conflict`."""
    late = {
        "writeErrors": [{"index": 1, "code": DUPLICATE_KEY}],
        "writeConcernErrors": [{"code": 64}],
    }
    held = Held(BulkWriteError(late))
    held.go.set()
    results = await asyncio.gather(*queued(group(held), "a1", "b1", "c1"), return_exceptions=True)
    assert [type(r) for r in results] == [OutcomeUnknown] * 3


async def test_a_broken_connection_makes_all_unknown_and_the_next_flush_goes_out() -> None:
    held = Held(AutoReconnect("gone"))
    held.go.set()
    inserts = group(held)
    results = await asyncio.gather(*queued(inserts, "a1", "b1"), return_exceptions=True)
    assert [type(r) for r in results] == [OutcomeUnknown, OutcomeUnknown]
    await inserts.insert("c", document("c1"))


async def test_a_failure_nobody_expected_leaves_no_caller_waiting() -> None:
    held = Held(RuntimeError("a bug in the driver"))
    inserts = group(held)
    callers = queued(inserts, "a1", "b1")
    held.go.set()
    told = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(each) for each in told] == [OutcomeUnknown, OutcomeUnknown]
    await inserts.insert("c", document("c1"))


class Watching(CommandListener):
    """Notes which documents each insert command carried to the server."""

    def __init__(self) -> None:
        self.inserts: list[list[dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command_name == "insert":
            sent = [bson.decode(d.raw) for d in event.command["documents"]]
            self.inserts.append(sent)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture
async def watched(
    stack_servers: Servers, home: Database
) -> AsyncIterator[tuple[Collection, Watching]]:
    """A real collection and what was sent to it."""
    watching = Watching()
    client: Client = AsyncIOMotorClient(stack_servers.mongo, event_listeners=[watching])
    yield database(client, home.name)["documents"], watching
    client.close()


@pytest.mark.stack
async def test_on_a_real_server_lanes_are_kept_apart_and_flushes_are_shared(
    watched: tuple[Collection, Watching],
) -> None:
    collection, watching = watched
    inserts = GroupInsert(collection)
    await asyncio.gather(*queued(inserts, *(f"{lane}{n}" for n in range(8) for lane in "abcdefgh")))
    for sent in watching.inserts:
        lanes = [d["lane"] for d in sent]
        assert len(lanes) == len(set(lanes))
    assert len(watching.inserts) == inserts.flushed == 8
    assert await collection.count_documents({}) == 64


@pytest.mark.stack
async def test_on_a_real_server_only_those_already_there_are_told_so(
    watched: tuple[Collection, Watching],
) -> None:
    collection, watching = watched
    inserts = GroupInsert(collection)
    await asyncio.gather(*queued(inserts, "b1", "d1"))
    watching.inserts.clear()
    results = await asyncio.gather(
        *queued(inserts, "a1", "b1", "c1", "d1", "e1"), return_exceptions=True
    )
    assert len(watching.inserts) == 1
    told = [None if r is None else type(r) for r in results]
    assert told == [None, AlreadyThere, None, AlreadyThere, None]
    assert await collection.distinct("_id") == ["a1", "b1", "c1", "d1", "e1"]
