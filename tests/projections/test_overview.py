"""The overview of a place: rows that add up, figures that open what they count."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from services.projections.overview import OVERDUE, Asked, Found, overview
from services.projections.views.numbers import NUMBERS
from services.projections.wording import wording
from shared.access import Role
from shared.mongo import Client, Database
from tests.build import NOW, a_town, kind, profile
from tests.projections.front_end import front_end
from tests.projections.test_report import NOT_TO_BE_ASKED, READ_IT, a_mixed_half_year

stack = pytest.mark.stack

TOWN = a_town(
    profile(
        kinds={"appeal": kind(rated=True), "hazard": kind(rated=False)},
        invented=["fast_within_hours (ours)"],
    )
)
WORDS = wording(TOWN)
ASKED = Asked("t3", date(2026, 3, 1), date(2026, 3, 3))
FOUND = Found(
    places={
        ("t3/west/g4", "appeal"): {"received": 3, "open": 2, "resolved": 1, OVERDUE: 1},
        ("t3/west", "hazard"): {"received": 1, "resolved": 1, "closed": 1},
        ("t3", "noise"): {"received": 1, "open": 1, OVERDUE: 1},
    },
    days={
        "2026-03-01": {"received": 4, "open": 2, "resolved": 2, "closed": 1},
        "2026-03-03": {"received": 1, "open": 1},
    },
    open_now=7,
    overdue_now=2,
)
TOLD = overview(ASKED, FOUND, TOWN.profiles[0], WORDS)


def numbers_of(row: Any) -> dict[str, int]:
    return {name: figure.count for name, figure in row.numbers.items() if figure.count}


def test_the_rows_of_days_kinds_and_areas_each_add_up_to_the_whole() -> None:
    for rows in (TOLD.days, TOLD.kinds, TOLD.areas):
        total: Counter[str] = Counter()
        for row in rows:
            total.update(numbers_of(row))
        assert dict(total) == numbers_of(TOLD)
    assert sum(row.overdue.count for row in TOLD.kinds) == TOLD.overdue.count == 2
    assert sum(row.overdue.count for row in TOLD.areas) == 2


def test_every_day_of_the_period_has_a_row_also_where_nothing_was_received() -> None:
    assert [(row.day.day, numbers_of(row).get("received", 0)) for row in TOLD.days] == [
        (1, 4),
        (2, 0),
        (3, 1),
    ]


def test_areas_are_those_right_below_and_the_area_itself_where_something_was_received_in_it() -> (
    None
):
    assert [(row.code, row.only, numbers_of(row)["received"]) for row in TOLD.areas] == [
        ("t3/west", False, 4),
        ("t3", True, 1),
    ]
    assert (
        TOLD.areas[1]
        .numbers["open"]
        .cases.endswith("area=t3&from=2026-03-01&to=2026-03-03&only=true&number=open")
    )
    leaf = overview(Asked("t3/west/g4", *(ASKED.first, ASKED.last)), FOUND, TOWN.profiles[0], WORDS)
    assert [(row.code, row.only) for row in leaf.areas][-1] == ("t3/west/g4", True)


def test_kinds_the_profile_no_longer_has_are_shown_where_they_were_counted() -> None:
    assert [(row.code, row.name) for row in TOLD.kinds] == [
        ("appeal", "一类"),
        ("hazard", "一类"),
        ("noise", "noise"),
    ]


def test_how_the_place_stands_now_does_not_depend_on_the_period() -> None:
    assert (TOLD.standing.open.count, TOLD.standing.overdue.count) == (7, 2)
    assert TOLD.standing.open.cases == "/v1/cases?area=t3&number=open"
    assert TOLD.standing.overdue.cases == "/v1/cases?area=t3&overdue=true"


def test_what_is_ours_is_said() -> None:
    assert (TOLD.invented, len(TOLD.remarks)) == (["fast_within_hours (ours)"], 1)


def figures(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every figure of an overview."""
    yield from told["standing"].values()
    rows = [told, *told["kinds"], *told["areas"]]
    yield from (row["overdue"] for row in rows)
    for row in (*rows, *told["days"]):
        yield from row["numbers"].values()


@stack
async def test_every_figure_opens_the_list_of_the_cases_it_counts(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, a_mixed_half_year(120, seed=8)) as house:
        house.clock.at = NOW + timedelta(days=60)
        links = 0
        for query in (
            {"area": "t3", "from": "2026-03-20", "to": "2026-04-20"},
            {"area": "t3/west"},
            {"area": "t3/west/g4", "from": "2026-04-01", "to": "2026-04-07"},
        ):
            told = await house.told("/v1/overview", query)
            known: dict[str, int] = {}
            for figure in figures(told):
                if figure["count"] or "from" in query:
                    known[figure["cases"]] = figure["count"]
            for link, count in known.items():
                assert (link, len(await house.all_pages(link))) == (link, count)
            links += len([link for link, count in known.items() if count])
            assert told["standing"]["overdue"]["count"] > 0
        assert links > 100


@stack
async def test_without_a_period_it_is_the_last_thirty_days_of_the_towns_calendar(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        house.clock.at = NOW.replace(hour=16)  # midnight in Shanghai: the 3rd has begun
        told = await house.told("/v1/overview", {"area": "t3"})
        assert (told["from"], told["to"], len(told["days"])) == ("2026-02-02", "2026-03-03", 30)
        since = await house.told("/v1/overview", {"from": "2026-03-01"})
        assert (since["from"], since["to"]) == ("2026-03-01", "2026-03-03")
        until = await house.told("/v1/overview", {"to": "2026-01-31"})
        assert (until["from"], until["to"]) == ("2026-01-02", "2026-01-31")


@stack
async def test_without_an_area_it_is_the_principals_and_never_one_that_is_not_theirs(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for role in READ_IT:
            told = await house.told("/v1/overview", {}, role, areas=["t3/west", "t3/west-end"])
            assert (role, told["area"], told["name"]) == (role, "t3/west", "西街社区")
            for query, areas, code in (
                ({"area": "t3"}, ["t3/west"], "area-not-yours"),
                ({}, [], "area-missing"),
            ):
                answer = await house.ask("/v1/overview", query, role, areas=areas)
                assert (answer.status_code, answer.json()["code"]) == (422, code)


@stack
async def test_what_an_overview_cannot_be_asked_for_has_a_code(
    mongo: Client, home: Database
) -> None:
    period = {"from": "2026-03-01", "to": "2026-07-31"}
    async with front_end(mongo, home, []) as house:
        for query, code in [*NOT_TO_BE_ASKED, ({"from": "2025-03-01"}, "period-too-long")]:
            answer = await house.ask("/v1/overview", {"area": "t3", **period, **query})
            assert (query, answer.status_code, answer.json()["code"]) == (query, 422, code)
        edge = await house.told("/v1/overview", {"from": "0001-01-01", "to": "0001-01-02"})
        assert len(edge["days"]) == 2
        answer = await house.ask("/v1/cases", {"only": "true"})
        assert (answer.status_code, answer.json()["code"]) == (422, "area-missing")


def test_the_numbers_have_no_other_name_for_what_is_overdue() -> None:
    assert OVERDUE not in NUMBERS


@stack
async def test_a_unit_and_a_resident_read_no_overview(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, []) as house:
        for role in (Role.UNIT, Role.RESIDENT):
            answer = await house.ask("/v1/overview", {"area": "t3"}, role)
            assert answer.status_code == 403
