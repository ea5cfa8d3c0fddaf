"""What runs beside the HTTP edge of a process, and that the process ends when it does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Died(Exception):
    """What runs beside the HTTP edge has ended by itself. Start the process again."""


@asynccontextmanager
async def in_background(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `jobs` beside the block and cancel them after it. One that ends before ends the process:
    a supervisor starts it again, a half-dead one helps nobody. It ends as if it were told to, what
    is in flight is finished, and the block then raises Died."""
    dead: list[str] = []
    stopping = False

    def died(task: asyncio.Task[None]) -> None:
        if stopping:
            return
        # A library may cancel it from within: that is no better than an error.
        why = None if task.cancelled() else task.exception()
        log.critical("a background job died; the process ends", job=task.get_name(), exc_info=why)
        dead.append(task.get_name())
        os.kill(os.getpid(), signal.SIGTERM)

    tasks = [asyncio.create_task(job, name=getattr(job, "__qualname__", None)) for job in jobs]
    for task in tasks:
        task.add_done_callback(died)
    try:
        yield
    finally:
        stopping = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if dead:
        raise Died(", ".join(dead))
