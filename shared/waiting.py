"""Reading your own writes: positions, and waiting until one has arrived here."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from shared.contracts.base import StoryId, StreamId
from shared.contracts.recorded import kind_of, story_of, stream_id
from shared.errors import NotYet, Refused
from shared.mongo import Database
from shared.store import EventStore

STORY: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
POSITION: Final = rf"^([a-z]{{1,20}}-{STORY[1:-1]})@([1-9][0-9]{{0,8}})$"
_LOOK_AGAIN_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Position:
    """`<stream>@<version>` as answers carry it."""

    stream: StreamId
    version: int

    @property
    def story(self) -> StoryId:
        return story_of(self.stream)

    @property
    def kind(self) -> str:
        return kind_of(self.stream)

    def check_story(self, story: StoryId) -> None:
        """Raises Refused `bad-position` when it belongs to another story."""
        if self.story != story:
            raise Refused("bad-position", "it belongs to another story", field="at_least")

    def __str__(self) -> str:
        return f"{self.stream}@{self.version}"


def parse_position(text: str) -> Position:
    """Raises Refused `bad-position`."""
    found = re.fullmatch(POSITION[1:-1], text)
    if found is None:
        raise Refused("bad-position", "expected <stream>@<version>", field="at_least")
    return Position(StreamId(found[1]), int(found[2]))


class Arrivals(Protocol):
    """Knows how much of a story has arrived in this service."""

    async def arrived(self, position: Position) -> bool: ...

    async def parked(self, story: StoryId) -> bool:
        """Whether the story stands still until somebody mends it."""
        ...


class _Nothing:
    """For whom nothing ever arrives."""

    async def arrived(self, _: Position) -> bool:
        return False

    async def parked(self, _: StoryId) -> bool:
        return False


NOTHING: Final[Arrivals] = _Nothing()


async def wait_for(arrivals: Arrivals, position: Position, seconds: float) -> None:
    """Return once `position` has arrived. Raises NotYet after `seconds`, or when it is parked."""

    async def arrived() -> bool:
        if await arrivals.arrived(position):
            return True
        if await arrivals.parked(position.story):
            raise NotYet(str(position), parked=True)
        return False

    await wait_until(arrived, str(position), seconds)


async def wait_until(there: Callable[[], Awaitable[bool]], what: str, seconds: float) -> None:
    """Return once `there()`. Raises NotYet after `seconds`. The server waits, so no client need."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await there():
        if asyncio.get_running_loop().time() > deadline:
            raise NotYet(what)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


class WriterArrivals:
    """Arrivals in a writing service: its own streams by its store, the others by what its
    reactions have taken in (`seen`, a hint for waiting, never read by a rule)."""

    def __init__(self, database: Database, store: EventStore, own: str) -> None:
        self._seen = database["seen"]
        self._parked = database["parked"]
        self._store = store
        self._own = own

    async def arrived(self, position: Position) -> bool:
        if position.kind == self._own:
            stream = stream_id(self._own, position.story)
            return (await self._store.load(stream)).version >= position.version
        found = await self._seen.find_one({"_id": position.story})
        return found is not None and int(found.get(position.kind, 0)) >= position.version

    async def parked(self, story: StoryId) -> bool:
        return await self._parked.find_one({"story": story}) is not None
