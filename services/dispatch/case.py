"""A case: what may happen, and what is true after it."""

from dataclasses import replace
from typing import Final, assert_never

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
    Case,
    Closed,
    Dispatched,
    File,
    Opened,
    OpenedCase,
    Resolved,
    UnderWay,
    Unopened,
)
from shared.contracts.base import (
    Code,
    TargetId,
)
from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseDispatched,
    CaseOpened,
    CaseReopened,
    CaseResolved,
    DispatchFact,
    ProgressReported,
    UnitReported,
)
from shared.decider import Decider
from shared.errors import Refused

RATED: Final = Code("rated")
NO_RATING_ASKED: Final = Code("no-rating-asked")


def decide(case: Case, command: CaseCommand) -> list[DispatchFact]:
    """What follows from `command`; [] if it already is so. Raises Refused."""
    if isinstance(command, Open):
        return _open(case, command)
    if isinstance(case, Unopened):
        raise Refused("not-yet", "the wish has not arrived at dispatch")
    if isinstance(command, TakeRating):
        return _take_rating(case, command)
    if isinstance(case, Closed):
        raise Refused("already-closed", "the case is closed")
    match command:
        case Accept():
            return _accept(case, command)
        case Dispatch():
            return _dispatch(case, command)
        case ReportIn():
            return _report_in(case, command)
        case ReportProgress():
            return _report_progress(case, command)
        case Resolve():
            return _resolve(case, command)
    assert_never(command)


def _open(case: Case, c: Open) -> list[DispatchFact]:
    if not isinstance(case, Unopened):
        return []
    return [
        CaseOpened(
            by=c.by,
            wish_version=c.wish_version,
            kind=c.kind,
            category=c.category,
            area=c.area,
            resident=c.resident,
        )
    ]


def _accept(case: Case, c: Accept) -> list[DispatchFact]:
    return [CaseAccepted(by=c.by, due=c.due)] if isinstance(case, Opened) else []


def _dispatch(case: Case, c: Dispatch) -> list[DispatchFact]:
    match case:
        case Accepted(file=file):
            target = TargetId(f"assignment-{len(file.units) + 1}")
            return [CaseDispatched(by=c.by, unit=c.unit, role="lead", assignment=target)]
        case Dispatched(unit=unit) | UnderWay(unit=unit) | Resolved(unit=unit):
            if unit == c.unit:
                return []
            raise Refused("already-dispatched", f"the case was dispatched to {unit}")
    raise Refused("not-accepted", "accept the case before it is dispatched")


def _report_in(case: Case, c: ReportIn) -> list[DispatchFact]:
    match case:
        case Dispatched(unit=unit, target=target) if unit == c.unit:
            return [UnitReported(by=c.by, unit=unit, to=target)]
        case UnderWay(unit=unit) | Resolved(unit=unit) if unit == c.unit:
            return []
    raise _not_theirs(case)


def _report_progress(case: Case, c: ReportProgress) -> list[DispatchFact]:
    match case:
        case UnderWay(unit=unit, target=target) if unit == c.unit:
            return [ProgressReported(by=c.by, unit=unit, to=target, note=c.note)]
        case Dispatched(unit=unit) if unit == c.unit:
            raise Refused("not-reported-in", "report in before you report progress")
        case Resolved(unit=unit) if unit == c.unit:
            raise Refused("already-resolved", "the case is resolved")
    raise _not_theirs(case)


def _resolve(case: Case, c: Resolve) -> list[DispatchFact]:
    match case:
        case UnderWay(unit=unit, target=target) if unit == c.unit:
            resolved = CaseResolved(
                by=c.by,
                unit=unit,
                to=target,
                outcome=c.outcome,
                note=c.note,
                rating_asked=c.rating_asked,
            )
            if c.rating_asked:
                return [resolved]
            return [resolved, CaseClosed(by=c.by, reason=NO_RATING_ASKED)]
        case Dispatched(unit=unit) if unit == c.unit:
            raise Refused("not-reported-in", "report in before you resolve")
        case Resolved(unit=unit, outcome=outcome) if unit == c.unit:
            raise Refused("already-resolved", f"the case was resolved as {outcome}")
    raise _not_theirs(case)


def _not_theirs(case: Case) -> Refused:
    if isinstance(case, Opened | Accepted):
        return Refused("not-dispatched", "no unit was named yet")
    return Refused("not-the-named-unit", "another unit was named")


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
            return Accepted(file)
        case CaseDispatched():
            named = replace(file, units=(*file.units, fact.unit))
            return Dispatched(named, fact.unit, fact.assignment)
        case UnitReported():
            return UnderWay(file, fact.unit, fact.to)
        case ProgressReported():
            return case
        case CaseResolved():
            return Resolved(file, fact.unit, fact.outcome)
        case CaseReopened():
            return Accepted(replace(file, wish_version=fact.wish_version))
        case CaseClosed():
            return Closed(replace(file, wish_version=fact.wish_version or file.wish_version))
    assert_never(fact)


CASE: Decider[Case, CaseCommand, DispatchFact] = Decider(Unopened(), decide, evolve)
