"""What holds for every case, whatever is asked of it in whatever order."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

from hypothesis import given as examples
from hypothesis import strategies as st

from services.dispatch.case import CASE
from services.dispatch.commands import (
    CaseCommand,
    Contact,
    Open,
    ReportProgress,
    TakeReport,
)
from services.dispatch.states import (
    Accepted,
    Case,
    Closed,
    Dispatched,
    Opened,
    OpenedCase,
    Resolved,
    UnderWay,
    Unopened,
)
from shared.contracts.base import Sealed, UnitId
from shared.contracts.dispatch import CaseDispatched, CaseRedirected, DispatchFact, ReportRefused
from shared.errors import Refused
from tests.build import DRAINS, LIGHTS, sealed
from tests.dispatch.scenes import (
    ACCEPT,
    CONTACT,
    DECLINE,
    OPEN,
    ORDER_REWORK,
    REFER,
    SETTLED_OUTSIDE,
    SETTLEMENT,
    VERIFY,
    WITHDRAWAL,
    assist,
    dispatch,
    give_back,
    redirect,
    report_in,
    report_progress,
    resolve,
    take_rating,
    take_report,
)
from tests.spec import facts_or_none, tried

UNITS = (DRAINS, LIGHTS, UnitId("police"))
BY_UNITS: list[CaseCommand] = [
    command
    for unit in UNITS
    for command in (
        dispatch(unit),
        assist(unit),
        redirect(unit),
        report_in(unit),
        report_progress(unit),
        give_back(unit),
        take_report(unit),
        take_report(unit, sealed("在修")),
        resolve(unit),
        resolve(unit, check=True),
        resolve(unit, rating=False, check=True),
        resolve(unit, rating=False),
    )
]
RATINGS: list[CaseCommand] = [
    take_rating(solved=solved, wish_version=version)
    for solved in (True, False)
    for version in range(2, 12)
]
SETTLED_AT_ONCE = replace(OPEN, settled=SETTLEMENT)
ENDS: list[CaseCommand] = [DECLINE, REFER, WITHDRAWAL, SETTLED_OUTSIDE]
ON_THE_WAY: list[CaseCommand] = [ACCEPT, CONTACT, VERIFY, ORDER_REWORK, *RATINGS, *BY_UNITS]
ANYTHING = st.sampled_from([OPEN, SETTLED_AT_ONCE, *ON_THE_WAY, *ENDS])


@st.composite
def histories(draw: st.DrawFn) -> list[CaseCommand]:
    """Mostly what moves the case on, now and then anything."""
    commands: list[CaseCommand] = [draw(st.sampled_from([OPEN, SETTLED_AT_ONCE]))]
    case = after(Unopened(), commands[0])
    for _ in range(draw(st.integers(0, 20))):
        moving = [command for command in ON_THE_WAY if after(case, command) != case]
        astray = not moving or draw(st.integers(0, 4)) == 0
        commands.append(draw(ANYTHING if astray else st.sampled_from(moving)))
        case = after(case, commands[-1])
    return commands


def after(case: Case, command: CaseCommand) -> Case:
    return reduce(CASE.evolve, facts_or_none(CASE, case, command), case)


HISTORIES = histories()
NOTES = st.sampled_from([None, sealed("在修")])
NEWS = (Contact, ReportProgress, TakeReport)


def told(commands: Iterable[CaseCommand]) -> tuple[list[DispatchFact], list[Case]]:
    """The facts that follow from these commands, and the state after each of them. Nothing but
    a refusal stands in the way."""
    facts: list[DispatchFact] = []
    states: list[Case] = [CASE.initial]
    for command in commands:
        try:
            decided = CASE.decide(states[-1], command)
        except Refused:
            continue
        facts += decided
        states.append(reduce(CASE.evolve, decided, states[-1]))
    assert CASE.fold(facts) == states[-1]
    return facts, states


def check_desks(case: OpenedCase) -> None:
    """Who has the case on the desk fits where it stands."""
    live = [a for a in case.file.assignments if a.live]
    leads = [a.stand for a in live if a.role == "lead"]
    assert Counter(a.unit for a in live) == Counter({a.unit for a in live})  # one desk per unit
    match case:
        case Opened():
            assert case.file.assignments == ()
        case Accepted():
            assert leads == []
        case Dispatched():
            assert leads == ["named"]
        case UnderWay():
            assert leads == ["reported"]
        case Resolved() | Closed():
            assert live == []
    assert case.file.due is not None or isinstance(case, Opened | Closed)


@tried(150)
@examples(HISTORIES)
def test_whatever_is_asked_at_most_one_unit_leads_and_desks_fit_the_state(
    commands: list[CaseCommand],
) -> None:
    _, states = told(commands)
    for case in states[1:]:
        assert not isinstance(case, Unopened)
        check_desks(case)


@tried(120)
@examples(HISTORIES)
def test_whatever_is_asked_each_assignment_has_its_own_name(commands: list[CaseCommand]) -> None:
    facts, _ = told(commands)
    named = [f.assignment for f in facts if isinstance(f, CaseDispatched | CaseRedirected)]
    assert named == [f"assignment-{n}" for n in range(1, len(named) + 1)]


@tried(120)
@examples(HISTORIES, HISTORIES)
def test_a_closed_case_stays_closed_and_only_answers_partners(
    before: list[CaseCommand], after: list[CaseCommand]
) -> None:
    facts, states = told([*before, WITHDRAWAL])
    assert isinstance(states[-1], Closed)
    more, _ = told([*before, WITHDRAWAL, *after])
    assert all(isinstance(fact, ReportRefused) for fact in more[len(facts) :])
    assert CASE.fold(more) == states[-1]


@tried(120)
@examples(HISTORIES)
def test_whatever_is_asked_of_a_case_asking_twice_adds_nothing(commands: list[CaseCommand]) -> None:
    state = CASE.initial
    for command in commands:
        for fact in facts_or_none(CASE, state, command):
            state = CASE.evolve(state, fact)
        if not isinstance(command, NEWS):
            assert facts_or_none(CASE, state, command) == []


@tried(100)
@examples(HISTORIES)
def test_a_case_without_its_wish_never_moves(commands: list[CaseCommand]) -> None:
    for command in commands:
        if not isinstance(command, Open):
            assert facts_or_none(CASE, Unopened(), command) == []


@tried(120)
@examples(HISTORIES, st.sampled_from(UNITS), NOTES)
def test_a_partner_is_answered_by_exactly_one_fact_wherever_the_case_is(
    commands: list[CaseCommand], unit: UnitId, note: Sealed | None
) -> None:
    _, states = told(commands)
    report = take_report(unit, note)
    for case in states[1:]:
        (answer,) = CASE.decide(case, report)
        assert getattr(answer, "request") == report.request  # noqa: B009  # each answer has one
