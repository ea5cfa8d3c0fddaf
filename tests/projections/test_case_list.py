"""The case list: what a desk sees of a story at each of its steps."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.projections.texts import Opened
from services.projections.views import Row
from services.projections.views.case_list import CASE_LIST, STATES, areas_around
from shared.contracts.base import SubjectId
from shared.contracts.recorded import Recorded
from shared.sealing import Sealer, new_key
from tests.build import (
    CASE_FACTS,
    DRAINS,
    DUE,
    LATER,
    LIGHTS,
    NOW,
    RESIDENT,
    STORY,
    WISH_FACTS,
    recorded,
    sealed,
    submitted,
    told,
)
from tests.projections.model import model_of

WISH = told(WISH_FACTS, "wish")
CASE = told(CASE_FACTS, "case")
SUBMITTED: dict[str, Any] = {
    "_id": STORY,
    "town": "t3",
    "area": "t3/west/g4",
    "within": ["t3", "t3/west", "t3/west/g4"],
    "kind": "appeal",
    "category": "sanitation",
    "channel": "visit",
    "title": sealed("下水道").model_dump(),
    "residents": [RESIDENT],
    "submitted": WISH[0].occurred,
    "day": "2026-03-02",
    "state": "submitted",
    "units": [],
    "assignments": [],
    "numbers": ["received", "open"],
    "moved": WISH[0].occurred,
}


def row_of(*facts: Recorded) -> Row | None:
    return model_of(facts).rows.get(CASE_LIST.name, {}).get(STORY)


def at(n: int) -> datetime:
    return CASE[n - 1].occurred


def assigned(n: int, unit: str, stand: str) -> dict[str, str]:
    return {"assignment": f"assignment-{n}", "unit": unit, "role": "lead", "stand": stand}


def first(stand: str) -> dict[str, Any]:
    named = [assigned(1, DRAINS, stand)]
    return {"units": [DRAINS], "unit": DRAINS, "assignments": named, "due": DUE}


def second(stand: str) -> dict[str, Any]:
    named = [assigned(1, DRAINS, "done"), assigned(2, LIGHTS, stand)]
    return {"units": [DRAINS, LIGHTS], "unit": LIGHTS, "assignments": named, "due": LATER}


def done(n: int) -> dict[str, Any]:
    return {"outcome": "resolved", "resolved": at(n), "numbers": ["received", "resolved"]}


CLOSED = {"state": "closed", "reason": "rated", "numbers": ["received", "resolved", "closed"]}
STEPS: list[dict[str, Any]] = [
    {},
    {"state": "opened", "moved": at(1)},
    {"state": "accepted", "due": DUE, "moved": at(2)},
    {"state": "dispatched", **first("named"), "moved": at(3)},
    {"state": "underway", **first("reported"), "moved": at(4)},
    {"state": "underway", **first("reported"), "moved": at(5)},
    {"state": "resolved", **first("done"), **done(6), "moved": at(6)},
    {
        "state": "accepted",
        "units": [DRAINS],
        "assignments": [assigned(1, DRAINS, "done")],
        "due": LATER,
        "moved": at(7),
    },
    {"state": "dispatched", **second("named"), "moved": at(8)},
    {"state": "underway", **second("reported"), "moved": at(9)},
    {"state": "resolved", **second("done"), **done(10), "moved": at(10)},
    {**second("done"), **done(10), **CLOSED, "moved": at(11)},
]


@pytest.mark.parametrize("n", range(len(CASE) + 1))
def test_a_row_shows_how_far_the_case_has_got(n: int) -> None:
    assert row_of(WISH[0], *CASE[:n]) == {**SUBMITTED, **STEPS[n]}
    assert row_of(*(fact for fact in (WISH[0], *CASE[:n]) for _ in range(2))) == {
        **SUBMITTED,
        **STEPS[n],
    }


def test_a_case_whose_wish_has_not_arrived_is_not_listed() -> None:
    assert row_of(*CASE) is None


def test_the_last_rating_is_shown_with_its_sealed_words() -> None:
    bad, last = ({"resolved": False, "satisfaction": 1}, {"resolved": True, "satisfaction": 5})
    assert row_of(*WISH[:4]) == {**SUBMITTED, "rating": bad, "moved": WISH[3].occurred}
    assert row_of(*WISH) == {**SUBMITTED, "rating": last, "moved": WISH[-1].occurred}


def test_what_nobody_brought_has_no_resident() -> None:
    found = row_of(recorded(submitted(resident=None), at=WISH[0].recorded))
    assert found == {**SUBMITTED, "residents": []}


def test_moved_is_the_latest_that_occurred_even_when_it_is_reported_late() -> None:
    case = told(CASE_FACTS[:2], "case", start=NOW + timedelta(days=2))
    late = replace(case[1], occurred=NOW - timedelta(days=1))
    row = row_of(WISH[0], case[0], late)
    assert row is not None
    assert row["moved"] == case[0].occurred
    late_rating = replace(WISH[3], occurred=NOW - timedelta(days=1))
    row = row_of(*WISH[:3], late_rating)
    assert row is not None
    assert row["moved"] == WISH[2].occurred


def test_every_state_a_case_goes_through_is_known_in_order() -> None:
    seen = [step.get("state", "submitted") for step in STEPS]
    assert set(seen) == set(STATES)
    assert [seen.index(state) for state in STATES] == sorted(seen.index(state) for state in STATES)


def test_the_areas_around_an_area_are_itself_and_all_above_it() -> None:
    assert areas_around("t3/west/g4") == ["t3", "t3/west", "t3/west/g4"]
    assert areas_around("t3") == ["t3"]


def test_a_title_reads_with_its_key_and_is_nothing_once_that_is_erased() -> None:
    sealer = Sealer(SubjectId(RESIDENT), new_key())
    row = {"title": sealer.seal(STORY, "title", "下水道").model_dump()}
    assert Opened({sealer.subject: sealer}).text(STORY, "title", row) == "下水道"
    assert Opened({}).text(STORY, "title", row) is None
    other = Sealer(sealer.subject, new_key())
    assert Opened({sealer.subject: other}).text(STORY, "title", row) is None
    assert Opened({sealer.subject: sealer}).text(STORY, "words", row) is None
