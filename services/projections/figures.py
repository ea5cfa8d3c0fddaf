"""The place report: of the cases received in a period, what became of them, by kind and category.

Every figure is a link to the list of exactly the cases it counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final
from urllib.parse import urlencode

from pydantic import Field

from services.projections.answers import Number, Told
from services.projections.views.numbers import NUMBERS
from services.projections.wording import Wording
from shared.profile import Profile

Counts = Mapping[tuple[str, str], Mapping[str, int]]
"""Per kind and category: number → count."""

FAST_IS_OURS: Final = (
    "fast and on_the_spot are counted by thresholds that are ours, not the town's report's: fast "
    "is resolved within fast_within_hours of submission, on_the_spot is what was handed in as "
    "settled there and then; no case is in both"
)


class Figure(Told):
    """`cases` is the list of those counted, as a link relative to this service."""

    count: int
    cases: str


Figures = dict[Number, Figure]


class CategoryFigures(Told):
    """One category of a kind; `name` is what the town calls it."""

    category: str
    name: str
    numbers: Figures


class KindFigures(Told):
    """One kind of matter, all its categories together and each."""

    kind: str
    name: str
    numbers: Figures
    categories: list[CategoryFigures]


class PlaceReport(Told):
    """Of the cases received from one day to another, days in the town's calendar, both included.

    received = open + resolved + otherwise; closed, on_the_spot and fast are parts of those.
    """

    area: str
    name: str
    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    numbers: Figures
    kinds: list[KindFigures]
    profile: str
    fast_within_hours: int | None
    invented: list[str] = Field(description="what of the profile no report says: it is ours")
    remarks: list[str]


def place_report(
    asked: tuple[str, date, date], counts: Counts, profile: Profile, words: Wording
) -> PlaceReport:
    """The report for an area and period, of what was counted in it. The profile is the one in
    force; kinds and categories it no longer has are shown where cases were counted in them."""
    area, first, last = asked
    period = {"from": first.isoformat(), "to": last.isoformat()}
    kinds = in_order(profile.kinds, (kind for kind, _ in counts))
    return PlaceReport(
        area=area,
        name=words.areas[area],
        first=first,
        last=last,
        numbers=_summed(counts.values(), {"area": area, **period}),
        kinds=[
            _kind(kind, counts, {"area": area, "kind": kind, **period}, profile, words)
            for kind in kinds
        ],
        profile=profile.version,
        fast_within_hours=profile.fast_within_hours,
        invented=list(profile.invented),
        remarks=[FAST_IS_OURS] if is_ours(profile) else [],
    )


def figures(counted: Mapping[str, int], query: Mapping[str, str]) -> Figures:
    """Every number of what was counted, as links to the list that `query` narrows."""
    return {
        name: Figure(count=counted.get(name, 0), cases=list_link({**query, "number": name}))
        for name in NUMBERS
    }


def list_link(query: Mapping[str, str]) -> str:
    """The case list narrowed so."""
    return "/v1/cases?" + urlencode(query, safe="/")


def is_ours(profile: Profile) -> bool:
    """Whether the profile says that its threshold for fast is made up."""
    return any("fast_within_hours" in said for said in profile.invented)


def _kind(
    kind: str, counts: Counts, query: Mapping[str, str], profile: Profile, words: Wording
) -> KindFigures:
    ours = {category: counted for (of, category), counted in counts.items() if of == kind}
    known = {str(name): said for name, said in profile.kinds.items()}
    listed = known[kind].categories if kind in known else ()
    return KindFigures(
        kind=kind,
        name=words.kinds.get(kind, kind),
        numbers=_summed(ours.values(), query),
        categories=[
            CategoryFigures(
                category=category,
                name=words.category(kind, category),
                numbers=figures(ours.get(category, {}), {**query, "category": category}),
            )
            for category in in_order(listed, ours)
        ],
    )


def _summed(counted: Iterable[Mapping[str, int]], query: Mapping[str, str]) -> Figures:
    total: Counter[str] = Counter()
    for counts in counted:
        total.update(counts)
    return figures(total, query)


def in_order(known: Iterable[str], found: Iterable[str]) -> list[str]:
    """What the profile lists, in its order, then what else there is."""
    listed = list(map(str, known))
    return [*listed, *sorted(set(found) - set(listed))]
