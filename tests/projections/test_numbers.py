"""What a case counts as, and that a tally holds exactly that, however facts came."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projections.views.case_list import OPEN_STATES
from services.projections.views.numbers import NUMBERS
from services.projections.views.sheets import Sheet, sheet_after
from shared.contracts.base import Code, StoryId
from shared.contracts.recorded import Recorded, stream_id
from tests.build import STORY, recorded, submitted
from tests.projections.model import (
    MIXED,
    MIXED_RECIPE,
    PARTITION,
    History,
    histories,
    model_of,
    split,
    towns_full,
)
from tests.spec import tried


def row_after(*steps: str, hours_apart: int = 9) -> dict[str, object]:
    """The row of a case that took these steps."""
    history = History(STORY, submitted())
    for step in steps:
        getattr(history, step)()
    return rows(history.told(hours_apart=hours_apart))[STORY]


def rows(facts: Sequence[Recorded]) -> dict[str, dict[str, object]]:
    return model_of(facts, by=MIXED_RECIPE).rows["case_list"]


TO_RESOLVED = ("open", "accept", "dispatch", "report", "resolve")


@pytest.mark.parametrize(
    ("steps", "numbers"),
    [
        ((), ["received", "open"]),
        (("open",), ["received", "open"]),
        (("open", "decline"), ["received", "otherwise", "closed"]),
        (("open", "accept", "refer"), ["received", "otherwise", "closed"]),
        (("open", "accept", "dispatch", "withdraw"), ["received", "otherwise", "closed"]),
        (TO_RESOLVED, ["received", "resolved", "fast"]),
        ((*TO_RESOLVED, "close"), ["received", "resolved", "closed", "fast"]),
        ((*TO_RESOLVED, "withdraw"), ["received", "resolved", "closed", "fast"]),
        ((*TO_RESOLVED, "rework"), ["received", "open"]),
        ((*TO_RESOLVED, "reopen"), ["received", "open"]),
        (("open", "settle"), ["received", "resolved", "on_the_spot"]),
        (("open", "settle_elsewhere"), ["received", "resolved", "closed", "fast"]),
        (("open", "settle", "close"), ["received", "resolved", "closed", "on_the_spot"]),
        (("open", "settle", "reopen"), ["received", "open"]),
        (("open", "settle", "reopen", "dispatch", "report"), ["received", "open"]),
    ],
)
def test_a_case_counts_as_what_it_is_now(steps: Sequence[str], numbers: list[str]) -> None:
    assert row_after(*steps)["numbers"] == numbers


def test_what_is_resolved_after_a_settlement_on_the_spot_fell_is_no_longer_on_the_spot() -> None:
    again = ("open", "settle", "reopen", "dispatch", "report", "resolve")
    assert row_after(*again, hours_apart=1)["numbers"] == ["received", "resolved", "fast"]


def test_fast_is_what_is_resolved_within_the_hours_the_profile_says() -> None:
    """Five steps after the submission, each so many hours apart; 48 are fast."""
    assert "fast" in row_after(*TO_RESOLVED, hours_apart=9)["numbers"]  # type: ignore[operator]
    assert row_after(*TO_RESOLVED, hours_apart=10)["numbers"] == ["received", "resolved"]


def test_what_was_settled_elsewhere_is_fast_by_when_it_was_settled_not_by_when_it_came_here() -> (
    None
):
    """The steps are so many hours apart; the settlement is the second after the submission."""
    for hours, fast in ((50, False), (20, True)):
        counted = row_after("open", "settle_elsewhere", hours_apart=hours)["numbers"]
        assert ("fast" in counted) is fast  # type: ignore[operator]  # a list
        assert "on_the_spot" not in counted  # type: ignore[operator]


def test_where_the_profile_says_no_hours_nothing_is_fast() -> None:
    history = History(STORY, submitted())
    for step in TO_RESOLVED:
        getattr(history, step)()
    facts = [recorded(r.fact, r.stream, r.version, at=r.recorded) for r in history.told()]
    assert model_of(facts).rows["case_list"][STORY]["numbers"] == ["received", "resolved"]


def test_the_day_of_a_case_is_that_of_the_towns_calendar() -> None:
    """In Shanghai the day begins at 16:00 UTC of the day before."""
    eve, day = datetime(2026, 3, 31, 15, 59, tzinfo=UTC), datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    for at, said in ((eve, "2026-03-31"), (day, "2026-04-01")):
        model = model_of([recorded(submitted(), at=at, town=MIXED)], by=MIXED_RECIPE)
        assert model.rows["case_list"][STORY]["day"] == said
        (sheet,) = model.sheets["place"].values()
        assert (sheet["month"], sheet["cells"][0]["day"]) == (said[:7], said)


def test_it_counts_by_when_it_occurred_not_by_when_it_was_recorded() -> None:
    at = datetime(2026, 4, 2, tzinfo=UTC)
    late = recorded(submitted(), at=at, occurred=at - timedelta(days=20), town=MIXED)
    assert model_of([late], by=MIXED_RECIPE).rows["case_list"][STORY]["day"] == "2026-03-13"


@tried(200)
@given(histories(), st.integers(0, 30))
def test_of_the_received_each_is_open_resolved_or_otherwise(
    history: History, hours_apart: int
) -> None:
    for row in rows(history.told(hours_apart=hours_apart)).values():
        counted = row["numbers"]
        assert isinstance(counted, list)
        assert counted == [name for name in NUMBERS if name in counted]
        assert sum(name in counted for name in ("open", "resolved", "otherwise")) == 1
        assert "received" in counted
        assert ("open" in counted) == (row["state"] in OPEN_STATES)
        assert ("closed" in counted) == (row["state"] == "closed")
        assert "resolved" in counted or not {"fast", "on_the_spot"} & set(counted)
        assert not {"fast", "on_the_spot"} <= set(counted)


def recounted(model_rows: dict[str, dict[str, object]]) -> Counter[tuple[object, ...]]:
    """The tally, counted from the lines of the list."""
    return Counter(
        (row["area"], row["category"], row["day"], row["kind"], number)
        for row in model_rows.values()
        for number in row["numbers"]  # type: ignore[attr-defined]
    )


@tried(100)
@given(st.data())
def test_a_tally_is_the_sum_of_the_lines_of_the_list_however_facts_came(
    data: st.DataObject,
) -> None:
    facts = data.draw(towns_full())
    at_once = model_of(facts, by=MIXED_RECIPE)
    found: Counter[tuple[object, ...]] = Counter()
    for name, sheet in at_once.sheets["place"].items():
        assert sheet["_id"] == name
        assert sheet["partition"] == PARTITION
        assert sheet["cells"]
        for cell in sheet["cells"]:
            assert cell["day"].startswith(sheet["month"])
            for number in cell.keys() - {"day", "kind"}:
                found[sheet["area"], sheet["by"], cell["day"], cell["kind"], number] += cell[number]
    assert found == recounted(at_once.rows["case_list"])
    assert not [count for count in found.values() if count <= 0]

    polls = data.draw(split(data.draw(st.permutations(facts))))
    assert model_of(*polls, by=MIXED_RECIPE) == at_once


def test_one_fact_at_a_time_ends_with_the_same_sheets_as_all_at_once() -> None:
    history = History(STORY, submitted())
    for step in (*TO_RESOLVED, "reopen", "dispatch", "report", "resolve", "close"):
        getattr(history, step)()
    facts = history.told()
    assert model_of(*([fact] for fact in facts), by=MIXED_RECIPE) == model_of(
        facts, by=MIXED_RECIPE
    )


SHEET = Sheet(3, "t3", "t3/west", "sanitation", "2026-03")
DAY = "2026-03-02"


def test_a_sheet_keeps_no_zeros_no_empty_cells_and_is_nothing_when_empty() -> None:
    one = Counter({(DAY, "appeal", "received"): 1, (DAY, "appeal", "open"): 1})
    first = sheet_after(SHEET, None, one)
    assert first == {
        "_id": "3|t3|t3/west|sanitation|2026-03",
        "partition": 3,
        "town": "t3",
        "area": "t3/west",
        "by": "sanitation",
        "month": "2026-03",
        "cells": [{"day": DAY, "kind": "appeal", "open": 1, "received": 1}],
    }
    moved = Counter({(DAY, "appeal", "open"): -1, (DAY, "appeal", "resolved"): 1})
    second = sheet_after(SHEET, first, moved)
    assert second is not None
    assert second["cells"] == [{"day": DAY, "kind": "appeal", "received": 1, "resolved": 1}]
    gone = Counter({(DAY, "appeal", "received"): -1, (DAY, "appeal", "resolved"): -1})
    assert sheet_after(SHEET, second, gone) is None


def test_a_code_that_could_be_taken_for_two_parks_its_story() -> None:
    odd = submitted().model_copy(update={"category": Code("a|b")})
    fine = recorded(submitted(), stream_id("wish", StoryId("other")))
    model = model_of([recorded(odd), fine])
    assert "ValueError" in model.stories[STORY]["stuck"]["views"]
    assert model.rows["case_list"].keys() == {"other"}
