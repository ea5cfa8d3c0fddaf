"""What changes in the generation being read, told to all who listen: one feed per process.

The timeline is only ever inserted into, in the transaction that also writes stories and rows: a
change in it can be read by the time it is told. Who may know of it, the story itself says.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from bson import Timestamp
from fastapi.sse import format_sse_event
from pymongo.errors import OperationFailure, PyMongoError

from services.projections.answers import StoryChanged
from services.projections.listeners import Change, Listener, Listeners, Mark, Place
from services.projections.scope import circles_around, circles_of
from shared.access import Principal
from shared.contracts.recorded import story_of
from shared.errors import NotReady
from shared.keystore import KeyReader
from shared.mongo import ChangeFeed, Database, Document, server_time, time_of

KEPT_SECONDS: Final = 120
"""How far back a process reads when it starts, for those who listened to another one before."""
_LOST: Final = (280, 286)
"""The oplog does not go back to where the feed is to start."""
_NOWHERE: Final = Place(0, 0)
_AGAIN_SECONDS: Final = 0.5
_TOLD: Final = (
    *("town", "v", "parts.wish.resident", "parts.wish.proxy", "parts.wish.area"),
    *("parts.case.area", "parts.case.units", "wrote.case_list.state", "wrote.case_list.numbers"),
)

log = structlog.get_logger(__name__)

Reading = Callable[[], tuple[str, Database]]
"""The generation that is read now, and its database."""


@dataclass(slots=True)
class _Feed:
    """Where the feed of a generation stands: what a new one goes on from."""

    generation: str
    token: Document | None = None
    place: Place = _NOWHERE


class Live:
    """Follows the generation being read, on behalf of all listeners of this process."""

    def __init__(
        self,
        reading: Reading,
        keys: KeyReader,
        *,
        heartbeat_seconds: float,
        listeners: Listeners | None = None,
    ) -> None:
        self.listeners = listeners or Listeners()
        self.heartbeat_seconds = heartbeat_seconds
        self._reading = reading
        self._keys = keys
        self._strangers: dict[Listener, Principal] = {}

    async def run(self) -> None:
        """Tell what changes until cancelled; while MongoDB is away, nothing does."""
        stood: _Feed | None = None
        while True:
            try:
                generation, database = self._reading()
            except NotReady:  # another process is making the first one
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if stood is None or stood.generation != generation:
                stood = _Feed(generation)
            feed = ChangeFeed(database["timeline"], keys_only=True)
            try:
                await self._open(feed, stood, database)
                while self._reading()[0] == generation:
                    await self._next(feed, stood, database)
            except PyMongoError as failed:
                log.warning("changes cannot be followed", error=f"{type(failed).__name__}")
                await asyncio.sleep(_AGAIN_SECONDS)
            finally:
                await feed.close()

    async def open(self) -> bool:
        """Whether changes are followed: not in the first moments of a process."""
        return self.listeners.here is not None

    def meet(self, listener: Listener, who: Principal) -> None:
        """A resident whom nobody knows yet: with their first wish their own changes begin."""
        self._strangers[listener] = who

    def part(self, listener: Listener) -> None:
        """They listen no more."""
        self._strangers.pop(listener, None)

    async def _open(self, feed: ChangeFeed, stood: _Feed, database: Database) -> None:
        """Go on where the last feed stood. If that is lost, or there was none, from now on, and
        when the process starts from a while before."""
        now = await server_time(database)
        since = now
        if self.listeners.here is None:
            since = Timestamp(max(now.time - KEPT_SECONDS, 1), 1)
        try:
            if stood.token is not None:
                await feed.open(stood.token)
                return
            if stood.place > _NOWHERE:  # the first batch of the last feed was not told
                await feed.open_since(Timestamp(*stood.place[:2]))
                return
            await feed.open_since(since)
        except OperationFailure as failed:
            if failed.code not in _LOST:
                raise
            log.warning("changes of a while are lost to those who listen", code=failed.code)
            await feed.close()
            since = now
            await feed.open_since(since)
        stood.place = Place(since.time, since.inc)
        self.listeners.begin(Mark(stood.generation, stood.place))

    async def _next(self, feed: ChangeFeed, stood: _Feed, database: Database) -> None:
        """Tell the changes of a batch to those they concern, and remember where that ends."""
        batch = await feed.changes()
        newest: dict[str, Place] = {}
        place = stood.place
        for each in batch:
            time: Timestamp = each["clusterTime"]
            place = Place(time.time, time.inc, place.nth + 1 if place[:2] == _at(time) else 1)
            stream, _, _ = each["documentKey"]["_id"].partition("@")
            newest.pop(story := story_of(stream), None)
            newest[story] = place
        if not batch and feed.token is not None:  # nothing was committed up to there
            place = max(place, Place(*_at(time_of(feed.token))))
        changes = await self._changes(newest, stood.generation, database) if newest else []
        self.listeners.publish(changes, place)
        stood.place, stood.token = place, feed.token

    async def _changes(
        self, newest: Mapping[str, Place], generation: str, database: Database
    ) -> list[Change]:
        """The changed stories as they are now, in one query, in the order of their places."""
        await self._recognise()
        query = {"_id": {"$in": list(newest)}, "wrote.case_list": {"$exists": True}}
        found = await database["stories"].find(query, dict.fromkeys(_TOLD, 1)).to_list(None)
        stories = {story["_id"]: story for story in found}
        changes: list[Change] = []
        for name, place in newest.items():
            try:
                if story := stories.get(name):
                    told = _told(story, generation, place)
                    changes.append(Change(place, name, circles_around(story), told))
            except Exception as bug:  # pure: it would raise for ever, and end the feed of all
                log.error("a change cannot be told", story=name, error=type(bug).__name__)
        return changes

    async def _recognise(self) -> None:
        """Let residents who were unknown until now be told of what is theirs."""
        if not self._strangers:
            return
        indexes = {listener: who.id.partition(":")[2] for listener, who in self._strangers.items()}
        residents = await self._keys.residents_by(indexes.values())
        for listener, index in indexes.items():
            if index in residents and listener in self._strangers:
                who = self._strangers.pop(listener)
                self.listeners.enter(listener, circles_of(who, residents[index]))


def _at(time: Timestamp) -> tuple[int, int]:
    return time.time, time.inc


def _told(story: Document, generation: str, place: Place) -> bytes:
    row = story["wrote"]["case_list"]
    said = StoryChanged(
        story=story["_id"], versions=story["v"], state=row["state"], numbers=row["numbers"]
    )
    mark = str(Mark(generation, place))
    return format_sse_event(event="change", id=mark, data_str=said.model_dump_json())
