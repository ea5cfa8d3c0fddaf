"""Stops a reader before it parks everything: where many stories stand still at once, the build is
broken and not the data.

Counted are stories that stood well until now, not records: one bad story may have many. Before the
one too many is parked the reader stands still, and `stops` says so: `{_id: <reader>:<instance>,
reader, instance, since, why}`, until it has gone on.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog
from pymongo.errors import PyMongoError

from shared.errors import TooManyParked
from shared.mongo import Collection, Database

STOPS: Final = "stops"
MOST: Final = 100
"""A town's reader sees thousands of stories in an hour; a person can look at a hundred."""
SHARE: Final = 4
"""More than `most` among the last `most * SHARE` are too many: a quarter. Bad data are far less."""
WARY: Final = 5
"""Who stood still before may park only a fifth of it: a build that is started again and again must
not park everything bit by bit."""
_SAID_AGAIN_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """The last stories a reader came to: `parked` are the numbers of those it parked."""

    most: int = MOST
    wary: bool = False
    came: int = 0
    parked: tuple[int, ...] = ()

    def after(self, stories: Iterable[str | None]) -> "Window":
        """The window after more stories: why each was parked, None for one that goes on. Raises
        TooManyParked."""
        came, parked, length = self.came, deque(self.parked), self.most * SHARE
        for why in stories:
            came += 1
            wary = self.wary and came <= length
            while parked and parked[0] <= came - length:
                parked.popleft()
            if why is not None:
                parked.append(came)
            if len(parked) > (self.most // WARY if wary else self.most):
                raise TooManyParked(
                    f"{len(parked)} of the last {min(came, length)} stories would be parked, the "
                    f"latest because of this: {why}"
                )
        return replace(self, came=came, parked=tuple(parked))


class Breaker:
    """That of one reader."""

    def __init__(self, home: Database, reader: str, instance: str, most: int = MOST) -> None:
        self._home = home
        self._mark = {"reader": reader, "instance": instance}
        self._name = {"_id": f"{reader}:{instance}"}
        self._stood = False
        self.window = Window(most)
        self.fault: str | None = None
        """Why the reader stands still until another build is started, if it does."""

    @property
    def _stops(self) -> Collection:
        return self._home[STOPS]

    async def begin(self) -> None:
        """Be wary if it stood still when it was last heard of. Raises PyMongoError."""
        self._stood = await self._stops.find_one(self._name) is not None
        self.window = replace(self.window, wary=self._stood)

    async def stand(self, why: str) -> None:
        """It stands still: to be said again from time to time, for MongoDB may be away."""
        if self.fault is None:
            log.critical("too many are parked; the reader stands still", **self._mark, why=why)
        self.fault = why
        mark = {"$set": {**self._mark, "why": why}, "$setOnInsert": {"since": datetime.now(UTC)}}
        try:
            await self._stops.update_one(self._name, mark, upsert=True)
        except PyMongoError as failed:
            log.warning("a stop cannot be noted yet", error=type(failed).__name__)

    async def stand_for_ever(self, why: str) -> None:
        """Until the process ends."""
        while True:
            await self.stand(why)
            await asyncio.sleep(_SAID_AGAIN_SECONDS)

    async def went_on(self) -> None:
        """Something was handled: it does not stand still. Raises PyMongoError."""
        if self._stood:
            await self._stops.delete_one(self._name)
            self._stood = False
