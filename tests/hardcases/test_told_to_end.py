"""Hard case: SIGTERM comes just while something is in hand, and the server it waits for is slow.

The process stops itself at a crash point with it (so that nobody is early or late), is told to end,
and goes on. It ends in time with status 0; whoever is started after it goes on where it was.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest
from pymongo import MongoClient

from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers
from tests.chaos.crash_points import SETTINGS, installation_of
from tests.chaos.oracle import settled, violations
from tests.chaos.whole_loop import WholeLoop
from tests.conftest import TOWNS, until
from tests.hardcases.test_stopped_projector import is_stopped

pytestmark = pytest.mark.stack

SECONDS: Final = 120.0
GRACE_SECONDS: Final = 40.0
"""`stop_grace_period` in the compose file."""
SLOW_SECONDS: Final = 3.0
"""Longer than it takes from the signal until all in the background is told to end."""
CHAINS: Final = 6

Slow = Callable[[Installation], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def ending(
    stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One instance of each service: nobody else takes over what is in hand."""
    folder = tmp_path_factory.mktemp("ending")
    with installation(stack_servers, folder, name="ending", settings=SETTINGS) as running:
        yield running


@contextmanager
def slow_commits(place: Installation) -> Iterator[None]:
    """MongoDB takes long to commit a transaction."""
    with _slow(place, failCommands=["commitTransaction"]):
        yield


@contextmanager
def slow_notes(place: Installation) -> Iterator[None]:
    """MongoDB takes long for what dispatch writes last of a batch."""
    seen = f"{place.environment['WISHGRID_DATABASE_PREFIX']}_dispatch.seen"
    with _slow(place, failCommands=["update"], namespace=seen):
        yield


@contextmanager
def no_acks(place: Installation) -> Iterator[None]:
    """Kafka says nothing at all."""
    (broker,) = place.servers.kafka_servers
    broker.process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        broker.process.signal(signal.SIGCONT)


@contextmanager
def _slow(place: Installation, **what: Any) -> Iterator[None]:
    held = {**what, "blockConnection": True, "blockTimeMS": int(SLOW_SECONDS * 1000)}
    fault: dict[str, Any] = {"configureFailPoint": "failCommand"}
    mongo: MongoClient[dict[str, Any]]
    with MongoClient(place.servers.mongo) as mongo:
        mongo.admin.command({**fault, "mode": {"times": 1}, "data": held})
        try:
            yield
        finally:
            mongo.admin.command({**fault, "mode": "off"})


@dataclass(frozen=True)
class InHand:
    """What a service has in hand at a point, and what it then waits for."""

    service: str
    at: str
    slow: Slow


@pytest.mark.parametrize(
    "held",
    [
        InHand("projections", "projection-open:2:stop", slow_commits),
        InHand("dispatch", "batch-half-reacted:2:stop", slow_notes),
        InHand("intake", "batch-half-sent:3:stop", no_acks),
    ],
    ids=["an open transaction", "half a batch of reactions", "records without acks"],
)
async def test_who_is_told_to_end_with_something_in_hand_ends_in_time_and_loses_nothing(
    ending: Installation, held: InHand, capsys: pytest.CaptureFixture[str]
) -> None:
    (instance,) = ending.services[held.service]
    armed = instance.process.told(WISHGRID_CRASH_POINT=held.at)
    load = WholeLoop(ending, f"ending-{held.service}", chains=CHAINS)
    await asyncio.to_thread(instance.process.terminate, GRACE_SECONDS)
    try:
        async with load.running():
            if held.service == "dispatch":  # so that its first batch holds more than one story
                await until(lambda: len(load.acknowledged) == CHAINS, "wishes wait", SECONDS)
            armed.start()
            await until(lambda: is_stopped(armed), f"it stops at {held.at}", SECONDS)
            with held.slow(ending):
                began = time.monotonic()
                armed.signal(signal.SIGTERM)
                armed.signal(signal.SIGCONT)
                await until(lambda: not armed.alive(), "it ends", SECONDS)
            took = time.monotonic() - began
            await asyncio.to_thread(instance.restart)
    finally:
        armed.kill()
    with capsys.disabled():
        print(f"\n{held.service}, told to end at {held.at}: gone after {took:.1f} s")
    assert armed.returncode() == 0, armed.said()[-2000:]
    assert took < GRACE_SECONDS
    where = installation_of(ending)
    await settled(where, TOWNS)
    assert load.wrong + await violations(where, TOWNS, load.acknowledged) == []
