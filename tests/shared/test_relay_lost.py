"""The relay when the server has lost its place in the commit order: nothing is skipped."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bson import Timestamp

from shared.mongo import ChangeFeed, Client, Document
from shared.relay import MARGIN_SECONDS
from tests.conftest import until, wish_commit
from tests.shared.line import Line, assert_in_order, ce_id, first_of_each, ids, stories

pytestmark = pytest.mark.stack

_CLOCK = slice(2, 10)
"""Where a token's text has the seconds of its event, …"""
_COUNT = slice(10, 18)
"""… and the number within that second."""


@asynccontextmanager
async def failing(mongo: Client, line: Line, command: str, code: int) -> AsyncIterator[None]:
    """The server answers such commands on the line's store with this error."""
    data = {
        "failCommands": [command],
        "errorCode": code,
        "namespace": line.store.commits.full_name,
    }
    point = {"configureFailPoint": "failCommand", "data": data}
    await mongo.admin.command({**point, "mode": {"times": 1}})
    try:
        yield
    finally:
        await mongo.admin.command({**point, "mode": "off"})


async def token_is_saved(line: Line) -> None:
    async def saved() -> bool:
        return "token" in await line.saved()

    await until(saved, "a token is saved")


@pytest.mark.parametrize("code", [286, 280])
async def test_a_token_that_is_lost_when_opened_loses_no_commit(
    line: Line, mongo: Client, code: int
) -> None:
    async with line.running(line.relay()):
        before = await line.append(*(wish_commit() for _ in range(5)))
        await line.arrived(before)
        await token_is_saved(line)
    meanwhile = await line.append(*(wish_commit() for _ in range(20)))
    async with failing(mongo, line, "aggregate", code), line.running(line.relay()):
        afterwards = await line.append(*(wish_commit() for _ in range(20)))
        records = await line.arrived(before + meanwhile + afterwards)
    known = ids(records) - {r.id for r in meanwhile + afterwards}
    again = [record for record in records if ce_id(record) in known]
    assert len(again) == 10  # scanned: what was out before came again
    assert len(first_of_each(records)) == 45


@pytest.mark.parametrize("code", [286, 280])
async def test_a_token_that_is_lost_while_following_loses_no_commit(
    line: Line, mongo: Client, code: int
) -> None:
    streams = stories(10)
    async with line.running(line.relay()):
        facts = await line.append(*(commits[0] for commits in streams))
        await line.arrived(facts)
        await token_is_saved(line)
    relay = line.relay()
    async with line.running(relay):
        await until(lambda: relay.leading, "it leads")
        epoch = (await line.saved())["epoch"]
        async with failing(mongo, line, "getMore", code):
            for step in (1, 2):
                facts += await line.append(*(commits[step] for commits in streams))
            seen = first_of_each(await line.arrived(facts))
        assert (await line.saved())["epoch"] == epoch  # it went on leading
    assert_in_order(seen)
    assert {r.id for r in seen} == {r.id for r in facts}


async def token_of_a_commit(line: Line) -> Document:
    """The token of an event of the store, as the server gave it."""
    feed = ChangeFeed(line.store.commits)
    await feed.open(None)
    try:
        await line.append(wish_commit())
        while not await feed.next():
            pass
        assert feed.token is not None
        return feed.token
    finally:
        await feed.close()


def never_was(token: Document) -> Document:
    """A token of an event that the server cannot find: it has no such number in that second."""
    data: str = token["_data"]
    count = f"{int(data[_COUNT], 16) + 50:08X}"
    return {"_data": data[: _COUNT.start] + count + data[_COUNT.stop :]}


def long_ago(token: Document) -> Document:
    """A token of an event from before the server's log begins."""
    data: str = token["_data"]
    return {"_data": data[: _CLOCK.start] + f"{10**9:08X}" + data[_CLOCK.stop :]}


@pytest.mark.parametrize("lost", [long_ago, never_was])
async def test_a_place_the_server_really_lacks_loses_no_commit(line: Line, lost: Any) -> None:
    """One that never was can be opened: the server says so only when the next commit comes."""
    async with line.running(line.relay()):
        before = await line.append(*(wish_commit() for _ in range(5)))
        await line.arrived(before)
        await token_is_saved(line)
    token = lost(await token_of_a_commit(line))
    await line.home["leases"].update_one({"_id": "relay"}, {"$set": {"token": token}})
    meanwhile = await line.append(*(wish_commit() for _ in range(20)))
    relay = line.relay()
    async with line.running(relay):
        await until(lambda: relay.leading, "it leads")
        afterwards = await line.append(*(wish_commit() for _ in range(20)))
        records = await line.arrived(before + meanwhile + afterwards)

        async def mended() -> bool:
            return bool((await line.saved())["token"] != token)

        await until(mended, "it has a place again")
    assert len(first_of_each(records)) == 46  # one gave the token


async def test_after_a_lost_token_what_is_known_to_be_out_is_not_scanned(
    line: Line, mongo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with line.running(line.relay()):
        old = await line.append(*(wish_commit() for _ in range(5)))
        await line.arrived(old)
    long_after = Timestamp(int(time.time()) + MARGIN_SECONDS + 60, 0)
    await line.home["leases"].update_one({"_id": "relay"}, {"$set": {"cluster_time": long_after}})
    relay = line.relay()
    scan, scanned = relay._scan, asyncio.Event()

    async def noted(*args: Any) -> None:
        await scan(*args)
        scanned.set()

    monkeypatch.setattr(relay, "_scan", noted)
    async with failing(mongo, line, "aggregate", 286), line.running(relay):
        await until(scanned.is_set, "the store was scanned")
        new = await line.append(*(wish_commit() for _ in range(5)))
        records = await line.arrived(old + new)
    known = {r.id for r in old}
    assert len([record for record in records if ce_id(record) in known]) == 5


async def test_another_error_is_no_loss_and_scans_nothing(line: Line, mongo: Client) -> None:
    async with line.running(line.relay()):
        old = await line.append(*(wish_commit() for _ in range(5)))
        await line.arrived(old)
        await token_is_saved(line)
    async with failing(mongo, line, "aggregate", 50), line.running(line.relay()):  # out of time
        new = await line.append(*(wish_commit() for _ in range(5)))
        assert len(await line.arrived(old + new)) == 10


async def test_a_loss_in_the_middle_scans_from_what_was_published_last(
    line: Line, mongo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from where the leader began: that may be a year ago."""
    async with line.running(line.relay()):
        await line.arrived(await line.append(wish_commit()))
        await token_is_saved(line)
    began = (await line.saved())["cluster_time"]
    relay, since = line.relay(), list[Timestamp]()
    scan = relay._scan

    async def noted(producer: Any, feed: ChangeFeed, start: Timestamp) -> None:
        since.append(start)
        await scan(producer, feed, start)

    monkeypatch.setattr(relay, "_scan", noted)
    async with line.running(relay):
        await line.arrived(await line.append(wish_commit()))
        async with failing(mongo, line, "getMore", 286):
            await until(lambda: len(since) == 1, "the store is scanned")
    assert since[0] > began
