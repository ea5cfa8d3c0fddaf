"""The people of a run, all at once: each plays one matter after the other until the run is over."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from tests.chaos import reported, ways
from tests.chaos.insisting import Client, Closing, Desk, GivenUp, Yes
from tests.chaos.partner import Partner
from tests.chaos.people import People
from tests.chaos.plan import COMMUNITY, PARTNER_PATHS, PATHS, UNITS, matter
from tests.chaos.reported import Report
from tests.chaos.ways import Story

RESIDENTS: Final = 6
REPORTERS: Final = 2
"""Officers whose partner's system reports what they saw."""
READ_PAUSE_SECONDS: Final = 0.3


async def played(seed: int, people: People, partner: Partner, desk: Desk) -> None:
    """Return when the run is over and everybody has their answer."""
    residents = (_plays(seed, f"r{n}", PATHS, people, desk) for n in range(RESIDENTS))
    officers = (
        _plays(seed, f"p{n}", PARTNER_PATHS, people, desk, partner) for n in range(REPORTERS)
    )
    await asyncio.gather(*residents, *officers, *_readers(people, desk, seed))


async def _plays(
    seed: int,
    who: str,
    paths: dict[str, int],
    people: People,
    desk: Desk,
    partner: Partner | None = None,
) -> None:
    for n in count():
        asked = matter(seed, who, n, paths)
        story = Story(asked, people, desk.ledger, clerk=2 * (n % 2))
        try:
            if partner is None:
                await ways.WAYS[asked.path](story)
            else:
                await reported.WAYS[asked.path](Report(story, partner))
        except GivenUp:
            continue
        except Closing:
            return


Reading = Callable[[], Awaitable[None]]


def _readers(people: People, desk: Desk, seed: int) -> list[Awaitable[None]]:
    """Those who only look: at the lists, at a desk, at the numbers."""
    clerk, unit = people.clerk(0), people.unit(UNITS[0])
    resident = people.resident(f"wx-{seed}-r0")
    today = datetime.now(UTC).date()
    period = {
        "from": str(today - timedelta(days=1)),
        "to": str(today + timedelta(days=1)),
        "area": COMMUNITY,
    }
    received = _Growing(desk)

    async def lists() -> None:
        await clerk.read("/v1/cases", limit=20)
        await unit.read("/v1/desk")
        await resident.read("/v1/my-wishes")

    async def numbers() -> None:
        received.seen(await clerk.read("/v1/report", **period))
        await clerk.read("/v1/overview", **period)

    return [_again(each, desk) for each in (lists, numbers)]


async def _again(look: Reading, desk: Desk) -> None:
    while not desk.closing.is_set():
        try:
            await look()
        except GivenUp:
            continue
        await asyncio.sleep(READ_PAUSE_SECONDS)


class _Growing:
    """How many matters were received: what was counted once is never fewer."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._most = 0

    def seen(self, report: dict[str, Any]) -> None:
        """It counts no fewer than the last one, and adds up."""
        numbers = {name: figure["count"] for name, figure in report["numbers"].items()}
        if numbers["received"] < self._most:
            self._desk.ledger.violation(f"{self._most} were received, then {numbers['received']}")
        self._most = max(self._most, numbers["received"])
        parts = sum(numbers[name] for name in ("open", "resolved", "otherwise"))
        if parts != numbers["received"]:
            self._desk.ledger.violation(f"the report does not add up: {numbers}")


async def back_again(people: People, seed: int) -> None:
    """Return when a new matter goes all the way from a resident to the list, by every instance."""
    resident = people.resident(f"wx-{seed}-probe")
    for n in range(2):  # a client turns to the other instance with every request
        await _once_through(resident, people.clerk(9), f"{seed}-probe-{n}")


async def _once_through(resident: Client, clerk: Client, name: str) -> None:
    body = {"kind": "appeal", "category": "repairs", "area": f"{COMMUNITY}/g1", "channel": "wechat"}
    said = await resident.command(
        "intake", "/v1/wishes", "submit", {**body, "words": name}, key=f"{name}/submit"
    )
    if not isinstance(said, Yes):
        raise GivenUp
    path = f"/v1/cases/{said.story}"
    accepted = await clerk.command(
        "dispatch", f"{path}/accept", "accept", {}, key=f"{name}/1-accept", at_least=said.position
    )
    if not isinstance(accepted, Yes):
        raise GivenUp
    await clerk.read(path, at_least=accepted.position, until="accepted")
