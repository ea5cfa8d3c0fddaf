"""The read model that is being read, which may be another one a moment later.

A request reads one generation from beginning to end, so that what it waited for is in what it
answers. What lasts longer (a live stream) follows the alias.
"""

import asyncio
from contextvars import ContextVar
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from services.projections.readmodel import ReadModel
from shared.errors import NotReady

KEPT_SECONDS: Final = 40.0
"""So long a request keeps what it began with: longer than any waits (30 s at most)."""

_kept: ContextVar[tuple[ReadModel, float] | None] = ContextVar("kept", default=None)


class Reading:
    """Which read model is read."""

    def __init__(self, model: ReadModel | None = None) -> None:
        self._now = model

    @property
    def model(self) -> ReadModel:
        """The one this request keeps, or else the one of now. Raises NotReady before the first."""
        kept = _kept.get()
        if kept is not None and asyncio.get_running_loop().time() < kept[1]:
            return kept[0]
        if self._now is None:
            raise NotReady("there is no read model yet")
        return self._now

    def switch(self, model: ReadModel) -> None:
        """From now on this one is read."""
        self._now = model

    def keep(self) -> None:
        """Let what runs in this context go on reading what is read now."""
        until = asyncio.get_running_loop().time() + KEPT_SECONDS
        _kept.set(None if self._now is None else (self._now, until))


class OneGeneration:
    """Lets each request keep the read model it began with."""

    def __init__(self, app: ASGIApp, reading: Reading) -> None:
        self._app = app
        self._reading = reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._reading.keep()
        await self._app(scope, receive, send)
