"""Hard case: a relay is stopped (SIGSTOP) with a batch in its hands, for longer than its lease."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from deploy.local.process import Process
from deploy.local.servers import Servers
from shared.contracts.base import FactId
from shared.contracts.recorded import Recorded
from shared.kafka import Record
from shared.mongo import Document
from shared.mongo_store import from_document
from tests.conftest import cancelled, reader, until
from tests.hardcases.relay_process import ARMED
from tests.hardcases.test_stopped_projector import ROOT, is_stopped
from tests.shared.line import Line, assert_in_order, first_of_each, ids, stories

pytestmark = pytest.mark.stack

SECONDS = 60.0
STORIES = 10
LOST = "relay lease lost"


class Places:
    """Every state the lease was in from now on, with the place in the store that it holds."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.seen: list[Document] = []

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["Places"]:
        images = {"changeStreamPreAndPostImages": {"enabled": True}}
        await self._line.home.command({"create": "leases", **images})
        async with self._line.home["leases"].watch(full_document="required") as changes:
            watching = asyncio.create_task(self._keep(changes))
            try:
                yield self
            finally:
                await cancelled(watching)

    async def _keep(self, changes: AsyncIterator[Document]) -> None:
        async for change in changes:
            self.seen.append(change["fullDocument"])

    def last(self) -> tuple[int, str]:
        """The last epoch, and where in the store its owner goes on."""
        return self._steps()[-1]

    def assert_never_moved_back(self) -> None:
        """Neither epoch nor token: texts of tokens are in commit order."""
        steps = self._steps()
        assert len({epoch for epoch, _ in steps}) >= 2
        assert steps == sorted(steps)
        assert [token for _, token in steps] == sorted(token for _, token in steps)

    def _steps(self) -> list[tuple[int, str]]:
        return [(s["epoch"], s["token"]["_data"]) for s in self.seen if "token" in s]


@contextmanager
def processes(line: Line, servers: Servers, folder: Path, where: str) -> Iterator[list[Process]]:
    """Two relays under one lease, each a process of its own, not started."""
    argv = [
        sys.executable,
        *("-m", "tests.hardcases.relay_process"),
        *(servers.kafka.servers, servers.mongo, line.home.name, line.topic),
    ]
    both = [
        Process(name, [*argv, name, where], None, folder / f"{name}.log", ROOT)
        for name in ("zombie", "heir")
    ]
    try:
        yield both
    finally:
        for process in both:
            if process.alive():
                os.kill(process.pid, signal.SIGCONT)
            process.kill()


async def told(line: Line) -> list[Record]:
    """All that is in the topic now."""
    async with reader(line.kafka, line.topic) as read:
        return await read.to_the_end()


async def stored(line: Line) -> dict[FactId, Recorded]:
    """All facts in the store."""
    return {
        recorded.id: recorded
        async for document in line.store.commits.find()
        for recorded in from_document(document).recorded_facts()
    }


async def led_by(line: Line, owner: str) -> bool:
    """Whether it leads and has saved where it is, or another has before it."""
    saved = await line.saved()
    return saved.get("owner") == owner and "token" in saved


async def said_more(line: Line, before: list[Record]) -> bool:
    """Whether the topic holds more than before."""
    return len(await told(line)) > len(before)


@pytest.mark.parametrize("where", ["sending", "saving"])
async def test_a_relay_that_wakes_up_after_its_lease_only_repeats_and_steps_down(
    line: Line, stack_servers: Servers, tmp_path: Path, where: str
) -> None:
    steps = list(zip(*stories(STORIES), strict=True))
    places = Places(line)
    async with places.kept():
        with processes(line, stack_servers, tmp_path, where) as (zombie, heir):
            zombie.start()
            await until(lambda: led_by(line, "zombie"), "it leads", SECONDS)
            facts = await line.append(*steps[0])
            await line.arrived(facts)
            os.kill(zombie.pid, signal.SIGUSR1)
            await until(lambda: ARMED in zombie.said(), "it is armed", SECONDS)
            held = await line.append(*steps[1])
            await until(lambda: is_stopped(zombie), "it stops with a batch in hand", SECONDS)
            in_kafka = ids(await told(line)) & {recorded.id for recorded in held}
            assert in_kafka
            assert where == "saving" or len(in_kafka) < len(held)

            heir.start()
            await until(lambda: led_by(line, "heir"), "its term has run out", SECONDS)
            facts += [*held, *await line.append(*steps[2])]
            await line.arrived(facts)
            place = places.last()
            await until(lambda: places.last() > place, "the heir has saved where it is", SECONDS)
            before = await told(line)
            assert len(before) > len(ids(before))  # what it did not save was said again

            os.kill(zombie.pid, signal.SIGCONT)
            await until(lambda: LOST in zombie.said(), "it is told that it is none", SECONDS)
            if where == "sending":
                await until(lambda: said_more(line, before), "what it held goes out", SECONDS)
            last = await line.append(*(story[0] for story in stories(STORIES)))
            records = await line.arrived([*facts, *last])
            zombie.terminate()
            assert zombie.returncode() == 0
    places.assert_never_moved_back()
    assert ids(records) - ids(before) == {recorded.id for recorded in last}
    seen = first_of_each(records)
    assert_in_order(seen)
    assert {recorded.id: recorded for recorded in seen} == await stored(line)
