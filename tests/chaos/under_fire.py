"""One run: an installation of its own under load and faults, then the questions of the oracle."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.lag import Installation as Where
from deploy.local.installation import Installation, installation
from deploy.local.servers import servers
from shared.town import load_towns
from tests.bench.machine import load as load_average
from tests.chaos.faults import LEASE_AND_SESSION, schedule
from tests.chaos.harm import Harm
from tests.chaos.insisting import ANSWER_SECONDS, Desk, GivenUp
from tests.chaos.ledger import Ledger
from tests.chaos.load import back_again, played
from tests.chaos.oracle import Restless, duplicates, settled, violations
from tests.chaos.partner import Partner
from tests.chaos.people import People

SETTLE_SECONDS: Final = 180.0
SETTINGS: Final = {
    "WISHGRID_WAIT_SECONDS": "2",
    "WISHGRID_SESSION_TIMEOUT_SECONDS": str(LEASE_AND_SESSION),
    "WISHGRID_LEASE_SECONDS": "3",
}
"""So that a run of a minute sees leases and sessions end."""


def run(seed: int, seconds: float, logs: Path | None = None) -> dict[str, Any]:
    """What became of it, as it is kept. Data goes to a temporary folder, logs to `logs` if said."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        home = Path(folder)
        with (
            servers((logs or home) / "servers") as running,
            installation(
                running, logs or home, name=f"chaos{seed}", instances=2, settings=SETTINGS
            ) as place,
        ):
            return asyncio.run(_under_fire(place, seed, seconds))


async def _under_fire(place: Installation, seed: int, seconds: float) -> dict[str, Any]:
    ledger, closing, busy = Ledger(), asyncio.Event(), load_average()
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=40)
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, limits=limits) as http:
        harm = Harm(place, schedule(seed, seconds))
        desk = Desk(place.url, http, ledger, closing, time.monotonic(), harm.up_for)
        people, partner = People(place, desk), Partner(place, desk)
        async with _beside(harm.supervise(), harm.watch(), partner.run()):
            load = asyncio.create_task(played(seed, people, partner, desk))
            await harm.run()
            recovery = await _recovery(people, seed, desk)
            await asyncio.sleep(max(0.0, seconds - desk.now()))
            closing.set()
            await load
            told = await _asked(place, ledger)
    return {
        "seed": seed,
        "seconds": seconds,
        "load_average": busy,
        "faults": sorted(harm.done, key=lambda fault: fault["at"]),
        "left_out": harm.left_out,
        "died_by_themselves": dict(sorted(harm.died.items())),
        "did_not_end_in_time": dict(sorted(harm.overdue.items())),
        "recovery_seconds": recovery,
        **ledger.document(),
        "records_published_again": told,
        "violated": ledger.violated,
        "violations": ledger.violations,
    }


async def _recovery(people: People, seed: int, desk: Desk) -> float | None:
    """Seconds from the last fault's end until all goes its way again; None if it never does."""
    began = desk.now()
    try:
        await back_again(people, seed)
    except GivenUp:
        return None
    return round(desk.now() - began, 2)


async def _asked(place: Installation, ledger: Ledger) -> int:
    """Ask the oracle once all is at rest; how many records were published more than once."""
    where = Where(
        place.servers.kafka,
        place.servers.mongo,
        place.environment["WISHGRID_DATABASE_PREFIX"],
        place.environment["WISHGRID_TOPIC_PREFIX"],
    )
    towns = load_towns(Path(place.environment["WISHGRID_TOWNS"]))
    try:
        await settled(where, towns, SETTLE_SECONDS)
    except Restless as restless:
        ledger.violation(str(restless))
    for violation in await violations(where, towns, ledger.acknowledged):
        ledger.violation(violation)
    return await duplicates(where)


@asynccontextmanager
async def _beside(*jobs: Any) -> AsyncIterator[None]:
    """Run jobs beside the block; one that fails fails the block's end."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for each in ended:
        if isinstance(each, Exception):
            raise each
