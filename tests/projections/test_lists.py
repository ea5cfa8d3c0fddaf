"""Lists over a real database: filters, the desk of a unit, pages and what is no cursor."""

import base64
import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.projections.paging import Cursor, read_cursor
from shared.access import Role
from shared.contracts.base import StoryId
from shared.errors import Refused
from shared.mongo import Client, Database
from tests.build import DRAINS, DUE, LIGHTS, NOW, STORY, submitted
from tests.projections.front_end import FrontEnd, front_end
from tests.projections.model import MIXED, UNITS, History
from tests.projections.test_report import a_mixed_half_year

stack = pytest.mark.stack
CURSOR = Cursor(sort="-submitted", value=NOW, id=STORY)


def row_says(field: str, value: object) -> Callable[[dict[str, Any]], bool]:
    return lambda row: bool(row[field] == value)


FILTERS: list[tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = [
    ({}, lambda row: True),
    ({"area": "t3/west"}, lambda row: (row["area"] + "/").startswith("t3/west/")),
    ({"state": "accepted"}, row_says("state", "accepted")),
    ({"unit": DRAINS}, row_says("unit", DRAINS)),
    ({"kind": "hazard"}, row_says("kind", "hazard")),
    ({"category": "sanitation"}, row_says("category", "sanitation")),
    (
        {"kind": "hazard", "category": "sanitation"},
        lambda row: (row["kind"], row["category"]) == ("hazard", "sanitation"),
    ),
    ({"channel": "online"}, row_says("channel", "online")),
    ({"number": "otherwise"}, lambda row: "otherwise" in row["numbers"]),
    ({"from": "2026-05-01"}, lambda row: row["day"] >= "2026-05-01"),
    ({"to": "2026-04-30"}, lambda row: row["day"] <= "2026-04-30"),
    (
        {"from": "2026-04-01", "to": "2026-04-01"},
        lambda row: bool(row["day"] == "2026-04-01"),
    ),
    ({"from": "0001-01-01", "to": "9999-12-31"}, lambda row: True),
    ({"overdue": "false"}, lambda row: True),
]


@stack
async def test_a_filter_lists_exactly_what_it_says(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, a_mixed_half_year(seed=11)) as house:
        everything = await house.all_pages("/v1/cases", {"limit": 200})
        assert len(everything) == len(house.model.rows["case_list"])
        for query, holds in FILTERS:
            found = await house.all_pages("/v1/cases", {"limit": 37, **query})
            assert [r["story"] for r in found] == [r["story"] for r in everything if holds(r)]
            assert found or query.get("from") == "2026-04-01"


@stack
async def test_overdue_is_what_is_open_past_its_deadline_by_the_clock_of_the_house(
    mongo: Client, home: Database
) -> None:
    """DUE is five days after NOW."""
    ways = {
        "submitted": (),
        "accepted": ("open", "accept"),
        "underway": ("open", "accept", "dispatch", "report"),
        "resolved": ("open", "accept", "dispatch", "report", "resolve"),
        "closed": ("open", "accept", "dispatch", "report", "resolve", "close"),
        "withdrawn": ("open", "accept", "withdraw"),
    }
    facts = []
    for n, steps in enumerate(ways.values()):
        history = History(StoryId(f"00000000-0000-4000-8000-{n:012}"), submitted())
        for step in steps:
            getattr(history, step)()
        facts += history.told(hours_apart=1)
    async with front_end(mongo, home, facts) as house:
        query = {"overdue": "true"}
        for at, states in (
            (DUE, set[str]()),
            (DUE + timedelta(milliseconds=1), {"accepted", "underway"}),
        ):
            house.clock.at = at
            assert {r["state"] for r in await house.all_pages("/v1/cases", query)} == states
        both = {**query, "state": "resolved"}
        assert await house.all_pages("/v1/cases", both) == []
        by_due = await house.all_pages("/v1/cases", {**query, "sort": "due"})
        assert len(by_due) == 2
        desk = await house.all_pages("/v1/desk", query, Role.UNIT, unit=DRAINS)
        assert [row["state"] for row in desk] == ["underway"]


UNKNOWN: list[tuple[dict[str, str], str]] = [
    ({"area": "t3/nowhere"}, "unknown-area"),
    ({"area": "t9"}, "unknown-area"),
    ({"unit": "nobody"}, "unknown-unit"),
    ({"kind": "riddle"}, "unknown-kind"),
    ({"category": "riddle"}, "unknown-category"),
    ({"kind": "wish", "category": "fire"}, "unknown-category"),
    ({"channel": "pigeon"}, "unknown-channel"),
    ({"from": "2026-04-02", "to": "2026-04-01"}, "from-after-to"),
    ({"from": "1772409600"}, "invalid-request"),
    ({"to": "2026-03-02T00:00:00"}, "invalid-request"),
    ({"arae": "t3/west"}, "unknown-parameter"),
    ({"number": "many"}, "invalid-request"),
    ({"state": "lost"}, "invalid-request"),
    ({"overdue": "perhaps"}, "invalid-request"),
    ({"area": "t3\x00"}, "invalid-request"),
    ({"area": "$where"}, "invalid-request"),
    ({"unit": '{"$gt":""}'}, "invalid-request"),
    ({"limit": "0"}, "invalid-request"),
    ({"limit": "1e9"}, "invalid-request"),
    ({"from": "10000-01-01"}, "invalid-request"),
]


@stack
async def test_a_list_of_what_the_town_does_not_know_is_refused_not_empty(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for query, code in UNKNOWN:
            answer = await house.ask("/v1/cases", query)
            assert (query, answer.status_code, answer.json()["code"]) == (query, 422, code)


def packed(said: Any) -> str:
    text = said if isinstance(said, str) else json.dumps(said)
    return base64.urlsafe_b64encode(text.encode()).decode()


GOOD = {"sort": "-submitted", "value": "2026-03-02T08:00:00Z", "id": STORY}
NO_CURSORS = {
    "nothing": "",
    "words": "hello",
    "not-base64": "%%%",
    "chinese": "游标",
    "bytes": base64.urlsafe_b64encode(b"\xff\xfe\x00").decode(),
    "empty-object": packed({}),
    "list": packed([GOOD]),
    "null": packed(None),
    "number": packed(5),
    "deep": packed("[" * 90),
    "huge": packed({**GOOD, "id": "x" * 20_000}),
    "huge-number": packed({**GOOD, "value": 10**300}),
    "nan": packed({**GOOD, "value": math.nan}),
    "infinity": packed({**GOOD, "value": math.inf}),
    "seconds": packed({**GOOD, "value": 1_700_000_000}),
    "operator": packed({**GOOD, "value": {"$gt": ""}}),
    "operator-id": packed({**GOOD, "id": {"$gt": ""}}),
    "id-null": packed({**GOOD, "id": "\x00"}),
    "id-surrogate": packed('{"sort":"-submitted","value":"2026-03-02T08:00:00Z","id":"\\ud800"}'),
    "naive": packed({**GOOD, "value": "2026-03-02T08:00:00"}),
    "other-zone": packed({**GOOD, "value": "2026-03-02T16:00:00+08:00"}),
    "year-0": packed({**GOOD, "value": "0000-01-01T00:00:00Z"}),
    "before-year-1": packed({**GOOD, "value": "0001-01-01T00:00:00+14:00"}),
    "after-year-9999": packed({**GOOD, "value": "9999-12-31T23:59:59-14:00"}),
    "other-sort": Cursor(sort="due", value=NOW, id=STORY).encode(),
    "no-such-sort": packed({**GOOD, "sort": "$natural"}),
    "more": packed({**GOOD, "more": 1}),
    "spaces": packed(json.dumps(GOOD) + " "),
    "lengthened": CURSOR.encode() + "AAAA",
    "padded": CURSOR.encode() + "=",
}


@stack
async def test_what_is_no_cursor_from_here_is_refused_by_every_list(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for path, role in (
            ("/v1/cases", Role.COMMUNITY),
            ("/v1/desk", Role.UNIT),
            ("/v1/my-wishes", Role.RESIDENT),
        ):
            for name, text in NO_CURSORS.items():
                if (path, name) == ("/v1/desk", "other-sort"):
                    text = CURSOR.encode()
                answer = await house.ask(path, {"after": text}, role)
                told_so = (path, name, answer.status_code, answer.json()["code"])
                assert told_so == (path, name, 422, "bad-cursor")


def test_a_cursor_reads_as_it_was_made_at_the_ends_of_time_too() -> None:
    for year in (1, 9999):
        cursor = CURSOR.model_copy(update={"value": NOW.replace(year=year)})
        assert read_cursor(cursor.encode(), "-submitted") == cursor
    with pytest.raises(Refused, match="another sort order"):
        read_cursor(CURSOR.encode(), "due")


@stack
async def test_cursors_at_the_ends_of_time_are_answered(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, a_mixed_half_year(5)) as house:
        listed = {}
        for year in (1, 9999):
            after = CURSOR.model_copy(update={"value": NOW.replace(year=year)}).encode()
            listed[year] = len(await house.all_pages("/v1/cases", {"after": after}))
        assert listed == {1: 0, 9999: 5}


async def desk_of(house: FrontEnd, unit: str, **query: str) -> list[tuple[str, str, str]]:
    rows = await house.all_pages("/v1/desk", {"limit": 2, **query}, Role.UNIT, unit=unit)
    assert [row["due"] for row in rows] == sorted(row["due"] for row in rows)
    assert all(row["mine"] in row["assignments"] for row in rows)
    assert {row["mine"]["unit"] for row in rows} <= {unit}
    return sorted((r["story"], r["mine"]["assignment"], r["mine"]["stand"]) for r in rows)


@stack
async def test_a_desk_holds_what_the_unit_was_named_for_and_has_not_done(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, a_mixed_half_year(500, seed=17)) as house:
        for unit in UNITS:
            expected: dict[str, list[tuple[str, str, str]]] = {}
            for story, row in house.model.rows["case_list"].items():
                for stands in (("named", "reported"), ("done",), ("returned",), ("ended",)):
                    own = [
                        a for a in row["assignments"] if a["unit"] == unit and a["stand"] in stands
                    ]
                    if own:
                        expected.setdefault(stands[0], []).append(
                            (story, own[-1]["assignment"], own[-1]["stand"])
                        )
            assert expected["named"]
            assert await desk_of(house, unit) == sorted(expected["named"])
            for stand in ("done", "returned", "ended"):
                assert await desk_of(house, unit, stand=stand) == sorted(expected.get(stand, []))
            live = [*await desk_of(house, unit, stand="named")]
            live += await desk_of(house, unit, stand="reported")
            assert sorted(live) == sorted(expected["named"])


@stack
async def test_a_desk_is_read_by_its_unit_and_by_who_answers_for_the_area(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, a_mixed_half_year(seed=17)) as house:
        own = await house.all_pages("/v1/desk", {}, Role.UNIT, unit=DRAINS)
        seen = await house.all_pages("/v1/desk", {"unit": DRAINS}, Role.STREET)
        assert [row["story"] for row in seen] == [row["story"] for row in own]
        west = await house.all_pages(
            "/v1/desk", {"unit": DRAINS}, Role.COMMUNITY, areas=["t3/west/g4"]
        )
        assert [r["story"] for r in west] == [r["story"] for r in own if r["area"] == "t3/west/g4"]
        for role, query, code in (
            (Role.UNIT, {"unit": LIGHTS}, "not-your-unit"),
            (Role.COMMUNITY, {}, "unit-missing"),
            (Role.COMMUNITY, {"unit": "nobody"}, "unknown-unit"),
            (Role.UNIT, {"stand": "lost"}, "invalid-request"),
        ):
            answer = await house.ask("/v1/desk", query, role)
            assert (answer.status_code, answer.json()["code"]) == (422, code)


@stack
async def test_the_town_is_told_with_its_areas_as_a_tree(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, []) as house:
        for role in Role:
            said = await house.told("/v1/town", {}, role)
        assert (said["town"], said["profile"]) == ("t3", MIXED.profiles[0].version)
        (county,) = said["areas"]
        assert (county["area"], county["level_name"]) == ("t3", "县")
        assert {each["area"] for each in county["areas"]} == {"t3/west", "t3/west-end"}
        assert [kind["code"] for kind in said["kinds"]] == ["appeal", "hazard", "wish"]
        assert {"code": "parking", "name": "一类"} in said["kinds"][0]["categories"]
        assert said["owners"] == [{"code": "police", "name": "公安机关"}]
        assert {unit["code"] for unit in said["units"]} == set(UNITS)
        assert said["fast_within_hours"] == 48
