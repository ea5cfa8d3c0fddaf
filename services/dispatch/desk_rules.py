"""What the community's desk may do with an open case. Raises Refused."""

from typing import Final, assert_never

from services.dispatch.commands import (
    Accept,
    Contact,
    Decline,
    DeskCommand,
    Dispatch,
    OrderRework,
    Redirect,
    Refer,
    Verify,
)
from services.dispatch.states import (
    Accepted,
    Closed,
    Dispatched,
    Opened,
    OpenedCase,
    Resolved,
    UnderWay,
)
from shared.contracts.base import Code
from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseDeclined,
    CaseDispatched,
    CaseRedirected,
    CaseReferred,
    DispatchFact,
    ResidentContacted,
    ResolutionVerified,
    ReworkOrdered,
)
from shared.errors import Refused

DECLINED: Final = Code("declined")
REFERRED: Final = Code("referred")
VERIFIED: Final = Code("verified")

Active = Opened | Accepted | Dispatched | UnderWay | Resolved


def decide_at_desk(case: Active, command: DeskCommand) -> list[DispatchFact]:
    """What follows from a command of the desk."""
    match command:
        case Accept():
            return _accept(case, command)
        case Decline():
            return _decline(case, command)
        case Refer():
            return _refer(case, command)
        case Dispatch(role="lead"):
            return _name_lead(case, command)
        case Dispatch():
            return _name_assist(case, command)
        case Redirect():
            return _redirect(case, command)
        case Verify():
            return _verify(case, command)
        case OrderRework():
            _check_unverified(case)
            return [ReworkOrdered(by=command.by, reason=command.reason, due=command.due)]
        case Contact():
            return [ResidentContacted(by=command.by, note=command.note)]
    assert_never(command)


def _accept(case: Active, c: Accept) -> list[DispatchFact]:
    return [CaseAccepted(by=c.by, due=c.due)] if isinstance(case, Opened) else []


def _decline(case: Active, c: Decline) -> list[DispatchFact]:
    if not isinstance(case, Opened):
        raise Refused("already-accepted", "what was accepted cannot be declined any more")
    declined = CaseDeclined(by=c.by, rule=c.rule, reason=c.reason)
    return [declined, CaseClosed(by=c.by, reason=DECLINED)]


def _refer(case: Active, c: Refer) -> list[DispatchFact]:
    if isinstance(case, Resolved):
        raise already_resolved(case)
    if isinstance(case, Dispatched | UnderWay):
        raise Refused("already-dispatched", "a unit has it; let it be returned first")
    referred = CaseReferred(by=c.by, to=c.to, reason=c.reason)
    return [referred, CaseClosed(by=c.by, reason=REFERRED)]


def _name_lead(case: Active, c: Dispatch) -> list[DispatchFact]:
    match case:
        case Opened():
            raise Refused("not-accepted", "accept the case before it is dispatched")
        case Resolved():
            raise already_resolved(case)
        case Accepted():
            target = case.file.next_assignment
            return [CaseDispatched(by=c.by, unit=c.unit, role="lead", assignment=target)]
    if (lead := case.file.lead) and lead.unit != c.unit:
        raise Refused("already-dispatched", f"the case was dispatched to {lead.unit}")
    return []


def _name_assist(case: Active, c: Dispatch) -> list[DispatchFact]:
    match case:
        case Opened():
            raise Refused("not-accepted", "accept the case before it is dispatched")
        case Accepted():
            raise Refused("no-lead-yet", "name the unit that leads first")
        case Resolved():
            raise already_resolved(case)
    held = case.file.last_of(c.unit)
    if held is None or not held.live:
        target = case.file.next_assignment
        return [CaseDispatched(by=c.by, unit=c.unit, role="assist", assignment=target)]
    if held.role == "lead":
        raise Refused("already-lead", "this unit leads the case")
    return []


def _redirect(case: Active, c: Redirect) -> list[DispatchFact]:
    if isinstance(case, Resolved):
        raise already_resolved(case)
    lead = case.file.lead
    if lead is None:
        raise Refused("not-dispatched", "no unit leads yet: dispatch it")
    if lead.unit == c.unit:
        raise Refused("already-lead", "this unit leads the case")
    return [
        CaseRedirected(
            by=c.by,
            unit=c.unit,
            assignment=case.file.next_assignment,
            instead_of=lead.id,
            reason=c.reason,
        )
    ]


def _verify(case: Active, c: Verify) -> list[DispatchFact]:
    if isinstance(case, Resolved) and case.checked and c.note is None:
        return []
    resolved = _check_unverified(case)
    verified = ResolutionVerified(by=c.by, note=c.note, rating_asked=resolved.rating_asked)
    if resolved.rating_asked:
        return [verified]
    return [verified, CaseClosed(by=c.by, reason=VERIFIED)]


def _check_unverified(case: Active) -> Resolved:
    if not isinstance(case, Resolved):
        raise Refused("not-resolved", "nobody has said that it is done")
    if case.checked is None:
        raise Refused("verification-not-asked", "the profile asks no verification of this kind")
    if case.checked:
        raise Refused("already-verified", "the resolution was verified")
    return case


def already_resolved(case: Resolved) -> Refused:
    """What is done is not done again."""
    return Refused("already-resolved", f"the case was resolved as {case.outcome}")


def active(case: OpenedCase) -> Active:
    """The case, if anything can still be done. Raises Refused."""
    if isinstance(case, Closed):
        raise Refused("already-closed", "the case is closed")
    return case
