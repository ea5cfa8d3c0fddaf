"""Whether a place report is whole in itself: of what was asked, complete, and adding up."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

Report = dict[str, Any]
"""The place report as the read API answers it."""
NUMBERS: Final = frozenset(
    ("received", "open", "resolved", "otherwise", "closed", "on_the_spot", "fast")
)


@dataclass(frozen=True)
class Asked:
    """Of which area, and from which day to which, both included, the report was asked."""

    area: str
    first: str
    last: str


@dataclass(frozen=True)
class Part:
    """A set of numbers of the report, of all kinds, one kind or one of its categories."""

    numbers: dict[str, Any]
    kind: str | None = None
    category: str | None = None

    @property
    def name(self) -> str:
        return ", ".join(each for each in (self.kind, self.category) if each) or "all kinds"


def parts(report: Report) -> Iterator[Part]:
    """Every set of numbers, the totals first."""
    yield Part(report["numbers"])
    for kind in report["kinds"]:
        yield Part(kind["numbers"], kind["kind"])
        for category in kind["categories"]:
            yield Part(category["numbers"], kind["kind"], category["category"])


def out_of_shape(
    report: Report, asked: Asked, played: Collection[tuple[str, str]]
) -> Iterator[str]:
    """A line for what makes the report another than the one asked for, or not complete: each
    (kind, category) that was played is to be in it."""
    for name, wanted in (("area", asked.area), ("from", asked.first), ("to", asked.last)):
        if report.get(name) != wanted:
            yield f"the report's {name} is {report.get(name)}, asked was {wanted}"
    named = Counter((part.kind, part.category) for part in parts(report))
    for (kind, category), times in named.items():
        if times > 1:
            yield f"{Part({}, kind, category).name}: listed {times} times"
    for kind in sorted({kind for kind, _ in played}):
        if (kind, None) not in named:
            yield f"the report has no kind {kind}"
    for kind, category in sorted(played):
        if (kind, None) in named and (kind, category) not in named:
            yield f"{kind}: the report has no category {category}"
    for part in parts(report):
        if set(part.numbers) != NUMBERS:
            yield f"{part.name}: has the numbers {', '.join(sorted(part.numbers)) or 'none'}"


def not_adding_up(report: Report, played: Collection[str]) -> Iterator[str]:
    """A line for each number that is not what its parts come to, and for each kind that counts
    something though nothing of it was played."""
    kinds = report["kinds"]
    yield from _not_the_sum(Part(report["numbers"]), kinds)
    for kind in kinds:
        yield from _not_the_sum(Part(kind["numbers"], kind["kind"]), kind["categories"])
    for part in parts(report):
        counts = {number: figure["count"] for number, figure in part.numbers.items()}
        if counts["received"] != counts["open"] + counts["resolved"] + counts["otherwise"]:
            yield f"{part.name}: received is not open + resolved + otherwise"
        if part.kind not in (None, *played) and any(counts.values()):
            yield f"{part.name}: counts something, but nothing of it was played"


def _not_the_sum(whole: Part, among: list[dict[str, Any]]) -> Iterator[str]:
    for number in sorted(NUMBERS):
        count = whole.numbers[number]["count"]
        if count != (total := sum(each["numbers"][number]["count"] for each in among)):
            yield f"{whole.name}, {number}: {count}, but its parts come to {total}"
