"""Crash points: places where a test lets this process die as in a power cut, or stop, so that it
can be told something just there.

None is armed unless `WISHGRID_CRASH_POINT` names it, which settings refuse in production. A point
that is not armed costs a comparison. `tests/chaos/crash_points.py` dies at each and asks whether
anything was lost.
"""

import os
import re
import signal
from typing import Final, Literal, get_args

Point = Literal[
    "decided",
    "stored",
    "committed-before-publish",
    "batch-half-sent",
    "published-before-token",
    "batch-half-reacted",
    "batch-half-judged",
    "projection-open",
    "projection-committed",
    "in-rebalance",
    "generation-flip",
    "key-created",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)


class _Fuse:
    """What is armed in this process, how often it is still passed, and what it does then, once."""

    def __init__(self) -> None:
        self.point: str | None = None
        self.left = 0
        self.signal = signal.SIGKILL


# The one state of a module in this house: to die is a matter of the whole process, and to hand a
# fuse through every constructor would put the test's business into each of them.
_FUSE: Final = _Fuse()


def named(text: str) -> tuple[str, int, signal.Signals]:
    """The point, the time it is reached, and what is done then: `name` or `name:n` kills,
    `name:stop` or `name:n:stop` stops (SIGSTOP) until SIGCONT. Raises ValueError."""
    kills = text.removesuffix(":stop")
    name, colon, times = kills.partition(":")
    if name not in POINTS:
        raise ValueError(f"there is no crash point {name}; there are {', '.join(POINTS)}")
    if colon and not re.fullmatch("[1-9][0-9]{0,5}", times):
        raise ValueError(f"{times or 'nothing'} is no number of times; write {name} or {name}:3")
    return name, int(times or 1), signal.SIGKILL if kills == text else signal.SIGSTOP


def arm(text: str) -> None:
    """Die or stop at the point that is named so. Raises ValueError."""
    _FUSE.point, _FUSE.left, _FUSE.signal = named(text)


def reached(point: Point) -> None:
    """This process is at the point: nothing, unless it is the one that is armed."""
    if _FUSE.point == point:
        _burn()


def _burn() -> None:
    _FUSE.left -= 1
    if _FUSE.left == 0:
        os.kill(os.getpid(), _FUSE.signal)
