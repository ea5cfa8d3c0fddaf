"""Relays taking over from each other under load: every commit arrives, in order, and whole."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.process import Process
from deploy.local.servers import Servers
from shared.contracts.recorded import Recorded
from shared.kafka import fact_producer
from shared.mongo import Document
from tests.conftest import cancelled, until, wish_commit
from tests.shared.line import (
    LEASE_SECONDS,
    Line,
    assert_in_order,
    ce_id,
    first_of_each,
    stories,
)
from tests.way import Cut, Way

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
CALLERS = 4


class Load:
    """Callers that append commit after commit, each stream in its order, until the block ends."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._enough = asyncio.Event()
        self.facts: list[Recorded] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        callers = [asyncio.create_task(self._append()) for _ in range(CALLERS)]
        try:
            yield self
        finally:
            self._enough.set()
            await asyncio.gather(*callers)

    async def _append(self) -> None:
        while not self._enough.is_set():
            for step in zip(*stories(1), strict=True):
                self.facts += await self._line.append(*step)
                await asyncio.sleep(0.02)  # steady, not as fast as it can

    async def grows(self, by: int = 150) -> None:
        """Return when so many more facts are stored."""
        enough = len(self.facts) + by
        await until(lambda: len(self.facts) >= enough, "the load goes on")


class Watch:
    """What the lease said over time."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.seen: list[Document] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Watch"]:
        watching = asyncio.create_task(self._look())
        try:
            yield self
        finally:
            await cancelled(watching)

    async def _look(self) -> None:
        while True:
            if saved := await self._line.saved():
                self.seen.append(saved)
            await asyncio.sleep(0.01)

    async def owner(self, but: str = "") -> str:
        """Who leads, once it is not `but` and has saved where it is."""
        found: list[str] = []

        async def other() -> bool:
            saved = await self._line.saved()
            if "token" not in saved or saved["owner"] == but:
                return False
            found.append(saved["owner"])
            return True

        await until(other, "another one leads")
        return found[0]

    def assert_never_moved_back(self) -> None:
        """Neither epoch nor token: texts of tokens are in commit order."""
        steps = [
            (saved["epoch"], saved["token"]["_data"]) for saved in self.seen if "token" in saved
        ]
        assert steps == sorted(steps)
        assert len({token for _, token in steps}) > 10
        tokens = [token for _, token in steps]
        assert tokens == sorted(tokens)


@contextmanager
def processes(line: Line, servers: Servers, folder: Path) -> Iterator[dict[str, Process]]:
    """Two relays under one lease, each a process of its own."""
    where = (servers.kafka.servers, servers.mongo, line.home.name, line.topic)
    argv = [sys.executable, "-m", "tests.shared.relay_process", *where]
    both = {
        name: Process(name, [*argv, name], None, folder / f"{name}.log", ROOT)
        for name in ("a", "b")
    }
    try:
        for process in both.values():
            process.start()
        yield both
    finally:
        for process in both.values():
            if process.alive():
                os.kill(process.pid, signal.SIGCONT)
            process.kill()


async def test_leaders_are_killed_stopped_and_ended_under_load_and_every_commit_arrives_in_order(
    line: Line, stack_servers: Servers, tmp_path: Path
) -> None:
    with processes(line, stack_servers, tmp_path) as relays:
        async with Watch(line).running() as watch, Load(line).running() as load:
            killed = await watch.owner()
            await load.grows()
            relays[killed].kill()
            stopped = await watch.owner(but=killed)
            relays[killed].start()
            await load.grows()
            os.kill(relays[stopped].pid, signal.SIGSTOP)
            ended = await watch.owner(but=stopped)
            await load.grows()
            os.kill(relays[stopped].pid, signal.SIGCONT)  # it wakes up and thinks that it leads
            await until(lambda: "lease lost" in relays[stopped].said(), "the zombie is told")
            await load.grows()
            relays[ended].terminate()
            assert relays[ended].returncode() == 0
            await watch.owner(but=ended)
            await load.grows()
        records = await line.arrived(load.facts)
    watch.assert_never_moved_back()
    seen = first_of_each(records)
    assert_in_order(seen)
    assert {r.id for r in seen} == {r.id for r in load.facts}


async def test_a_zombie_repeats_what_it_held_and_moves_nothing_back(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    zombie, heir = line.relay("zombie"), line.relay("heir")
    streams = stories(10)
    asleep, wake = asyncio.Event(), asyncio.Event()
    send = zombie._send

    async def sleeping(producer: AIOKafkaProducer, commits: list[Document]) -> int:
        if commits and zombie.published:
            asleep.set()
            await wake.wait()
        return await send(producer, commits)

    monkeypatch.setattr(zombie, "_send", sleeping)
    lease = zombie._lease
    renew = lease.renew

    async def not_renewed(**_: object) -> None:
        """Who sleeps does not renew."""

    async with line.running(zombie):
        await until(lambda: zombie.leading, "it leads")
        facts = await line.append(*(commits[0] for commits in streams))
        await line.arrived(facts)
        monkeypatch.setattr(lease, "renew", not_renewed)
        facts += await line.append(*(commits[1] for commits in streams))
        await until(asleep.is_set, "it has a batch in its hands, and sleeps")
        async with line.running(heir):
            await until(lambda: heir.leading, "its term has run out")
            facts += await line.append(*(commits[2] for commits in streams))
            await line.arrived(facts)
            before = await line.saved()
            monkeypatch.setattr(lease, "renew", renew)
            wake.set()
            await until(lambda: not zombie.leading, "it is told")
            after = await line.saved()
            assert after["owner"] == "heir"
            assert after["token"]["_data"] >= before["token"]["_data"]
        records = await line.arrived(facts)
    seen = first_of_each(records)
    assert len(records) > len(seen)  # it said again what it held
    assert_in_order(seen)
    assert {r.id for r in seen} == {r.id for r in facts}


async def test_where_kafka_takes_longer_than_a_term_the_leader_stays_and_gets_on(
    line: Line,
) -> None:
    """Two that took turns with the same commits would publish them again and again. The term is
    long enough for a machine that stands still for a moment."""
    term = 3.0

    def slow(name: str) -> AIOKafkaProducer:
        producer = fact_producer(line.kafka, name)
        send = producer.send

        async def late(sent: "asyncio.Future[Any]") -> Any:
            result = await sent
            await asyncio.sleep(1.5 * term)
            return result

        async def slowly(*args: Any, **said: Any) -> "asyncio.Task[Any]":
            return asyncio.create_task(late(await send(*args, **said)))

        producer.send = slowly
        return producer

    relays = [line.relay("a", term=term), line.relay("b", term=term)]
    for relay in relays:
        relay._new_producer = lambda: slow("relay")
    async with line.running(relays[0]), line.running(relays[1]):
        await until(lambda: any(relay.leading for relay in relays), "one leads")
        facts = await line.append(*(wish_commit() for _ in range(5)))

        async def saved() -> bool:
            return sum(relay.published for relay in relays) >= len(facts)

        await until(saved, "all is acknowledged", seconds=60)
        records = await line.arrived(facts)
    assert [ce_id(record) for record in records].count(facts[0].id) == 1


@pytest.mark.parametrize("how", ["refused", "silent"])
async def test_a_leader_that_alone_is_cut_off_from_kafka_loses_the_lead_and_the_other_gets_on(
    line: Line, how: Cut
) -> None:
    streams = stories(10)
    async with Way(line.kafka).opened() as way:
        first = line.relay("a", lambda: way.producer("relay-a"), patience=2 * LEASE_SECONDS)
        second = line.relay("b")
        async with line.running(first):
            await until(lambda: first.leading, "the first leads")
            async with line.running(second):
                facts = await line.append(*(commits[0] for commits in streams))
                await line.arrived(facts)
                await until(lambda: first.published >= len(facts), "the first published all", 60)
                await way.cut(how)
                for step in (1, 2):
                    facts += await line.append(*(commits[step] for commits in streams))
                await until(lambda: second.leading, "the other one leads", seconds=60)
                seen = first_of_each(await line.arrived(facts))
                assert not first.leading
    assert_in_order(seen)
    assert {r.id for r in seen} == {r.id for r in facts}


async def test_a_lease_is_not_given_away_before_its_producer_has_ended(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = fact_producer(line.kafka, "relay")
    relay = line.relay("a", lambda: producer)
    release, ended = relay._lease.release, list[bool]()

    async def noted() -> None:
        ended.append(producer._sender.sender_task.done())
        await release()

    monkeypatch.setattr(relay._lease, "release", noted)
    async with line.running(relay):
        await until(lambda: relay.leading and producer._sender.sender_task is not None, "it leads")
    assert ended == [True]
