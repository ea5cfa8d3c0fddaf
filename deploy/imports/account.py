"""What a run came to: a bar while it goes, a few sentences at its end."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.imports.results import ALREADY_THERE, REFUSED, SKIPPED, TAKEN_IN, WOULD_BE, Result

_ORDER: Final = (TAKEN_IN, WOULD_BE, ALREADY_THERE, REFUSED, SKIPPED)


class Account:
    """Counts what became of lines, and where each kind of refusal stands first."""

    def __init__(self) -> None:
        self.total = 0
        self._became: Counter[str] = Counter()
        self._codes: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], int] = {}

    def add(self, result: Result) -> None:
        """One more line is done."""
        self._became[result.became] += 1
        if result.became == REFUSED:
            refusal = (result.code, result.field)
            self._codes[refusal] += 1
            self._first.setdefault(refusal, result.line)

    @property
    def done(self) -> int:
        return self._became.total()

    @property
    def refused(self) -> int:
        return self._became[REFUSED]

    def sentences(self, file: Path, form: str) -> Iterator[str]:
        """The sums, and the refusals by code, most of them first."""
        counted = [f"{self._became[name]} {name}" for name in _ORDER if self._became[name]]
        lines = "1 line" if self.total == 1 else f"{self.total} lines"
        yield f"{file.name} ({form}), {lines}: {', '.join(counted) or 'nothing to take in'}"
        for (code, field), count in self._codes.most_common():
            about = f" ({field})" if field else ""
            first = self._first[code, field]
            yield f"  refused: {count} {code}{about}, first in line {first}"


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """Told of each line that is done; a bar, on a terminal."""
    columns = TextColumn("lines"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
