"""A service dies at a crash point under load, comes back, and nothing was lost or done twice.

One run: the service is started again with the point armed, load goes on until the point has
killed it, it is started unarmed, every story is brought to its end, and the oracle is asked.
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from pymongo.errors import ExecutionTimeout

from deploy import lag
from deploy.local.installation import Installation, Instance
from deploy.local.process import Process
from deploy.rebuild import begin, drop
from services.projections.build import Build
from services.projections.roll import KEPT, Roll
from shared.crash import Point
from shared.kafka import FACTS
from shared.mongo import Client, connect, database
from shared.mongo_store import COMMITS
from shared.town import load_towns
from tests.chaos.oracle import Restless, duplicates, settled, violations
from tests.chaos.whole_loop import WholeLoop
from tests.conftest import until

DIES_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 120.0
LOST_REPLY: Final = "reply-lost"
"""No point in the code: nobody dies, MongoDB does not say what became of an insert."""
_NOBODY_KNOWS: Final = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "of the test"}
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
    where: list[str] = field(default_factory=list)
    """Each point with the time it was reached, and the instance that died there."""
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
ROUNDS: Final = (
    ("key-created", "decided", "projection-open"),
    ("batch-half-judged", "committed-before-publish", "generation-flip"),
    ("stored", "batch-half-reacted", "projection-committed"),
    ("batch-half-sent", "published-before-token", "in-rebalance"),
    (LOST_REPLY,),
)
"""Each point once, some at a time; what only one service can reach is named first."""


async def rehearsed(
    place: Installation,
    points: Sequence[str],
    name: str,
    chance: random.Random,
    patience: float = PATIENCE_SECONDS,
) -> Run:
    """One run at some crash points, each in a service of its own, or of lost replies; `name` is
    unique in the installation. Raises AssertionError when a point was never reached, or a process
    ended otherwise."""
    began = time.monotonic()
    await asyncio.to_thread(_back, *place.instances())  # whatever an earlier run left
    load = WholeLoop(place, name, patience=patience)
    run = Run(" + ".join(points))
    if list(points) == [LOST_REPLY]:
        await _lost_reply(place, load, run, chance)
    else:
        await _crash(place, load, run, _armed(place, cast(Sequence[Point], points), chance))
    where, towns = installation_of(place), load_towns(Path(place.environment["WISHGRID_TOWNS"]))
    run.violations += load.wrong
    try:
        await settled(where, towns)
    except Restless as restless:
        run.violations.append(str(restless))
    run.violations += await violations(where, towns, load.acknowledged)
    run.acknowledged, run.duplicates = len(load.acknowledged), await duplicates(where)
    run.seconds = round(time.monotonic() - began, 1)
    return run


@dataclass(frozen=True)
class _Armed:
    """An instance that is to die at a point, and all instances of its service."""

    at: Place
    text: str
    instance: Instance
    service: tuple[Instance, ...]
    process: Process

    def start(self) -> None:
        """End it in peace and start it armed; alone of its service, if it must be."""
        for each in self.service if self.at.alone else (self.instance,):
            each.process.terminate()
        self.process.start()

    async def up(self) -> bool:
        """It is ready, or came to the point even before."""
        if self.process.returncode() is not None:
            return True
        return await asyncio.to_thread(self.instance.ready)


def _armed(place: Installation, points: Sequence[Point], chance: random.Random) -> list[_Armed]:
    """An instance for each point, no two of one service."""
    armed: list[_Armed] = []
    for point in points:
        at = PLACES[point]
        taken = {each.instance.service for each in armed}
        service = place.services[chance.choice([s for s in at.services if s not in taken])]
        instance = chance.choice(service)
        text = f"{point}:{chance.randint(1, at.most)}"
        process = instance.process.told(WISHGRID_CRASH_POINT=text)
        armed.append(_Armed(at, text, instance, service, process))
    return armed


async def _crash(place: Installation, load: WholeLoop, run: Run, armed: list[_Armed]) -> None:
    """All are started with their points armed, die there under load, and come back."""
    run.where = [f"{each.text} in {each.process.name}" for each in armed]
    try:
        for each in armed:
            await asyncio.to_thread(each.start)
        for each in armed:
            await until(each.up, f"{each.process.name} is ready", DIES_SECONDS)
        async with load.running(events=any(each.at.events for each in armed)):
            await asyncio.gather(*(_death(place, each) for each in armed))
    finally:
        for each in armed:
            each.process.kill()


async def _lost_reply(
    place: Installation, load: WholeLoop, run: Run, chance: random.Random
) -> None:
    """Nobody dies: the server breaks the connection instead of storing a flush of commits, twice,
    for the driver tries again; or it stores the flush and cannot say that a majority has it."""
    service, times = chance.choice(WRITING), chance.randint(1, 6)
    how = chance.choice(({"closeConnection": True}, {"writeConcernError": _NOBODY_KNOWS}))
    run.where = [f"{times} times {', '.join(how)} in {service}"]
    namespace = f"{place.environment['WISHGRID_DATABASE_PREFIX']}_{service}.{COMMITS}"
    data = {"failCommands": ["insert"], "namespace": namespace, **how}
    mongo = connect(place.servers.mongo, patience_seconds=30.0)
    fault = {"configureFailPoint": "failCommand"}
    try:
        async with load.running():
            armed = await mongo.admin.command({**fault, "mode": {"times": 2 * times}, "data": data})
            times_entered = armed["count"] + 2 * times
            await until(lambda: _entered(mongo, times_entered), "replies were lost", DIES_SECONDS)
    finally:
        await mongo.admin.command({**fault, "mode": "off"})
        mongo.close()


async def _entered(mongo: Client, times: int) -> bool:
    """Whether the failure has come so often; waited for in the server, a second at a time."""
    wait = {"waitForFailPoint": "failCommand", "timesEntered": times, "maxTimeMS": 1_000}
    try:
        await mongo.admin.command(wait)
    except ExecutionTimeout:
        return False
    return True


async def _death(place: Installation, armed: _Armed) -> None:
    """Return when the point has killed it and its service is back."""
    process = armed.process

    def ended() -> bool:
        return process.returncode() is not None

    if armed.at.provoke is None:
        await until(ended, f"it came to {armed.text}", DIES_SECONDS)
    else:
        async with armed.at.provoke(place, armed.instance):
            await until(ended, f"it came to {armed.text}", DIES_SECONDS)
    if process.returncode() != -signal.SIGKILL:
        raise AssertionError(f"{process.name} ended otherwise: {process.said()[-2000:]}")
    await asyncio.to_thread(_back, *armed.service)


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
