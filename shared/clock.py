"""The one clock of recorded times, deadlines and checks of `occurred`.

Leases, tokens, caches and back-off keep real time and never ask it.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from shared.contracts.base import to_milliseconds


class Clock(Protocol):
    """Says what time it is in the town, in UTC, to the millisecond."""

    def now(self) -> datetime: ...


class SystemClock:
    """Real time."""

    def now(self) -> datetime:
        return to_milliseconds(datetime.now(UTC))


class ShiftedClock:
    """Real time plus the seconds written in a file, read at each call.

    All services and instances share the file; that is how months are played in minutes. It is
    never used in production (settings refuse it there).
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def now(self) -> datetime:
        offset = float(self._file.read_text() or 0)
        return to_milliseconds(datetime.now(UTC) + timedelta(seconds=offset))


def shift(file: Path, by: timedelta) -> None:
    """Move the clock in `file` forward by `by`, atomically. It never goes back."""
    if by < timedelta(0):
        raise ValueError("the clock only goes forward")
    before = float(file.read_text() or 0) if file.exists() else 0.0
    _write(file, before + by.total_seconds())


def begin(file: Path, at: datetime) -> None:
    """Let the clock in `file` stand at `at`, months ago or ahead, atomically. Raises ValueError
    where it has come further already: it never goes back."""
    offset = (at - datetime.now(UTC)).total_seconds()
    if file.exists() and offset < float(file.read_text() or 0):
        raise ValueError("the clock only goes forward")
    _write(file, offset)


def clock_from(file: Path | None) -> Clock:
    """The real clock, or the shifted one where a file is named."""
    return SystemClock() if file is None else ShiftedClock(file)


def _write(file: Path, offset: float) -> None:
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(str(offset))
    draft.replace(file)
