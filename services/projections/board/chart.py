"""The trend by day as bars: where each stands in a picture of fixed size. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.projections.overview import DayFigures

WIDTH: Final = 720
HEIGHT: Final = 140
_GAP: Final = 0.25
"""Of a day's width."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: what is still open stands at the bottom, what is done on top of it."""

    day: DayFigures
    x: float
    width: float
    open_y: float
    open_height: float
    done_y: float
    done_height: float


@dataclass(frozen=True, slots=True)
class Trend:
    """All bars, the count at the top of the picture, and the busiest day's."""

    bars: Sequence[Bar]
    top: int
    most: int
    total: int


def trend(days: Sequence[DayFigures]) -> Trend:
    """The days side by side."""
    received = [day.numbers["received"].count for day in days]
    most = max(received, default=0)
    top = _round_up(most)
    step = WIDTH / max(len(days), 1)
    bars = [
        _bar(day, n * step + step * _GAP / 2, step * (1 - _GAP), top) for n, day in enumerate(days)
    ]
    return Trend(bars, top, most, sum(received))


def _bar(day: DayFigures, x: float, width: float, top: int) -> Bar:
    still_open = day.numbers["open"].count * HEIGHT / top
    done = (day.numbers["received"].count - day.numbers["open"].count) * HEIGHT / top
    return Bar(
        day,
        x=round(x, 2),
        width=round(width, 2),
        open_y=round(HEIGHT - still_open, 2),
        open_height=round(still_open, 2),
        done_y=round(HEIGHT - still_open - done, 2),
        done_height=round(done, 2),
    )


def _round_up(most: int) -> int:
    """The next of 2, 5, 10, 20, 50, …: half of it is a whole number, or easily read."""
    top = 2
    while top < most:
        top = top * 5 // 2 if str(top)[0] == "2" else top * 2
    return top
