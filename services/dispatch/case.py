"""A case: what may happen, and what is true after it.

The rules of the desk are in `desk_rules`, those of units and partners in `unit_rules`; what
follows from the wish is here.
"""

from dataclasses import replace
from typing import Final, assert_never

from services.dispatch.commands import (
    CaseCommand,
    Contact,
    DeskCommand,
    Open,
    TakeRating,
    TakeReport,
    TakeSettlement,
    TakeWithdrawal,
)
from services.dispatch.desk_rules import active, decide_at_desk
from services.dispatch.states import (
    Accepted,
    Assignment,
    Case,
    Closed,
    Dispatched,
    File,
    Opened,
    OpenedCase,
    Resolved,
    Role,
    Stand,
    UnderWay,
    Unopened,
)
from services.dispatch.unit_rules import NO_RATING_ASKED, decide_for_unit, held_by, take_report
from shared.contracts.base import Code, TargetId, UnitId
from shared.contracts.dispatch import (
    AssignmentReturned,
    CaseAccepted,
    CaseClosed,
    CaseDeclined,
    CaseDispatched,
    CaseOpened,
    CaseRedirected,
    CaseReferred,
    CaseReopened,
    CaseResolved,
    DispatchFact,
    ProgressReported,
    ReportNoted,
    ReportRefused,
    ResidentContacted,
    ResolutionVerified,
    ReworkOrdered,
    UnitReported,
)
from shared.decider import Decider
from shared.errors import Refused

RATED: Final = Code("rated")
WITHDRAWN: Final = Code("withdrawn")
SETTLED_ELSEWHERE: Final = Code("settled-elsewhere")


def decide(case: Case, command: CaseCommand) -> list[DispatchFact]:
    """What follows from `command`; [] if it already is so. Raises Refused."""
    if isinstance(command, Open):
        return _open(command) if isinstance(case, Unopened) else []
    if isinstance(case, Unopened):
        raise Refused("not-yet", "the wish has not arrived at dispatch")
    match command:
        case TakeRating():
            return _take_rating(case, command)
        case TakeWithdrawal():
            return _take_withdrawal(case, command)
        case TakeSettlement():
            return _take_settlement(case, command)
        case TakeReport():
            return take_report(case, command)
        case Contact(unit=unit) if unit is not None:
            held_by(active(case), unit)
    if isinstance(command, DeskCommand):
        return decide_at_desk(active(case), command)
    return decide_for_unit(active(case), command)


def _open(c: Open) -> list[DispatchFact]:
    opened = CaseOpened(
        by=c.by,
        wish_version=c.wish_version,
        kind=c.kind,
        category=c.category,
        area=c.area,
        resident=c.resident,
    )
    done = c.settled
    if done is None:
        return [opened]
    if done.due is None:
        raise ValueError("what was settled on the spot arrives with its deadline")
    accepted = CaseAccepted(by=c.by, due=done.due)
    resolved = CaseResolved(
        by=done.by,
        outcome=done.outcome,
        note=done.note,
        rating_asked=done.rating_asked,
        verification_asked=done.verification_asked or None,
        on_spot=True,
    )
    if done.rating_asked or done.verification_asked:
        return [opened, accepted, resolved]
    return [opened, accepted, resolved, CaseClosed(by=c.by, reason=NO_RATING_ASKED)]


def _take_rating(case: OpenedCase, c: TakeRating) -> list[DispatchFact]:
    if c.wish_version <= case.file.wish_version:
        return []
    if not isinstance(case, Resolved):
        raise Refused("not-resolved", "a rating arrived for a case that is not resolved")
    if c.resolved:
        return [CaseClosed(by=c.by, reason=RATED, wish_version=c.wish_version)]
    if c.due is None:
        raise ValueError("a rating that may reopen a case arrives with the new deadline")
    return [CaseReopened(by=c.by, wish_version=c.wish_version, due=c.due)]


def _take_withdrawal(case: OpenedCase, c: TakeWithdrawal) -> list[DispatchFact]:
    if isinstance(case, Closed):
        return []
    return [CaseClosed(by=c.by, reason=WITHDRAWN, wish_version=c.wish_version)]


def _take_settlement(case: OpenedCase, c: TakeSettlement) -> list[DispatchFact]:
    """Wherever it stands it is over, and nobody is asked any more. What was resolved here keeps
    its resolution; the rest gets that of the list, and no unit is said to have done it."""
    if isinstance(case, Closed):
        return []
    closed = CaseClosed(by=c.by, reason=SETTLED_ELSEWHERE, wish_version=c.wish_version)
    if isinstance(case, Resolved):
        return [closed]
    resolved = CaseResolved(
        by=c.settled_by,
        outcome=c.outcome,
        note=c.note,
        rating_asked=False,
        on_spot=c.on_spot or None,
        elsewhere=True,
    )
    return [resolved, closed]


def evolve(case: Case, fact: DispatchFact) -> Case:
    """The case after `fact`. Raises ValueError for a stream that does not start with its
    opening: no decider wrote that."""
    if isinstance(fact, CaseOpened):
        return Opened(File(fact.kind, fact.category, fact.area, fact.resident, fact.wish_version))
    if isinstance(case, Unopened):
        raise ValueError(f"{fact.type} in a stream that was never opened")
    file = case.file
    match fact:
        case CaseAccepted():
            return Accepted(replace(file, due=fact.due))
        case CaseDispatched(role="lead"):
            return Dispatched(_named(file, fact.assignment, fact.unit, "lead"))
        case CaseDispatched():
            return replace(case, file=_named(file, fact.assignment, fact.unit, "assist"))
        case CaseRedirected():
            left = _stands(file, "replaced", fact.instead_of)
            return Dispatched(_named(left, fact.assignment, fact.unit, "lead"))
        case AssignmentReturned():
            left = _stands(file, "returned", fact.to)
            return replace(case, file=left) if left.lead else Accepted(left)
        case UnitReported():
            at_work = _stands(file, "reported", fact.to)
            leads = at_work.lead is not None and at_work.lead.id == fact.to
            return UnderWay(at_work) if leads else replace(case, file=at_work)
        case CaseResolved():
            done = _over(file, "ended" if fact.elsewhere else "done")
            asked = False if fact.verification_asked else None
            return Resolved(done, fact.outcome, fact.rating_asked, asked)
        case ResolutionVerified():
            return replace(case, checked=True) if isinstance(case, Resolved) else case
        case ReworkOrdered():
            again = replace(_at_work_again(file), due=fact.due)
            return UnderWay(again) if again.lead else Accepted(again)
        case CaseReopened():
            return Accepted(replace(file, wish_version=fact.wish_version, due=fact.due))
        case CaseClosed():
            answered = fact.wish_version or file.wish_version
            return Closed(replace(_over(file, "ended"), wish_version=answered))
        case CaseDeclined() | CaseReferred() | ResidentContacted() | ProgressReported():
            return case
        case ReportNoted() | ReportRefused():
            return case
    assert_never(fact)


def _named(file: File, target: TargetId, unit: UnitId, role: Role) -> File:
    """A unit has one desk: naming it again replaces what it still held."""
    held = (a.id for a in file.assignments if a.unit == unit and a.live)
    left = _stands(file, "replaced", *held)
    return replace(left, assignments=(*left.assignments, Assignment(target, unit, role)))


def _over(file: File, stand: Stand) -> File:
    """Nothing is on any unit's desk any more."""
    return _stands(file, stand, *(a.id for a in file.assignments if a.live))


def _stands(file: File, stand: Stand, *targets: TargetId) -> File:
    moved = (replace(a, stand=stand) if a.id in targets else a for a in file.assignments)
    return replace(file, assignments=tuple(moved))


def _at_work_again(file: File) -> File:
    """The unit that led last goes on where it said it was done."""
    led = next((a for a in reversed(file.assignments) if a.role == "lead"), None)
    return _stands(file, "reported", led.id) if led and led.stand == "done" else file


CASE: Decider[Case, CaseCommand, DispatchFact] = Decider(Unopened(), decide, evolve)
