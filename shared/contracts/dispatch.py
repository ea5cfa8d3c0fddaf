"""Facts dispatch records: what the town does about a wish. Stream `case-<story>`."""

from typing import Literal

from pydantic import PositiveInt

from shared.contracts.base import (
    AreaId,
    Code,
    Fact,
    Instant,
    Request,
    ResidentId,
    Sealed,
    TargetId,
    UnitId,
)

Yes = Literal[True] | None
"""A flag that came later: true or absent, so that older facts stay what they were."""


class CaseOpened(Fact):
    """立案. The town took the wish up as a case; `wish_version` is the fact it answers."""

    type: Literal["case-opened.v1"] = "case-opened.v1"
    wish_version: PositiveInt
    kind: Code
    category: Code
    area: AreaId
    resident: ResidentId | None = None


class CaseAccepted(Fact):
    """受理. The community answers for it; it is to be resolved by `due`."""

    type: Literal["case-accepted.v1"] = "case-accepted.v1"
    due: Instant


class CaseDeclined(Fact):
    """不受理. The town does not take it on; `rule` is the profile's ground for it."""

    type: Literal["case-declined.v1"] = "case-declined.v1"
    rule: Code
    reason: Sealed


class CaseReferred(Fact):
    """转办. It is not the community's: it goes to its owner, `to`."""

    type: Literal["case-referred.v1"] = "case-referred.v1"
    to: Code
    reason: Sealed


class CaseDispatched(Fact):
    """派单. `unit` was named; `assignment` is what it reports in to."""

    type: Literal["case-dispatched.v1"] = "case-dispatched.v1"
    unit: UnitId
    role: Literal["lead", "assist"]
    assignment: TargetId


class CaseRedirected(Fact):
    """改派. `unit` leads from now on by `assignment`; the one of `instead_of` is over."""

    type: Literal["case-redirected.v1"] = "case-redirected.v1"
    unit: UnitId
    assignment: TargetId
    instead_of: TargetId
    reason: Sealed


class AssignmentReturned(Fact):
    """退单. The unit gives its assignment back."""

    type: Literal["assignment-returned.v1"] = "assignment-returned.v1"
    unit: UnitId
    to: TargetId
    reason: Sealed


class UnitReported(Fact):
    """报到. The unit reported in: it has taken the case up."""

    type: Literal["unit-reported.v1"] = "unit-reported.v1"
    unit: UnitId
    to: TargetId
    request: Request | None = None


class ResidentContacted(Fact):
    """首次联系. Somebody of the town spoke with whoever asked."""

    type: Literal["resident-contacted.v1"] = "resident-contacted.v1"
    note: Sealed


class ProgressReported(Fact):
    """办理. The unit says how far it is."""

    type: Literal["progress-reported.v1"] = "progress-reported.v1"
    unit: UnitId
    to: TargetId
    note: Sealed
    request: Request | None = None


class ReportNoted(Fact):
    """A partner said what was so before: nothing changes, and it is answered."""

    type: Literal["report-noted.v1"] = "report-noted.v1"
    unit: UnitId
    request: Request


class ReportRefused(Fact):
    """A rule said no to what a partner reported; `code` names it."""

    type: Literal["report-refused.v1"] = "report-refused.v1"
    unit: UnitId
    code: Code
    request: Request


class CaseResolved(Fact):
    """办结. The unit, or whoever settled it on the spot, says it is done.

    `rating_asked` and `verification_asked` are the profile's word for this kind. Where both are
    asked, the resident is invited once it was verified. On the spot there is no unit, and none
    where a list says that it was settled `elsewhere`: whoever was at work here did not do it.
    """

    type: Literal["case-resolved.v1"] = "case-resolved.v1"
    unit: UnitId | None = None
    to: TargetId | None = None
    outcome: Code
    note: Sealed
    rating_asked: bool
    verification_asked: Yes = None
    on_spot: Yes = None
    elsewhere: Yes = None


class ResolutionVerified(Fact):
    """核查. Somebody looked: it is done. `rating_asked` as the resolution said."""

    type: Literal["resolution-verified.v1"] = "resolution-verified.v1"
    note: Sealed | None = None
    rating_asked: bool


class ReworkOrdered(Fact):
    """返工. Somebody looked: it is not done, and is to be by `due`."""

    type: Literal["rework-ordered.v1"] = "rework-ordered.v1"
    reason: Sealed
    due: Instant


class CaseReopened(Fact):
    """重开. The resident said it is not solved (the rating at `wish_version`)."""

    type: Literal["case-reopened.v1"] = "case-reopened.v1"
    wish_version: PositiveInt
    due: Instant


class CaseClosed(Fact):
    """结案, 销号. Nothing is left to do; `reason` is the rule that closed it."""

    type: Literal["case-closed.v1"] = "case-closed.v1"
    reason: Code
    wish_version: PositiveInt | None = None


DispatchFact = (
    CaseOpened
    | CaseAccepted
    | CaseDeclined
    | CaseReferred
    | CaseDispatched
    | CaseRedirected
    | AssignmentReturned
    | UnitReported
    | ResidentContacted
    | ProgressReported
    | ReportNoted
    | ReportRefused
    | CaseResolved
    | ResolutionVerified
    | ReworkOrdered
    | CaseReopened
    | CaseClosed
)
