"""Hard case: a projector is stopped (SIGSTOP) in the middle of its transaction."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.process import Process
from deploy.local.servers import Servers
from services.projections.build import Build
from shared.mongo import Client, Document
from shared.serving import House
from tests.conftest import TOWNS, until
from tests.projections.generations import Place, place_of

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
HELD_AT_MOST_SECONDS = 90.0
"""Twice the lifetime of a transaction (20 s), and as long again for a machine with other work."""


@contextmanager
def stopped_process(place: Place, servers: Servers, folder: Path) -> Iterator[Process]:
    """A projector that stops itself with its first transaction open, and goes on when told to."""
    argv = [
        sys.executable,
        *("-m", "tests.hardcases.projector_process"),
        *(servers.kafka.servers, servers.mongo),
        *(place.house.settings.database_prefix, place.house.settings.topic_prefix, place.topic),
    ]
    process = Process("stopped", argv, None, folder / "stopped.log", ROOT)
    process.start()
    try:
        yield process
    finally:
        if process.alive():
            os.kill(process.pid, signal.SIGCONT)
        process.kill()


async def open_transactions(mongo: Client) -> list[Document]:
    """Those that were begun by a client and stand."""
    idle = {"transaction": {"$exists": True}, "type": "idleSession"}
    found = mongo.admin.aggregate(
        [{"$currentOp": {"allUsers": True, "idleSessions": True}}, {"$match": idle}]
    )
    return await found.to_list(None)


def is_stopped(process: Process) -> bool:
    """Whether the kernel has it as stopped."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_projector_stopped_with_its_transaction_open_holds_up_the_next_one_only_so_long(
    house: House,
    producer: AIOKafkaProducer,
    stack_servers: Servers,
    mongo: Client,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = await place_of(house, producer)
    facts = await place.told(12)
    async with place.running():  # it makes the generation and is gone again
        await place.has("g1", facts)
    late = await place.told(12)
    with stopped_process(place, stack_servers, tmp_path) as process:
        await until(lambda: is_stopped(process), "it has stopped itself", SECONDS)
        assert await open_transactions(mongo)
        begun = time.monotonic()
        async with place.running(instance="2"):
            await place.has("g1", [*facts, *late], SECONDS)
            held = time.monotonic() - begun
            before = await place.documents("g1")
            os.kill(process.pid, signal.SIGCONT)
            await until(lambda: "poll starts over" in process.said(), "it woke up", SECONDS)
            last = await place.told(3)
            await place.has("g1", [*facts, *late, *last], SECONDS)
            after = await place.documents("g1")
    with capsys.disabled():
        print(f"\nthe next projector was held up for {held:.1f} s")
    assert held < HELD_AT_MOST_SECONDS
    assert {d["_id"] for d in before["timeline"]} == {r.id for r in (*facts, *late)}
    assert len(after["timeline"]) == len(facts) + len(late) + len(last)
    assert after == await place.clean(Build.of(TOWNS))
    assert not await asyncio.to_thread(lambda: "Traceback" in process.said())


async def test_this_mongod_ends_what_stands_open_for_twenty_seconds(mongo: Client) -> None:
    """Else the one above would wait for a minute, and with a longer setting for ever."""
    said = await mongo.admin.command({"getParameter": 1, "transactionLifetimeLimitSeconds": 1})
    assert said["transactionLifetimeLimitSeconds"] == 20
