"""A loop in which waiting takes no time: the clock jumps to whatever is due next."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.SelectSelector):
    """Nothing comes from outside, so that a wait is over as soon as it begins."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is due")
        if timeout > 0:
            self._jump(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Seconds pass only while nobody has anything to do."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_Jumping(self._pass))

    def time(self) -> float:
        return self._seconds

    def _pass(self, seconds: float) -> None:
        self._seconds += seconds

    def passes(self, seconds: float) -> None:
        """Let so much time go by, and all that is due in it happen."""
        self.run_until_complete(asyncio.sleep(seconds))

    def gives(self, what: Awaitable[T]) -> T:
        """What comes of it."""

        async def given() -> T:
            return await what

        return self.run_until_complete(given())

    def ends(self) -> None:
        """Everything that goes on is cancelled, and the loop closed."""
        while tasks := asyncio.all_tasks(self):
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.wait(tasks, timeout=60))
        self.close()
