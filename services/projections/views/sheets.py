"""How a tally is kept: sheets of cells, changed by differences, equal however they came about.

A sheet is one document per (partition, town, leaf area, `by`, month); as long as one process
owns a partition, no two write one sheet. Its cells are `{day, kind, <number>: count, …}`, in
order; zeros, empty cells and empty sheets are not kept.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.projections.stories import Story
from services.projections.views import Counted

Document = dict[str, Any]
Cell = tuple[str, str, str]
"""Day, kind, number."""
Differences = dict["Sheet", Counter[Cell]]

INDEX: Final = (("town", 1), ("month", 1), ("area", 1))
_KEYS: Final = ("day", "kind")
_BETWEEN: Final = "|"


class Sheet(NamedTuple):
    """Which document a story adds to. `month` is `2026-03`."""

    partition: int
    town: str
    area: str
    by: str
    month: str

    @property
    def name(self) -> str:
        """Its `_id`."""
        return _BETWEEN.join(map(str, self))


def written(counted: Counted | None) -> Document | None:
    """What the story remembers of it."""
    if counted is None:
        return None
    return {
        "area": counted.area,
        "by": counted.by,
        "day": counted.day,
        "kind": counted.kind,
        "numbers": list(counted.numbers),
    }


def add_difference(
    differences: Differences, story: Story, before: Document | None, after: Document | None
) -> None:
    """Take what the story had counted away again, and count it as it is now. Raises ValueError
    for codes that could be taken for others."""
    for counted, sign in ((before, -1), (after, 1)):
        if counted is None:
            continue
        day, kind = counted["day"], counted["kind"]
        sheet = Sheet(story["partition"], story["town"], counted["area"], counted["by"], day[:7])
        if _BETWEEN in (codes := f"{sheet.town}{sheet.area}{sheet.by}"):
            raise ValueError(f"{_BETWEEN} in {codes}")
        cells = differences.setdefault(sheet, Counter())
        for number in counted["numbers"]:
            cells[day, kind, number] += sign


def sheet_after(
    sheet: Sheet, stored: Document | None, differences: Mapping[Cell, int]
) -> Document | None:
    """The document with the differences applied; None when nothing is left in it."""
    counts: Counter[Cell] = Counter(differences)
    for cell in stored["cells"] if stored else ():
        day, kind = cell["day"], cell["kind"]
        for number, count in cell.items():
            if number not in _KEYS:
                counts[day, kind, number] += count
    cells: dict[tuple[str, str], Document] = {}
    for (day, kind, number), count in sorted(counts.items()):
        if count:
            cells.setdefault((day, kind), {"day": day, "kind": kind})[number] = count
    if not cells:
        return None
    return {"_id": sheet.name, **sheet._asdict(), "cells": list(cells.values())}
