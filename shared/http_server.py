"""The HTTP server of every service: how it begins, and how it ends."""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from pymongo.errors import PyMongoError
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CANNOT_START: Final = (ValueError, OSError, PyMongoError)
"""What an operator has to mend before a service can start."""
_UNREAD_BYTES: Final = 128 * 1024
_UNREAD_MILLISECONDS: Final = 60_000
_UNREAD_AT_STOP_SECONDS: Final = 2.0
_REQUESTS_AT_STOP_SECONDS: Final = 20
END_SECONDS: Final = 35.0
"""A process that was told to end is gone by then: sooner than its supervisor loses patience."""

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """The HTTP server of every service. When it stops, what is in flight is finished, but an
    answer without an end is ended at once, and who does not read theirs is not waited for."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._app = app
        self._entrance = _Entrance(app)
        super().__init__(
            uvicorn.Config(
                self._entrance,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                timeout_keep_alive=75,
                loop="uvloop",
                http=Connection,
                timeout_graceful_shutdown=_REQUESTS_AT_STOP_SECONDS,
            )
        )

    @property
    def refused(self) -> Exception | None:
        """Why the app did not start, if that is for an operator to mend."""
        return self._entrance.refused

    @property
    def broken(self) -> Exception | None:
        """Why the app, once started, could not go on."""
        return self._entrance.broken

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """It would raise them once more when all is finished: that is no reason to die of them."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _end_by_then()
        for end in self._app.state.before_stop:
            end()
        cut = asyncio.create_task(self._cut_off())
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()

    async def _cut_off(self) -> None:
        """Give up on those who have left what was sent to them unread."""
        await asyncio.sleep(_UNREAD_AT_STOP_SECONDS)
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.give_up()


class Connection(HttpToolsProtocol):
    """One HTTP connection. The kernel keeps little for a peer that does not read, and cuts off
    one that takes nothing for a minute."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # theirs
        super().connection_made(transport)
        if (peer := transport.get_extra_info("socket")) is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_BYTES)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MILLISECONDS)

    def give_up(self) -> None:
        """Close it without waiting, if something is unread."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()


class _Entrance:
    """The app, and why it did not start or go on: uvicorn would print that as a traceback."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.refused: Exception | None = None
        self.broken: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        failed: Message | None = None

        async def tell(message: Message) -> None:
            nonlocal failed
            if message["type"].endswith(".failed"):
                failed = message
            else:
                await send(message)

        try:
            await self._app(scope, receive, tell)
        except Exception as why:  # whatever it is, the server is told
            if failed is None:
                raise
            if failed["type"] == "lifespan.shutdown.failed":
                self.broken, failed = why, {"type": failed["type"]}
            elif isinstance(why, CANNOT_START):
                self.refused, failed = why, {"type": failed["type"]}
            await send(failed)


def _end_by_then() -> None:
    """Whatever does not end by itself (a call to a server that hangs, in a thread, keeps even the
    interpreter) was not acknowledged to anybody."""

    def give_up() -> None:
        log.critical("what was in flight did not end in time; the process ends all the same")
        sys.stdout.flush()
        os._exit(1)

    timer = threading.Timer(END_SECONDS, give_up)
    timer.daemon = True
    timer.start()
