"""The result file: what became of each line, in the order of the list, written as it goes."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final, Protocol

from deploy.imports.errors import FixFirst

TAKEN_IN: Final = "taken in"
ALREADY_THERE: Final = "already there"
WOULD_BE: Final = "would be taken in"
REFUSED: Final = "refused"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the file. `line` is its number as a spreadsheet shows it, `position` what to
    wait for to see it; `code`, `field` and `why` are of a refusal."""

    line: int
    ref: str
    became: str
    story: str = ""
    position: str = ""
    code: str = ""
    field: str = ""
    why: str = ""


_HEADER: Final = tuple(field.name for field in fields(Result))


class Writes(Protocol):
    """Puts down one result, and it is on disk."""

    def __call__(self, result: Result) -> None: ...


@contextmanager
def results(file: Path) -> Iterator[Writes]:
    """A new result file in place of an older one; UTF-8 with its mark, so that spreadsheets know.
    Raises FixFirst for a file that is something else: it is not overwritten."""
    try:
        if file.exists() and not _is_ours(file):
            raise FixFirst(f"{file} is no result file; name another one with --results")
        with file.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(_HEADER)

            def write(result: Result) -> None:
                writer.writerow([_inert(str(cell)) for cell in astuple(result)])
                out.flush()

            yield write
    except OSError as wrong:
        raise FixFirst(f"{file} cannot be written: {wrong.strerror}") from wrong


def _is_ours(file: Path) -> bool:
    with file.open("rb") as there:
        first = there.readline(200).decode("utf-8-sig", "replace").strip()
    return first in ("", ",".join(_HEADER))


def _inert(cell: str) -> str:
    """What a spreadsheet would take for a formula is text."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
