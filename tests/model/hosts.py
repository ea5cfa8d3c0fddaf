"""A process as the servers see it: it may die, be stopped for a while, or lose an answer."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pymongo.errors import AutoReconnect, OperationFailure

T = TypeVar("T")
Outcome = Literal[
    "fails", "lost", "late", "stops", "stops after", "dies", "dies after", "hole", "forgotten"
]
"""What becomes of one call. `fails`: nothing was done. `lost`: it was done, the answer is lost.
`late`: the answer is lost, and it is done seconds later. `stops`, `stops after`: the process is
stopped before it, or when it was done, as by SIGSTOP. `dies`, `dies after`: it is killed then.
`hole`: a record is lost, though later ones of its partition get through. `forgotten`: the server
has lost the place of a change stream."""
LATE_SECONDS = 3.0
HISTORY_LOST = 286


@dataclass(frozen=True)
class Strike:
    """What befalls the next call of this operation."""

    operation: str
    outcome: Outcome


class Host:
    """One process: its tasks, and its way to the servers."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.name = name
        self.alive = True
        self.awake = asyncio.Event()
        self.awake.set()
        self.strikes: list[Strike] = []
        self.bugs: list[BaseException] = []
        """What a task of it died of."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, job: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task that dies with the process."""
        task = self._loop.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def kill(self) -> None:
        """No call of it is heard any more."""
        self.alive = False
        self.awake.set()
        for task in list(self._tasks):
            task.cancel()

    async def call(
        self,
        operation: str,
        effect: Callable[[], T],
        error: Callable[[], Exception] = lambda: AutoReconnect("the connection was closed"),
    ) -> T:
        """What a server does for it, all at once; or what is in the way of that."""
        await asyncio.sleep(0)
        await self.awake.wait()
        self._check_alive(error)
        outcome = self._struck(operation)
        match outcome:
            case "fails" | "hole":
                raise error()
            case "forgotten":
                raise OperationFailure("the resume point was not found", HISTORY_LOST)
            case "late":
                self._loop.call_later(LATE_SECONDS, _quietly, effect)
                raise error()
            case "stops":
                self.awake.clear()
                await self.awake.wait()
                self._check_alive(error)
            case "dies":
                await self._die()
        done = effect()
        if outcome == "lost":
            raise error()
        if outcome == "stops after":
            self.awake.clear()
            await self.awake.wait()
            self._check_alive(error)
        if outcome == "dies after":
            await self._die()
        return done

    def _struck(self, operation: str) -> Outcome | None:
        for strike in self.strikes:
            if strike.operation == operation:
                self.strikes.remove(strike)
                return strike.outcome
        return None

    def _check_alive(self, error: Callable[[], Exception]) -> None:
        if not self.alive:
            raise error()

    async def _die(self) -> None:
        self.kill()
        await self._loop.create_future()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if self.alive and not task.cancelled() and (bug := task.exception()) is not None:
            self.bugs.append(bug)


def _quietly(effect: Callable[[], object]) -> None:
    """Do what is still possible; nobody hears whether it was."""
    try:
        effect()
    except Exception:
        return
