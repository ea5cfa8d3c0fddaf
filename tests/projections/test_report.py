"""The place report over a real database: every figure opens the list of the cases it counts."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.projections.answers import Number
from services.projections.figures import FAST_IS_OURS, place_report
from services.projections.views.numbers import NUMBERS
from services.projections.wording import wording
from shared.access import Role
from shared.contracts.base import Code, StoryId
from shared.contracts.recorded import Recorded
from shared.mongo import Client, Database
from tests.build import a_town, kind, profile, recorded, submitted
from tests.projections.front_end import FrontEnd, front_end
from tests.projections.model import AREAS, KINDS, MIXED, History

stack = pytest.mark.stack

PERIOD = {"from": "2026-03-01", "to": "2026-07-31"}
READ_IT = (Role.OFFICER, Role.COMMUNITY, Role.STREET, Role.OVERSEER, Role.SYSTEM)


def a_mixed_half_year(cases: int = 220, seed: int = 3) -> list[Recorded]:
    """Cases of all kinds everywhere, submitted around March to August, at all their steps."""
    chance = random.Random(seed)
    facts: list[Recorded] = []
    for _ in range(cases):
        said = chance.choice(sorted(KINDS))
        wish = submitted(Code(said)).model_copy(
            update={
                "category": Code(chance.choice(KINDS[said])),
                "area": chance.choice(AREAS),
                "channel": Code(chance.choice(["visit", "online"])),
            }
        )
        history = History(StoryId(str(UUID(int=chance.getrandbits(128), version=4))), wish)
        for _ in range(chance.randrange(14)):
            if history.steps:
                chance.choice(history.steps)()
        minutes = chance.randrange(-60 * 24 * 10, 60 * 24 * 170)
        facts += history.told(minutes, chance.randrange(1, 14))
    return facts


def figures(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every figure of a report, with where it stands."""
    rows = [("all", report["numbers"])]
    for each in report["kinds"]:
        rows.append((each["kind"], each["numbers"]))
        rows += [(f"{each['kind']}/{c['category']}", c["numbers"]) for c in each["categories"]]
    for where, numbers in rows:
        for name, figure in numbers.items():
            yield f"{where} {name}", figure


def counted(report: dict[str, Any], number: str) -> int:
    count: int = report["numbers"][number]["count"]
    return count


async def check_every_figure(house: FrontEnd, area: str, **period: str) -> dict[str, Any]:
    """Each figure opens a list of that many cases, all of them with that number."""
    report: dict[str, Any] = await house.told("/v1/report", {"area": area, **period})
    wrong = {}
    for where, figure in figures(report):
        assert figure["cases"].startswith("/v1/cases?")
        rows = await house.all_pages(figure["cases"])
        number = where.rpartition(" ")[2]
        if len(rows) != figure["count"] or not all(number in row["numbers"] for row in rows):
            wrong[where] = (figure["count"], len(rows))
    assert wrong == {}
    return report


@stack
async def test_every_figure_opens_the_list_of_the_cases_it_counts(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, a_mixed_half_year()) as house:
        whole = await check_every_figure(house, "t3", **PERIOD)
        assert counted(whole, "received") > 100
        assert [number for number in NUMBERS if not counted(whole, number)] == []
        west = await check_every_figure(house, "t3/west", **PERIOD)
        grid = await check_every_figure(house, "t3/west/g4", **PERIOD)
        assert counted(whole, "received") > counted(west, "received") > counted(grid, "received")
        await check_every_figure(house, "t3", **{"from": "2026-03-31", "to": "2026-04-01"})
        empty = await check_every_figure(house, "t3", **{"from": "2020-01-01", "to": "2020-12-31"})
        assert {figure["count"] for _, figure in figures(empty)} == {0}


@stack
async def test_the_rows_of_a_report_add_up(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, a_mixed_half_year(seed=5)) as house:
        report = await house.told("/v1/report", {"area": "t3", **PERIOD})
        for number in NUMBERS:
            by_kind = [each["numbers"][number]["count"] for each in report["kinds"]]
            assert sum(by_kind) == counted(report, number)
            for each in report["kinds"]:
                by_category = [c["numbers"][number]["count"] for c in each["categories"]]
                assert sum(by_category) == each["numbers"][number]["count"]
        received, *parts = (
            counted(report, n) for n in ("received", "open", "resolved", "otherwise")
        )
        assert received == sum(parts)
        months = [
            await house.told(
                "/v1/report", {"area": "t3", "from": f"2026-{m}-01", "to": f"2026-{m}-{d}"}
            )
            for m, d in (("03", 31), ("04", 30), ("05", 31), ("06", 30), ("07", 31))
        ]
        assert sum(counted(month, "received") for month in months) == received


@stack
async def test_a_period_begins_and_ends_with_the_days_of_the_towns_calendar(
    mongo: Client, home: Database
) -> None:
    """16:00 UTC is midnight in Shanghai."""
    midnight = datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    facts = [
        recorded(submitted(), f"wish-{UUID(int=n, version=4)}", at=at, town=MIXED)  # type: ignore[arg-type]
        for n, at in enumerate([midnight - timedelta(milliseconds=1), midnight, midnight])
    ]
    async with front_end(mongo, home, facts) as house:
        for first, last, count in (
            ("2026-03-31", "2026-03-31", 1),
            ("2026-04-01", "2026-04-01", 2),
            ("2026-03-31", "2026-04-01", 3),
            ("2026-04-02", "2026-04-30", 0),
        ):
            report = await check_every_figure(house, "t3", **{"from": first, "to": last})
            assert (first, last, counted(report, "received")) == (first, last, count)


@stack
async def test_a_report_is_for_who_answers_for_the_area(mongo: Client, home: Database) -> None:
    asked = (("t3/west", None), ("t3/west/g4", None), ("t3", "area-not-yours"))
    async with front_end(mongo, home, []) as house:
        for role in READ_IT:
            for area, code in asked:
                query = {"area": area, **PERIOD}
                answer = await house.ask("/v1/report", query, role, areas=["t3/west"])
                assert (role, area, answer.json().get("code")) == (role, area, code)
                assert answer.status_code == (200 if code is None else 422)


NOT_TO_BE_ASKED: list[tuple[dict[str, str], str]] = [
    ({"area": "t3/nowhere"}, "unknown-area"),
    ({"area": "t9"}, "unknown-area"),
    ({"from": "2026-07-31", "to": "2026-03-01"}, "from-after-to"),
    ({"from": "1900-01-01"}, "period-too-long"),
    ({"from": "0001-01-01", "to": "9999-12-31"}, "period-too-long"),
    ({"from": "2026-02-30"}, "invalid-request"),
    ({"from": "today"}, "invalid-request"),
    ({"area": ""}, "invalid-request"),
    ({"at_least": "wish-1"}, "bad-position"),
]


@stack
async def test_what_a_report_cannot_be_asked_for_has_a_code(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, []) as house:
        for query, code in NOT_TO_BE_ASKED:
            answer = await house.ask("/v1/report", {"area": "t3", **PERIOD, **query})
            assert (query, answer.status_code, answer.json()["code"]) == (query, 422, code)


@stack
async def test_a_report_calls_things_by_their_names_and_says_what_is_ours(
    mongo: Client, home: Database
) -> None:
    town = a_town(
        profile(fast_within_hours=48, invented=["fast_within_hours (ours)", "resolve_within_hours"])
    )
    async with front_end(mongo, home, [], town) as house:
        report = await house.told("/v1/report", {"area": "t3/west", **PERIOD})
        assert (report["from"], report["to"], report["name"]) == (*PERIOD.values(), "西街社区")
        (appeal, _) = report["kinds"]
        assert (appeal["kind"], appeal["name"]) == ("appeal", "一类")
        assert appeal["categories"][0]["name"] == "环境卫生"
        assert report["profile"] == town.profiles[0].version
        assert report["fast_within_hours"] == 48
        assert report["invented"] == ["fast_within_hours (ours)", "resolve_within_hours"]
        assert report["remarks"] == [FAST_IS_OURS]


def test_what_the_profile_no_longer_has_is_shown_where_it_was_counted() -> None:
    before = profile(kinds={"appeal": {**kind(rated=True), "categories": {"noise": "噪声"}}})
    now = profile(n=2, effective=datetime(2026, 1, 1, tzinfo=UTC))
    counts = {("appeal", "noise"): {"received": 2, "open": 2}}
    asked = ("t3", date(2025, 1, 1), date(2026, 12, 31))
    report = place_report(asked, counts, now, wording(a_town(before, now)))
    named = {c.category: (c.name, c.numbers["received"].count) for c in report.kinds[0].categories}
    assert named == {"sanitation": ("环境卫生", 0), "noise": ("噪声", 2)}
    assert report.remarks == []


def test_the_numbers_of_the_api_are_the_numbers_there_are() -> None:
    assert Number.__args__ == NUMBERS  # type: ignore[attr-defined]
