"""Views: pure functions of a story. `row(story)` is the document a front end lists, or None."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.projections.stories import Story

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """`name` is its collection, `row` makes its document from a story (`_id` is the story's),
    `indexes` are its keys, each a sequence of (field, 1 or -1)."""

    name: str
    row: Callable[[Story], Row | None]
    indexes: Sequence[Sequence[tuple[str, int]]] = ()
