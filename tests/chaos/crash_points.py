"""A service dies at a crash point under load, comes back, and nothing was lost or done twice.

One run: the service is started again with the point armed, load goes on until the point has
killed it, it is started unarmed, every story is brought to its end, and the oracle is asked.
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from deploy import lag
from deploy.local.installation import Installation, Instance
from deploy.local.process import Process
from deploy.rebuild import begin, drop
from services.projections.build import Build
from services.projections.roll import KEPT, Roll
from shared.crash import Point
from shared.kafka import FACTS
from shared.mongo import connect, database
from shared.town import load_towns
from tests.chaos.oracle import duplicates, settled, violations
from tests.chaos.whole_loop import WholeLoop
from tests.conftest import until

DIES_SECONDS: Final = 120.0
SETTINGS: Final = {
    "WISHGRID_WAIT_SECONDS": "10",
    "WISHGRID_SESSION_TIMEOUT_SECONDS": "6",
    "WISHGRID_LEASE_SECONDS": "2",
}

Provoke = Callable[[Installation, Instance], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Place:
    """Where a point is reached: in which services, and how many times at most it is passed before
    it kills. `alone`: the service's other instances are away until then, or one of them might be
    the one that comes there. `events`: a partner has to speak. `provoke` brings it about."""

    services: tuple[str, ...]
    most: int = 1
    alone: bool = False
    events: bool = False
    provoke: Provoke | None = None


@dataclass
class Run:
    """What came of one run."""

    point: str
    instance: str
    times: int
    seconds: float = 0.0
    acknowledged: int = 0
    duplicates: int = 0
    violations: list[str] = field(default_factory=list)


@asynccontextmanager
async def a_rebalance(place: Installation, instance: Instance) -> AsyncIterator[None]:
    """Somebody joins the service's group of readers; it goes when all is seen."""
    where = installation_of(place)
    group = {
        "projections": f"wishgrid.projections.{await _read(where)}",
        "intake": "wishgrid.intake.reactions",
        "dispatch": "wishgrid.dispatch.reactions",
    }[instance.service]
    consumer = AIOKafkaConsumer(
        where.topic_prefix + FACTS,
        **where.kafka.options(),
        group_id=where.topic_prefix + group,
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        partition_assignment_strategy=(StickyPartitionAssignor,),
    )
    joining = asyncio.create_task(consumer.start())
    try:
        yield
    finally:
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        await consumer.stop()


@asynccontextmanager
async def a_rebuild(place: Installation, instance: Instance) -> AsyncIterator[None]:
    """The read models are built anew beside the ones that are read."""
    where = installation_of(place)
    for name in await _kept(where):
        await drop(where, name, left_seconds=2.0)
    await begin(where, Build.of(load_towns(Path(place.environment["WISHGRID_TOWNS"]))))
    yield


WRITING: Final = ("dispatch", "intake")
PLACES: Final[dict[Point, Place]] = {
    "decided": Place(WRITING, 12),
    "stored": Place(WRITING, 12),
    "committed-before-publish": Place(WRITING, 6, alone=True),
    "batch-half-sent": Place(WRITING, 12, alone=True),
    "published-before-token": Place(WRITING, 6, alone=True),
    "batch-half-reacted": Place(WRITING, 6),
    "batch-half-judged": Place(("intake",), 8, events=True),
    "projection-open": Place(("projections",), 6),
    "projection-committed": Place(("projections",), 6),
    "in-rebalance": Place(("projections", *WRITING), provoke=a_rebalance),
    "generation-flip": Place(("projections",), alone=True, provoke=a_rebuild),
    "key-created": Place(("intake",), 6),
}
"""Every crash point there is."""


async def crash(place: Installation, point: Point, name: str, chance: random.Random) -> Run:
    """One run; `name` is unique in the installation. Raises AssertionError when the point was
    never reached, the process ended otherwise, or an answer was none of those expected."""
    said = PLACES[point]
    service = place.services[chance.choice(said.services)]
    instance = chance.choice(service)
    others = [each for each in service if each is not instance]
    run = Run(point, instance.process.name, chance.randint(1, said.most))
    began = time.monotonic()
    load = WholeLoop(place, name)
    await asyncio.to_thread(_back, *place.instances())  # whatever an earlier run left
    armed = instance.process.told(WISHGRID_CRASH_POINT=f"{point}:{run.times}")
    instance.process.kill()
    for other in others if said.alone else ():
        other.process.kill()
    try:
        armed.start()
        await until(lambda: _up(instance, armed), f"{armed.name} is ready", DIES_SECONDS)
        async with load.running(events=said.events):
            await _death(place, instance, armed, said.provoke)
            await asyncio.to_thread(_back, *service)
    finally:
        armed.kill()
    where, towns = installation_of(place), load_towns(Path(place.environment["WISHGRID_TOWNS"]))
    await settled(where, towns)
    run.violations = await violations(where, towns, load.acknowledged)
    run.acknowledged, run.duplicates = len(load.acknowledged), await duplicates(where)
    run.seconds = round(time.monotonic() - began, 1)
    return run


async def _death(
    place: Installation, instance: Instance, armed: Process, provoke: Provoke | None
) -> None:
    """Return when the point has killed it."""

    def ended() -> bool:
        return armed.returncode() is not None

    if provoke is None:
        await until(ended, f"{armed.name} came to the point", DIES_SECONDS)
    else:
        async with provoke(place, instance):
            await until(ended, f"{armed.name} came to the point", DIES_SECONDS)
    if armed.returncode() != -signal.SIGKILL:
        raise AssertionError(f"{armed.name} ended otherwise: {armed.said()[-2000:]}")


async def _up(instance: Instance, armed: Process) -> bool:
    """It is ready, or came to the point even before."""
    return armed.returncode() is not None or await asyncio.to_thread(instance.ready)


def _back(*instances: Instance) -> None:
    """Start those that do not run, and return when all are ready."""
    for each in instances:
        if not each.process.alive():
            each.start()
    for each in instances:
        each.wait()


def installation_of(place: Installation) -> lag.Installation:
    """Where it is, for those who look at it from outside."""
    return lag.Installation(
        place.servers.kafka,
        place.servers.mongo,
        place.environment["WISHGRID_DATABASE_PREFIX"],
        place.environment["WISHGRID_TOPIC_PREFIX"],
    )


async def _read(where: lag.Installation) -> str:
    mongo = connect(where.mongo)
    try:
        return str(await Roll(database(mongo, f"{where.database_prefix}_views")).reading())
    finally:
        mongo.close()


async def _kept(where: lag.Installation) -> list[str]:
    mongo = connect(where.mongo)
    try:
        there = await Roll(database(mongo, f"{where.database_prefix}_views")).there()
        return [str(each["_id"]) for each in there if each["state"] == KEPT]
    finally:
        mongo.close()
