"""HTTP out: what changes, as it changes: Server-Sent Events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pymongo.errors import PyMongoError
from starlette.types import Receive, Scope, Send

from services.projections.answers import SentAway, StartOver, StoryChanged
from services.projections.live import Live
from services.projections.reader import EVERYBODY, Reader
from services.projections.scope import circles_of
from shared.access import Principal, Role
from shared.contracts.base import ResidentId
from shared.errors import OutcomeUnknown, Overloaded
from shared.waiting import wait_until
from shared.web import Allow

_RETRY_MILLISECONDS: Final = 2000
_CHUNK_BYTES: Final = 32 * 1024
_PACE_SECONDS: Final = 0.1
"""At least between two chunks to one listener: what comes meanwhile is noted and told at once."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",  # with the stream
    "X-Accel-Buffering": "no",  # a proxy must not collect it
}
_DESCRIBED: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "model": StoryChanged | StartOver | SentAway,
        "description": "Server-Sent Events: `change`, `reset`, `dropped`, each with this as data",
    }
}


class EventStream(StreamingResponse):
    """FastAPI's own answer of this kind has one heartbeat for all, and encodes for each."""

    media_type = "text/event-stream"


def change_routes(reader: Reader, live: Live) -> APIRouter:
    """Changes, for everybody who may see cases."""
    router = APIRouter(prefix="/v1", tags=["changes"])

    @router.get(
        "/changes",
        operation_id="follow_changes",
        response_class=EventStream,
        responses=_DESCRIBED,
    )
    async def follow_changes(
        who: Annotated[Principal, Depends(Allow(*EVERYBODY))],
        last_event_id: Annotated[
            str | None, Header(description="`id` of the last event: what came after it is told")
        ] = None,
    ) -> EventStream:
        """What changes in one's scope, as it changes. First open this, then read: nothing falls
        between. An `id` holds on every instance; where what came after it is not known any more,
        `reset` says so. The stream ends with its token."""
        await wait_until(live.open, "the feed of changes", reader.wait_seconds)
        resident = await reader.resident(who)
        if live.listeners.full:
            raise Overloaded
        return _Stream(reader, live, who, resident, last_event_id)

    return router


class _Stream(EventStream):
    """One listener's stream, from its first byte to its last."""

    def __init__(
        self,
        reader: Reader,
        live: Live,
        who: Principal,
        resident: ResidentId | None,
        last: str | None,
    ) -> None:
        super().__init__(self._chunks(), headers=_HEADERS)
        self._reader = reader
        self._live = live
        self._who = who
        self._unknown = who.role is Role.RESIDENT and resident is None
        self._listening = live.listeners.listening(circles_of(who, resident), last)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._listening as self._listener:
            if self._unknown:
                self._live.meet(self._listener, self._who)
            try:
                await super().__call__(scope, receive, send)
            finally:
                self._live.part(self._listener)

    async def _chunks(self) -> AsyncIterator[bytes]:
        listener = self._listener
        yield format_sse_event(comment="listening", id=self._mark(), retry=_RETRY_MILLISECONDS)
        while not listener.dropped:
            await self._wait()
            told = bool(listener.waiting)
            if chunk := await self._next():
                listener.reading = False
                yield chunk
                listener.reading = True
            if told:
                await asyncio.sleep(_PACE_SECONDS)
        yield _event("dropped", SentAway(reason=listener.dropped))

    async def _wait(self) -> None:
        """Until there is something to tell, the stream ends, or a sign of life is due. Also one
        that always has something to tell ends with its token."""
        seconds = self._live.heartbeat_seconds
        if (ends := self._who.expires_at) is not None:
            left = (ends - datetime.now(UTC)).total_seconds()
            seconds = min(seconds, left)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._listener.news.wait()
        if ends is not None and datetime.now(UTC) >= ends:
            self._listener.drop("token-expired")

    async def _next(self) -> bytes:
        listener = self._listener
        if listener.dropped:
            return b""
        if reason := listener.reset:
            listener.reset = None
            return _event("reset", StartOver(reason=reason), self._mark())
        changes = listener.take(_CHUNK_BYTES)
        if not changes:
            return format_sse_event(comment="here", id=self._mark())
        try:
            stories = [change.story for change in changes]
            await self._reader.access_log.note(self._who, "follow-changes", stories)
        except (PyMongoError, Overloaded, OutcomeUnknown):  # not noted, so not told
            listener.drop("store-away")
            return b""
        return b"".join(change.told for change in changes)

    def _mark(self) -> str | None:
        """All up to there was told, if nothing waits."""
        nothing_waits = not self._listener.waiting and not self._listener.reset
        return str(self._live.listeners.here) if nothing_waits else None


def _event(name: str, data: StartOver | SentAway, mark: str | None = None) -> bytes:
    return format_sse_event(event=name, id=mark, data_str=data.model_dump_json())
