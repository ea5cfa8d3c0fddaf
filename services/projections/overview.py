"""The overview of a place: how it stands now, and what became of what was received in a period,
by day, by kind and by area. Pure; every figure is a link to the list of the cases it counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from pydantic import Field

from services.projections.answers import Told
from services.projections.figures import (
    FAST_IS_OURS,
    Figure,
    Figures,
    figures,
    in_order,
    is_ours,
    list_link,
)
from services.projections.wording import Wording
from shared.profile import Profile

OVERDUE: Final = "overdue"
Place = tuple[str, str]
"""Leaf area and kind."""
Counts = Mapping[str, int]
"""Number, or `overdue` → count."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An area with all below it, and days in the town's calendar, both included."""

    area: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Found:
    """What was counted: of the cases received in the period, and of all there are now."""

    places: Mapping[Place, Counts]
    days: Mapping[str, Counts]
    open_now: int
    overdue_now: int


class Standing(Told):
    """How the place stands now, whenever a case was received."""

    open: Figure
    overdue: Figure


class DayFigures(Told):
    """What became of the cases received on one day."""

    day: date
    numbers: Figures


class RowFigures(Told):
    """One kind, or one area; `overdue` are those of its open cases that are past their due."""

    code: str
    name: str
    numbers: Figures
    overdue: Figure


class AreaRow(RowFigures):
    """`only`: the area that was asked for itself, without those below it, which have rows of
    their own."""

    level: str | None
    only: bool


class Overview(Told):
    """`standing` is of now, all else of the cases received from one day to another; the rows of
    `kinds`, of `areas` and of `days` each add up to `numbers`."""

    area: str
    name: str
    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    standing: Standing
    numbers: Figures
    overdue: Figure
    days: list[DayFigures]
    kinds: list[RowFigures]
    areas: list[AreaRow]
    profile: str
    fast_within_hours: int | None
    invented: list[str] = Field(description="what of the profile no report says: it is ours")
    remarks: list[str]


def overview(asked: Asked, found: Found, profile: Profile, words: Wording) -> Overview:
    """What was counted, by its names. Areas and kinds the profile in force no longer has are
    shown where cases were counted in them."""
    query = {"area": asked.area, "from": asked.first.isoformat(), "to": asked.last.isoformat()}
    total = _sum(found.places.values())
    return Overview(
        area=asked.area,
        name=words.areas[asked.area],
        first=asked.first,
        last=asked.last,
        standing=_standing(asked.area, found),
        numbers=figures(total, query),
        overdue=_overdue(total[OVERDUE], query),
        days=[_day(day, found, asked.area) for day in _days(asked.first, asked.last)],
        kinds=_kinds(found, query, profile, words),
        areas=_areas(asked.area, found, query, profile, words),
        profile=profile.version,
        fast_within_hours=profile.fast_within_hours,
        invented=list(profile.invented),
        remarks=[FAST_IS_OURS] if is_ours(profile) else [],
    )


def _standing(area: str, found: Found) -> Standing:
    now_open = list_link({"area": area, "number": "open"})
    return Standing(
        open=Figure(count=found.open_now, cases=now_open),
        overdue=_overdue(found.overdue_now, {"area": area}),
    )


def _day(day: date, found: Found, area: str) -> DayFigures:
    said = day.isoformat()
    query = {"area": area, "from": said, "to": said}
    return DayFigures(day=day, numbers=figures(found.days.get(said, {}), query))


def _kinds(
    found: Found, query: Mapping[str, str], profile: Profile, words: Wording
) -> list[RowFigures]:
    rows = []
    for kind in in_order(profile.kinds, (kind for _, kind in found.places)):
        counted = _sum(counts for (_, of), counts in found.places.items() if of == kind)
        narrowed = {**query, "kind": kind}
        rows.append(
            RowFigures(
                code=kind,
                name=words.kinds.get(kind, kind),
                numbers=figures(counted, narrowed),
                overdue=_overdue(counted[OVERDUE], narrowed),
            )
        )
    return rows


def _areas(
    around: str, found: Found, query: Mapping[str, str], profile: Profile, words: Wording
) -> list[AreaRow]:
    """The areas right below, and last the area itself, for what was received in it directly."""
    levels = {str(area.id): profile.levels[area.level] for area in profile.areas}
    listed = [str(area.id) for area in profile.areas if area.id.rpartition("/")[0] == around]
    counted: dict[str, list[Counts]] = {area: [] for area in listed}
    for (leaf, _), counts in sorted(found.places.items()):
        counted.setdefault(_child(around, leaf), []).append(counts)
    itself = counted.pop(around, [])
    rows: list[tuple[str, list[Counts], dict[str, str]]] = [
        (area, counts, {}) for area, counts in counted.items()
    ]
    if itself or not rows:
        rows.append((around, itself, {"only": "true"}))
    return [
        AreaRow(
            code=area,
            name=words.areas.get(area, area),
            level=levels.get(area),
            only=bool(only),
            numbers=figures(total := _sum(counts), {**query, "area": area, **only}),
            overdue=_overdue(total[OVERDUE], {**query, "area": area, **only}),
        )
        for area, counts, only in rows
    ]


def _child(around: str, leaf: str) -> str:
    """The area right below `around` that `leaf` lies in; `around` itself where it is that."""
    step = leaf[len(around) + 1 :].partition("/")[0]
    return f"{around}/{step}" if step else around


def _overdue(count: int, query: Mapping[str, str]) -> Figure:
    return Figure(count=count, cases=list_link({**query, OVERDUE: "true"}))


def _sum(counted: Iterable[Counts]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in counted:
        total.update(counts)
    return total


def _days(first: date, last: date) -> Iterable[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))
