"""Rules of a case, told as given / when / then."""

import inspect
import re
from dataclasses import replace

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.dispatch import case
from services.dispatch.case import CASE
from services.dispatch.commands import (
    Accept,
    CaseCommand,
    Dispatch,
    Open,
    ReportIn,
    ReportProgress,
    Resolve,
    TakeRating,
)
from services.dispatch.states import (
    Accepted,
    Closed,
    Dispatched,
    File,
    Opened,
    Resolved,
    UnderWay,
    Unopened,
)
from shared.contracts.base import Code, TargetId, UnitId
from shared.contracts.dispatch import CaseClosed, CaseReopened, DispatchFact
from tests.build import (
    ACCEPTED,
    APPEAL,
    CASE_FACTS,
    COMMUNITY,
    CREW,
    DRAINS,
    DUE,
    GRID,
    HAZARD,
    LATER,
    LIGHTS,
    POLICY,
    PROGRESS,
    REOPENED,
    RESIDENT,
    dispatched,
    opened,
    reported,
    resolved,
    sealed,
)
from tests.spec import facts_or_none, given, tried

OPEN = Open(
    by=POLICY,
    wish_version=1,
    kind=APPEAL,
    category=Code("sanitation"),
    area=GRID,
    resident=RESIDENT,
)
ACCEPT = Accept(by=COMMUNITY, due=DUE)
SOLVED = TakeRating(by=POLICY, wish_version=4, resolved=True, due=LATER)
NOT_SOLVED = TakeRating(by=POLICY, wish_version=4, resolved=False, due=LATER)
AT_OPENING = (opened(),)
AT_ACCEPTANCE = (*AT_OPENING, ACCEPTED)
AT_DISPATCH = (*AT_ACCEPTANCE, dispatched())
AT_WORK = (*AT_DISPATCH, reported())
AT_RESOLUTION = (*AT_WORK, resolved())
CLOSED = CaseClosed(by=POLICY, reason=Code("rated"), wish_version=4)
AT_CLOSING = (*AT_RESOLUTION, CLOSED)


def dispatch(unit: UnitId = DRAINS) -> Dispatch:
    return Dispatch(by=COMMUNITY, unit=unit)


def report_in(unit: UnitId = DRAINS) -> ReportIn:
    return ReportIn(by=CREW, unit=unit)


def progress(unit: UnitId = DRAINS) -> ReportProgress:
    return ReportProgress(by=CREW, unit=unit, note=sealed("在修"))


def resolve(
    unit: UnitId = DRAINS, outcome: str = "resolved", *, rating_asked: bool = True
) -> Resolve:
    note = sealed("疏通了")
    return Resolve(by=CREW, unit=unit, outcome=Code(outcome), note=note, rating_asked=rating_asked)


def test_a_wish_opens_its_case() -> None:
    given(CASE).when(OPEN).then(opened())


def test_a_case_is_opened_once_and_stays_what_it_was_opened_as() -> None:
    given(CASE, opened()).when(replace(OPEN, kind=HAZARD)).then()
    given(CASE, *AT_CLOSING).when(OPEN).then()


def test_the_community_accepts_a_case_until_its_deadline() -> None:
    given(CASE, *AT_OPENING).when(ACCEPT).then(ACCEPTED)


def test_accepting_later_does_not_move_the_deadline() -> None:
    for facts in (AT_ACCEPTANCE, AT_DISPATCH, AT_WORK, AT_RESOLUTION):
        given(CASE, *facts).when(replace(ACCEPT, due=LATER)).then()


def test_a_unit_is_named() -> None:
    given(CASE, *AT_ACCEPTANCE).when(dispatch()).then(dispatched())


def test_naming_the_same_unit_again_changes_nothing_however_far_it_is() -> None:
    for facts in (AT_DISPATCH, AT_WORK, AT_RESOLUTION):
        given(CASE, *facts).when(dispatch()).then()


def test_the_named_unit_reports_in_to_its_assignment() -> None:
    given(CASE, *AT_DISPATCH).when(report_in()).then(reported())


def test_reporting_in_again_changes_nothing_after_the_resolution_either() -> None:
    given(CASE, *AT_RESOLUTION).when(report_in()).then()


def test_progress_may_be_reported_again_and_again() -> None:
    given(CASE, *AT_WORK).when(progress()).then_each_time(PROGRESS)
    given(CASE, *AT_WORK, PROGRESS).when(progress()).then_each_time(PROGRESS)


def test_a_resolution_awaits_the_resident_where_a_rating_is_asked() -> None:
    given(CASE, *AT_WORK, PROGRESS).when(resolve()).then(resolved())


def test_a_resolution_closes_the_case_at_once_where_no_rating_is_asked() -> None:
    given(CASE, *AT_WORK).when(resolve(rating_asked=False)).then(
        resolved(rating_asked=False), CaseClosed(by=CREW, reason=Code("no-rating-asked"))
    )


def test_a_second_resolution_is_refused_so_that_its_note_is_not_lost() -> None:
    given(CASE, *AT_RESOLUTION).when(resolve()).refused("already-resolved")


def test_a_resident_who_says_it_is_solved_closes_the_case() -> None:
    given(CASE, *AT_RESOLUTION).when(SOLVED).then(CLOSED)


def test_a_resident_who_says_it_is_not_solved_reopens_the_case() -> None:
    reopened = CaseReopened(by=POLICY, wish_version=4, due=LATER)
    given(CASE, *AT_RESOLUTION).when(NOT_SOLVED).then(reopened)


def test_a_reopened_case_takes_a_second_round_with_another_unit() -> None:
    reopened = (*AT_RESOLUTION, REOPENED)
    given(CASE, *reopened).when(dispatch(LIGHTS)).then(dispatched(LIGHTS, 2))
    again = (*reopened, dispatched(LIGHTS, 2))
    given(CASE, *again).when(report_in(LIGHTS)).then(reported(LIGHTS, 2))
    given(CASE, *again).when(report_in(DRAINS)).refused("not-the-named-unit")
    at_work = (*again, reported(LIGHTS, 2))
    given(CASE, *at_work).when(resolve(LIGHTS)).then(resolved(LIGHTS, 2))
    given(CASE, *at_work, resolved(LIGHTS, 2)).when(replace(SOLVED, wish_version=8)).then(
        CaseClosed(by=POLICY, reason=Code("rated"), wish_version=8)
    )


def test_the_same_unit_may_be_named_for_the_second_round() -> None:
    given(CASE, *AT_RESOLUTION, REOPENED).when(dispatch()).then(dispatched(n=2))


def test_a_rating_that_was_taken_before_changes_nothing_in_the_second_round() -> None:
    for facts in (CASE_FACTS[:7], CASE_FACTS[:8], CASE_FACTS[:10], CASE_FACTS):
        given(CASE, *facts).when(NOT_SOLVED).then()
        given(CASE, *facts).when(SOLVED).then()


def test_a_case_goes_through_its_states_in_two_rounds() -> None:
    file = File(APPEAL, Code("sanitation"), GRID, RESIDENT, 1)
    first = replace(file, units=(DRAINS,))
    between = replace(first, wish_version=4)
    second = replace(between, units=(DRAINS, LIGHTS))
    one, two = TargetId("assignment-1"), TargetId("assignment-2")
    assert [CASE.fold(CASE_FACTS[:n]) for n in range(len(CASE_FACTS) + 1)] == [
        Unopened(),
        Opened(file),
        Accepted(file),
        Dispatched(first, DRAINS, one),
        UnderWay(first, DRAINS, one),
        UnderWay(first, DRAINS, one),
        Resolved(first, DRAINS, Code("resolved")),
        Accepted(between),
        Dispatched(second, LIGHTS, two),
        UnderWay(second, LIGHTS, two),
        Resolved(second, LIGHTS, Code("resolved")),
        Closed(replace(second, wish_version=8)),
    ]


EARLY: list[CaseCommand] = [ACCEPT, dispatch(), report_in(), progress(), resolve(), SOLVED]
LATE = EARLY[:-1]
REFUSALS: list[tuple[str, tuple[DispatchFact, ...], CaseCommand, str]] = [
    *(("nothing is done before the wish arrived", (), c, "not-yet") for c in EARLY),
    *(("nothing is done once it is closed", AT_CLOSING, c, "already-closed") for c in LATE),
    ("no unit is named before acceptance", AT_OPENING, dispatch(), "not-accepted"),
    *(
        ("the unit is not changed by naming another", facts, dispatch(LIGHTS), "already-dispatched")
        for facts in (AT_DISPATCH, AT_WORK, AT_RESOLUTION)
    ),
    *(
        ("no unit works before one is named", facts, command, "not-dispatched")
        for facts in (AT_OPENING, AT_ACCEPTANCE, (*AT_RESOLUTION, REOPENED))
        for command in (report_in(), progress(), resolve())
    ),
    *(
        ("a unit that was not named may not act", facts, command, "not-the-named-unit")
        for facts in (AT_DISPATCH, AT_WORK, AT_RESOLUTION)
        for command in (report_in(LIGHTS), progress(LIGHTS), resolve(LIGHTS))
    ),
    *(
        ("the named unit reports in first", AT_DISPATCH, command, "not-reported-in")
        for command in (progress(), resolve())
    ),
    ("no progress after the resolution", AT_RESOLUTION, progress(), "already-resolved"),
    ("no second outcome", AT_RESOLUTION, resolve(outcome="partly"), "already-resolved"),
    *(
        ("no rating of what is not resolved", facts, command, "not-resolved")
        for facts in (AT_OPENING, AT_ACCEPTANCE, AT_DISPATCH, AT_WORK)
        for command in (SOLVED, NOT_SOLVED)
    ),
    (
        "no further rating once closed",
        AT_CLOSING,
        replace(NOT_SOLVED, wish_version=5),
        "not-resolved",
    ),
]


@pytest.mark.parametrize(
    ("facts", "command", "code"),
    [
        pytest.param(facts, command, code, id=f"{rule}, {type(command).__name__} {len(facts)}")
        for rule, facts, command, code in REFUSALS
    ],
)
def test_a_case_refuses(facts: tuple[DispatchFact, ...], command: CaseCommand, code: str) -> None:
    given(CASE, *facts).when(command).refused(code)


def test_every_refusal_of_a_case_is_seen() -> None:
    codes = set(re.findall(r'Refused\(\s*"([a-z-]+)"', inspect.getsource(case)))
    assert codes == {code for *_, code in REFUSALS}


def test_a_rating_that_may_reopen_must_bring_the_new_deadline() -> None:
    with pytest.raises(ValueError, match="deadline"):
        CASE.decide(CASE.fold(AT_RESOLUTION), replace(NOT_SOLVED, due=None))


def test_a_stream_that_does_not_start_with_its_opening_is_nobodys() -> None:
    with pytest.raises(ValueError, match="never opened"):
        CASE.fold([ACCEPTED])


UNITS = st.sampled_from([DRAINS, LIGHTS])
COMMANDS: st.SearchStrategy[CaseCommand] = st.one_of(
    st.sampled_from([OPEN, ACCEPT, replace(ACCEPT, due=LATER)]),
    st.builds(dispatch, UNITS),
    st.builds(report_in, UNITS),
    st.builds(progress, UNITS),
    st.builds(resolve, UNITS, st.sampled_from(["resolved", "partly"]), rating_asked=st.booleans()),
    st.builds(
        TakeRating,
        by=st.just(POLICY),
        wish_version=st.integers(1, 12),
        resolved=st.booleans(),
        due=st.just(LATER),
    ),
)


@tried(200)
@examples(st.lists(COMMANDS, max_size=30))
def test_whatever_is_asked_of_a_case_asking_twice_adds_nothing(commands: list[CaseCommand]) -> None:
    state = CASE.initial
    for command in [OPEN, ACCEPT, *commands]:
        for fact in facts_or_none(CASE, state, command):
            state = CASE.evolve(state, fact)
        if not isinstance(command, ReportProgress):  # each report of progress is news
            assert facts_or_none(CASE, state, command) == []


@tried(100)
@examples(st.lists(COMMANDS, max_size=12))
def test_a_case_without_its_wish_never_moves(commands: list[CaseCommand]) -> None:
    for command in commands:
        if not isinstance(command, Open):
            assert facts_or_none(CASE, Unopened(), command) == []
