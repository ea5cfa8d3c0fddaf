"""A list as a table of cells, whatever file it came in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deploy.imports.errors import FixFirst


@dataclass(frozen=True, slots=True)
class Broken:
    """A cell that cannot be relied on, and why."""

    why: str


Cell = str | datetime | Broken
"""Texts are stripped, and empty where the cell is; a datetime is in the list's own zone."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its number as a spreadsheet shows it, its cells by the header, and what stands
    beyond the last header."""

    number: int
    cells: Mapping[str, Cell]
    beyond: tuple[Cell, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A list as it was read; `form` says from what, in words."""

    form: str
    rows: Sequence[Row]


def table(
    file: Path, form: str, lines: Sequence[Sequence[Cell]], header: int, wanted: Collection[str]
) -> Table:
    """The lines below the header row, those that are empty left out. Raises FixFirst when a
    wanted column is not there, or twice."""
    if len(lines) < header:
        raise FixFirst(f"{file} ({form}) has no row {header}, where the mapping says its header is")
    names = [str(cell) for cell in lines[header - 1]]
    for column in wanted:
        if names.count(column) > 1:
            raise FixFirst(f"{file} ({form}) has two columns called {column!r}")
        if column not in names:
            there = ", ".join(filter(None, names)) or "nothing"
            raise FixFirst(
                f"{file} ({form}) has no column {column!r} in row {header}; there is {there}"
            )
    return Table(
        form,
        [
            _row(number, names, cells)
            for number, cells in enumerate(lines[header:], start=header + 1)
            if any(cell != "" for cell in cells)
        ],
    )


def _row(number: int, names: Sequence[str], cells: Sequence[Cell]) -> Row:
    filled = [*cells, *[""] * (len(names) - len(cells))]
    beyond = tuple(cell for cell in filled[len(names) :] if cell != "")
    return Row(number, dict(zip(names, filled, strict=False)), beyond)
