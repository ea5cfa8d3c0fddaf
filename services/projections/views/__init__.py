"""Views and tallies: pure functions of a story, so that lists and numbers cannot disagree.

`row(story)` is the document a front end lists, `count(story)` what the story adds to a table of
numbers; either may be None.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.projections.stories import Story

Row = dict[str, Any]
Index = Sequence[tuple[str, int]]
"""(field, 1 or -1), in order."""


@dataclass(frozen=True, slots=True)
class View:
    """`name` is its collection, `row` makes its document from a story (`_id` is the story's),
    `indexes` are its keys."""

    name: str
    row: Callable[[Story], Row | None]
    indexes: Sequence[Index] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """What one story adds: one to each of `numbers`, on its day and under its kind, in the
    document of its area, of `by` (the tally's own dimension) and of the month of the day."""

    area: str
    by: str
    day: str
    kind: str
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """`name` is its collection, `count` says what a story adds to it."""

    name: str
    count: Callable[[Story], Counted | None]
