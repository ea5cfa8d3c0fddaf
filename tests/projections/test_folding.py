"""Facts fold into the same documents, however they arrive."""

import copy
import dataclasses
from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projections.folding import Changes, Document, Recipe, fold_poll
from services.projections.stories import Story
from services.projections.views import View
from shared.contracts.base import AreaId
from shared.contracts.recorded import Recorded
from shared.contracts.registry import UnknownFact
from tests.build import (
    CASE_FACTS,
    CASE_STREAM,
    DUE,
    NOW,
    OTHER_STORY,
    PROGRESS,
    STORY,
    WISH_FACTS,
    WISH_STREAM,
    noted,
    recorded,
    told,
)
from tests.projections.model import PARTITION, RECIPE, Model, interleaved, model_of, split
from tests.spec import tried

WISH = told(WISH_FACTS, "wish")
CASE = told(CASE_FACTS, "case", start=NOW + timedelta(seconds=30))
OTHER = told(WISH_FACTS[:3], "wish", OTHER_STORY)
WHOLE = [*WISH, *CASE, *OTHER]


CLEAN = model_of(WHOLE)


def test_a_whole_story_folds_into_one_document() -> None:
    story = CLEAN.stories[STORY]
    assert story["v"] == {"wish": len(WISH), "case": len(CASE)}
    assert "stuck" not in story
    assert story["town"] == "t3"
    assert (story["parts"]["case"]["state"], story["parts"]["case"]["reopened"]) == ("closed", 1)
    assert story["parts"]["wish"]["rating"] == {"resolved": True, "satisfaction": 5}
    rows = {view: rows[STORY] for view, rows in CLEAN.rows.items()}
    assert story["wrote"] == {**rows, "place": story["wrote"]["place"]}
    assert story["wrote"]["place"]["numbers"] == ["received", "resolved", "closed"]
    assert not CLEAN.parked
    assert not CLEAN.ignored


def test_the_timeline_holds_each_fact_once_as_it_was_recorded() -> None:
    assert CLEAN.timeline.keys() == {fact.id for fact in WHOLE}
    assert CLEAN.timeline[f"{CASE_STREAM}@2"] == {
        "_id": f"{CASE_STREAM}@2",
        "story": STORY,
        "stream": CASE_STREAM,
        "version": 2,
        "type": "case-accepted.v1",
        "by": "community:west",
        "occurred": CASE[1].occurred,
        "recorded": CASE[1].recorded,
        "correlation": "correlation-1",
        "fact": {"due": DUE},
    }


def test_texts_stay_sealed_in_the_timeline() -> None:
    words = CLEAN.timeline[f"{WISH_STREAM}@1"]["fact"]["words"]
    assert words.keys() == {"subject", "box"}


def test_each_fact_doubled_folds_into_the_same_documents() -> None:
    assert model_of([fact for fact in WHOLE for _ in range(2)]) == CLEAN
    assert model_of(*([fact] for fact in WHOLE for _ in range(2))) == CLEAN


def test_the_whole_topic_read_again_changes_nothing() -> None:
    model = model_of(WHOLE)
    assert model.poll(WHOLE) == Changes()
    assert model == CLEAN


def test_dispatch_may_arrive_before_intake() -> None:
    first = model_of(CASE)
    assert first.rows == {}
    assert first.stories[STORY]["v"] == {"case": len(CASE)}
    first.poll([*WISH, *OTHER])
    assert first == CLEAN


@st.composite
def in_turn(draw: st.DrawFn) -> list[Recorded]:
    """All facts in any order that keeps the order of each stream."""
    return interleaved(draw, (WISH, CASE, OTHER))


@tried(60)
@given(st.data())
def test_neither_the_order_between_streams_nor_the_size_of_polls_changes_anything(
    data: st.DataObject,
) -> None:
    facts = data.draw(in_turn())
    assert model_of(*data.draw(split(facts))) == CLEAN


@tried(60)
@given(st.data())
def test_facts_in_any_order_at_all_come_to_the_same_end(data: st.DataObject) -> None:
    facts = data.draw(st.permutations(WHOLE))
    model = model_of(*data.draw(split(facts)))
    assert model == CLEAN


@tried(40)
@given(st.data())
def test_a_republished_store_changes_nothing(data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(WHOLE), max_size=20))
    facts = [*data.draw(in_turn()), *again]
    assert model_of(*data.draw(split(facts))) == CLEAN


@pytest.mark.parametrize(
    "missing", [*WISH[:-1], *CASE[:-1]], ids=lambda fact: fact.id[:4] + fact.id[-2:]
)
def test_a_hole_parks_what_follows_until_the_missing_fact_drains_it(missing: Recorded) -> None:
    model = Model()
    changes = model.poll([fact for fact in WHOLE if fact != missing])
    story, kind = model.stories[STORY], missing.stream[:4]
    assert story["stuck"] == {kind: f"version {missing.version} is missing"}
    assert story["v"].get(kind, 0) == missing.version - 1
    later = [r for r in WHOLE if r.stream == missing.stream and r.version > missing.version]
    assert changes.parked == later
    assert not changes.drained
    assert model.stories[OTHER_STORY] == CLEAN.stories[OTHER_STORY]
    other = "case" if kind == "wish" else "wish"
    assert story["parts"][other] == CLEAN.stories[STORY]["parts"][other]

    drained = model.poll([missing])
    assert sorted(drained.drained) == sorted(r.id for r in later)
    assert not drained.parked
    assert model == CLEAN


def test_two_holes_drain_one_after_the_other() -> None:
    model = model_of([CASE[0], CASE[2], CASE[4]])
    assert model.parked.keys() == {CASE[2].id, CASE[4].id}
    model.poll([CASE[1]])
    assert model.stories[STORY]["stuck"] == {"case": "version 4 is missing"}
    assert model.parked.keys() == {CASE[4].id}
    model.poll([CASE[3]])
    assert "stuck" not in model.stories[STORY]
    assert not model.parked
    model.poll([*CASE[5:], *WISH, *OTHER])
    assert model == CLEAN


def test_what_waits_already_is_not_parked_again() -> None:
    model = model_of([CASE[0], CASE[2]])
    changes = model.poll([CASE[2], CASE[2], CASE[3]])
    assert changes.parked == [CASE[3]]
    assert changes.timeline == []


def test_a_story_stuck_in_one_stream_goes_on_in_the_other() -> None:
    model = model_of([WISH[0], CASE[0], CASE[2]])
    model.poll(WISH[1:])
    assert model.stories[STORY]["stuck"] == {"case": "version 2 is missing"}
    assert model.stories[STORY]["v"] == {"wish": len(WISH), "case": 1}
    assert model.parked.keys() == {CASE[2].id}


def test_a_fact_that_cannot_be_folded_parks_itself_and_all_that_follow_it() -> None:
    nowhere = recorded(CASE_FACTS[2], CASE_STREAM, 1)  # dispatched without ever being opened
    model = model_of([nowhere, *CASE[1:3], *WISH, *OTHER])
    story = model.stories[STORY]
    assert story["stuck"] == {"case": "case-dispatched.v1 at 1: KeyError: 'assignments'"}
    assert story["v"] == {"wish": len(WISH)}
    assert "case" not in story["parts"]
    assert list(model.parked.values()) == [nowhere, *CASE[1:3]]
    assert model.stories[OTHER_STORY] == CLEAN.stories[OTHER_STORY]
    assert not any(entry["stream"] == CASE_STREAM for entry in model.timeline.values())

    model.poll([CASE[3]])
    assert list(model.parked.values()) == [nowhere, *CASE[1:4]]
    model.poll(CASE)  # published again by a build that wrote it well
    assert model == CLEAN


def test_a_fact_of_a_later_build_is_passed_over_and_its_type_recorded() -> None:
    later = recorded(
        UnknownFact.model_validate({"type": "case-lent.v1", "to": "t9"}), CASE_STREAM, 3
    )
    after = told([*CASE_FACTS[:2], later.fact, *CASE_FACTS[2:]], "case")
    model = model_of([*WISH, *after, *OTHER])
    assert model.ignored == {"case-lent.v1"}
    assert model.stories[STORY]["v"]["case"] == len(CASE) + 1
    assert model.timeline[later.id]["fact"] == {"to": "t9"}
    assert not model.parked
    row, clean = (m.rows["case_list"][STORY] for m in (model, CLEAN))
    a_minute_later = {"moved": None, "resolved": None}
    assert {**row, **a_minute_later} == {**clean, **a_minute_later}


def test_a_wish_that_begins_with_a_fact_of_a_later_build_is_not_listed_and_stops_nobody() -> None:
    later = UnknownFact(type="wish-submitted.v2")
    model = model_of([*told([later, *WISH_FACTS[1:]], "wish"), *CASE, *OTHER])
    assert model.stories[STORY]["v"] == {"wish": len(WISH), "case": len(CASE)}
    assert model.rows["case_list"].keys() == {OTHER_STORY}
    assert model.ignored == {"wish-submitted.v2"}


def test_a_stream_nobody_folds_is_passed_over() -> None:
    fact = UnknownFact(type="unit-registered.v1")
    model = model_of(told([fact, fact], "unit"))
    assert model.stories[STORY]["v"] == {"unit": 2}
    assert model.stories[STORY]["parts"] == {}
    assert model.ignored == {"unit-registered.v1"}
    assert model.rows == {}


def test_a_row_is_written_only_when_it_differs() -> None:
    model = model_of(CASE[:4], WISH[:1])
    at = CASE[3].occurred
    silent = recorded(PROGRESS, CASE_STREAM, 5, at=at)
    changes = model.poll([silent, recorded(noted(1), WISH_STREAM, 2, at=at)])
    assert changes.stories.keys() == {STORY}
    assert len(changes.timeline) == 2
    assert changes.rows == {}
    changes = model.poll([CASE[5]])
    assert changes.rows["case_list"][STORY] == changes.stories[STORY]["wrote"]["case_list"]


def test_one_poll_writes_a_row_once_with_its_last_value() -> None:
    model = Model()
    changes = model.poll(WHOLE)
    assert changes.rows["case_list"].keys() == {STORY, OTHER_STORY}
    assert changes.rows["case_list"] == CLEAN.rows["case_list"]


def test_what_is_published_again_with_another_body_is_not_looked_at() -> None:
    model = model_of(WHOLE)
    moved = recorded(WISH_FACTS[0].model_copy(update={"area": AreaId("t3/east")}), WISH_STREAM, 1)
    assert model.poll([moved]) == Changes()


def test_no_document_is_shared_between_two_polls() -> None:
    seen: list[Story] = []
    kept: list[Story] = []
    model = Model()
    for fact in chain(WISH, CASE):
        changes = model.poll([fact])
        for story in changes.stories.values():
            seen.append(story)
            kept.append(copy.deepcopy(story))
    assert seen == kept


def with_view(view: View) -> Recipe:
    return dataclasses.replace(RECIPE, views=[*RECIPE.views, view])


def test_a_view_that_raises_parks_its_story_alone_until_it_is_mended() -> None:
    def raises_once_closed(story: Story) -> Document | None:
        if story["_id"] == STORY and story["parts"]["case"]["state"] == "closed":
            raise ZeroDivisionError
        return {"_id": story["_id"]}

    broken = with_view(View("broken", raises_once_closed))
    before = fold_poll({PARTITION: [*WISH, *CASE[:-1]]}, {}, {}, broken).stories
    changes = fold_poll({PARTITION: [CASE[-1], *OTHER]}, before, {}, broken)
    assert [r.id for r in changes.parked] == [CASE[-1].id]
    assert changes.stories[STORY] == {**before[STORY], "stuck": {"views": "ZeroDivisionError: "}}
    assert {entry["story"] for entry in changes.timeline} == {OTHER_STORY}
    assert STORY not in changes.rows["case_list"]

    mended = with_view(View("broken", lambda story: {"_id": story["_id"]}))
    waiting = {str(STORY): changes.parked}
    after = fold_poll({PARTITION: [CASE[-1]]}, changes.stories, waiting, mended)
    assert after.drained == [CASE[-1].id]
    assert after.stories[STORY] == model_of(WHOLE, by=mended).stories[STORY]
