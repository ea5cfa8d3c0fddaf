"""What a unit may do with an open case, by itself or through a partner. Raises Refused."""

from typing import Final, assert_never

from services.dispatch.commands import (
    ReportIn,
    ReportProgress,
    Resolve,
    Return,
    TakeReport,
    UnitCommand,
)
from services.dispatch.desk_rules import Active, active, already_resolved
from services.dispatch.states import Accepted, Assignment, Opened, OpenedCase, Resolved
from shared.contracts.base import Code, UnitId
from shared.contracts.dispatch import (
    AssignmentReturned,
    CaseClosed,
    CaseResolved,
    DispatchFact,
    ProgressReported,
    ReportNoted,
    ReportRefused,
    UnitReported,
)
from shared.errors import Refused

NO_RATING_ASKED: Final = Code("no-rating-asked")


def decide_for_unit(case: Active, command: UnitCommand) -> list[DispatchFact]:
    """What follows from a command of a unit."""
    held = held_by(case, command.unit)
    match command:
        case ReportIn():
            return _report_in(held, command)
        case ReportProgress():
            return _report_progress(case, held, command)
        case Return():
            return _return(case, held, command)
        case Resolve():
            return _resolve(case, held, command)
    assert_never(command)


def take_report(case: OpenedCase, c: TakeReport) -> list[DispatchFact]:
    """A partner's report: the same rules, but a refusal is a fact, for the partner is answered
    by what is decided here."""
    own: UnitCommand = (
        ReportIn(c.by, c.unit) if c.note is None else ReportProgress(c.by, c.unit, c.note)
    )
    try:
        facts = decide_for_unit(active(case), own)
    except Refused as refusal:
        return [ReportRefused(by=c.by, unit=c.unit, code=Code(refusal.code), request=c.request)]
    if not facts:
        return [ReportNoted(by=c.by, unit=c.unit, request=c.request)]
    return [fact.model_copy(update={"request": c.request}) for fact in facts]


def held_by(case: Active, unit: UnitId) -> Assignment:
    """What the unit was named for last, and may still speak about. Raises Refused."""
    held = case.file.last_of(unit)
    if held is None or (held.stand == "done" and not isinstance(case, Resolved)):
        if isinstance(case, Opened | Accepted) or not case.file.assignments:
            raise Refused("not-dispatched", "no unit was named yet")
        raise Refused("not-the-named-unit", "another unit was named")
    if held.stand == "replaced":
        raise Refused("not-the-named-unit", "the case was given to another unit")
    if held.stand == "returned":
        raise Refused("already-returned", "the unit gave the case back")
    return held


def _report_in(held: Assignment, c: ReportIn) -> list[DispatchFact]:
    return [UnitReported(by=c.by, unit=c.unit, to=held.id)] if held.stand == "named" else []


def _report_progress(case: Active, held: Assignment, c: ReportProgress) -> list[DispatchFact]:
    _check_at_work(case, held, "report progress")
    return [ProgressReported(by=c.by, unit=c.unit, to=held.id, note=c.note)]


def _return(case: Active, held: Assignment, c: Return) -> list[DispatchFact]:
    if isinstance(case, Resolved):
        raise already_resolved(case)
    return [AssignmentReturned(by=c.by, unit=c.unit, to=held.id, reason=c.reason)]


def _resolve(case: Active, held: Assignment, c: Resolve) -> list[DispatchFact]:
    if held.role != "lead":
        raise Refused("not-the-lead", "the unit that leads resolves the case")
    _check_at_work(case, held, "resolve")
    resolved = CaseResolved(
        by=c.by,
        unit=c.unit,
        to=held.id,
        outcome=c.outcome,
        note=c.note,
        rating_asked=c.rating_asked,
        verification_asked=c.verification_asked or None,
    )
    if c.rating_asked or c.verification_asked:
        return [resolved]
    return [resolved, CaseClosed(by=c.by, reason=NO_RATING_ASKED)]


def _check_at_work(case: Active, held: Assignment, what: str) -> None:
    if isinstance(case, Resolved):
        raise already_resolved(case)
    if held.stand == "named":
        raise Refused("not-reported-in", f"report in before you {what}")
