"""How much a process takes on at a time: what there is no room for is turned away at the door.

A request counts from when its body is whole until its answer begins; its bytes count as they come.
So whatever it waits for (a stream to load, a flush, a position) is bounded too.
"""

import asyncio
import re
import uuid
from typing import Final

from prometheus_client.metrics_core import Metric
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import problems
from shared.metrics import counter, gauge

BODY_LIMIT: Final = 256 * 1024
MEGABYTE: Final = 1024 * 1024
KEY_FORM: Final = r"^[\x21-\x7e]{1,200}$"
HEALTH: Final = ("/livez", "/readyz", "/metrics")
"""Whoever watches must be answered most of all while there is no room."""
_READ_ONLY: Final = ("GET", "HEAD")


class Room:
    """Requests at work in one process, and the bytes of their bodies."""

    def __init__(self, requests: int = 1024, size: int = 32 * MEGABYTE) -> None:
        self.requests = requests
        self.size = size
        self.at_work = 0
        self.held = 0
        self.turned_away = 0

    def numbers(self) -> list[Metric]:
        """What it says of itself."""
        return [
            gauge("wishgrid_requests_at_work", "Requests that are being worked on", self.at_work),
            counter(
                "wishgrid_requests_turned_away",
                "Requests answered `overloaded` at the door",
                self.turned_away,
            ),
        ]


class _Place:
    """One request's share of the room, given back once."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bytes = 0
        self._at_work = 0

    def hold(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        if self._room.held + size > self._room.size:
            return False
        self._room.held += size
        self._bytes += size
        return True

    def begin(self) -> bool:
        """Whether there is room to work on it."""
        if self._room.at_work >= self._room.requests:
            return False
        self._room.at_work += 1
        self._at_work = 1
        return True

    def leave(self) -> None:
        self._room.held -= self._bytes
        self._room.at_work -= self._at_work
        self._bytes = self._at_work = 0


class Bounded:
    """Reads a request's body before anything is done with it, and no more of it than allowed; then
    sees that it is answered, also when the process ends first."""

    def __init__(self, app: ASGIApp, room: Room) -> None:
        self._app = app
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        place = _Place(self._room)
        try:
            body = await self._body(scope, receive, send, place)
            if body is None:
                return
            if place.begin():
                await self._answer(body, scope, receive, send, place)
            else:
                await self._turn_away(scope, receive, send, whole=True)
        finally:
            place.leave()

    async def _body(
        self, scope: Scope, receive: Receive, send: Send, place: _Place
    ) -> bytes | None:
        """All of it; None when the request has been answered, or half of it is all there is."""
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None  # half a request asks for nothing
            came = message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) + len(came) > BODY_LIMIT:
                detail = f"a body may have at most {BODY_LIMIT // 1024} KB"
                answer = problems.problem(Request(scope), 413, "too-large", detail)
                answer.headers["Connection"] = "close"  # the rest is not read
                await answer(scope, receive, send)
                return None
            if not place.hold(len(came)):
                await self._turn_away(scope, receive, send, whole=not more)
                return None
            body += came
        return bytes(body)

    async def _answer(
        self, body: bytes, scope: Scope, receive: Receive, send: Send, place: _Place
    ) -> None:
        said = begun = False

        async def replay() -> Message:
            nonlocal said
            if said:
                return await receive()
            said = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def begin(message: Message) -> None:
            nonlocal begun
            begun = True
            place.leave()
            await send(message)

        try:
            await self._app(scope, replay, begin)
        except asyncio.CancelledError:
            # The process ends and waited long enough. Nobody above waits for this task.
            if not begun:
                await _unfinished(scope)(scope, receive, send)

    async def _turn_away(self, scope: Scope, receive: Receive, send: Send, *, whole: bool) -> None:
        """With a key to come again under, made here if the request brought none."""
        self._room.turned_away += 1
        if scope["method"] not in _READ_ONLY:
            given = dict(scope["headers"]).get(b"idempotency-key", b"").decode("latin-1")
            key = given if re.match(KEY_FORM, given) else uuid.uuid4().hex
            scope.setdefault("state", {})["idempotency_key"] = key
        answer = problems.of(Request(scope), "overloaded")
        if not whole:
            answer.headers["Connection"] = "close"
        await answer(scope, receive, send)


def _unfinished(scope: Scope) -> Response:
    code = "not-ready" if scope["method"] in _READ_ONLY else "outcome-unknown"
    return problems.of(Request(scope), code)
