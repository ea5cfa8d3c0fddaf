"""Facts dispatch records: what the town does about a wish. Stream `case-<story>`."""

from typing import Literal

from pydantic import PositiveInt

from shared.contracts.base import (
    AreaId,
    Code,
    Fact,
    Instant,
    ResidentId,
    Sealed,
    TargetId,
    UnitId,
)


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


class CaseDispatched(Fact):
    """派单. `unit` was named; `assignment` is what it reports in to."""

    type: Literal["case-dispatched.v1"] = "case-dispatched.v1"
    unit: UnitId
    role: Literal["lead", "assist"]
    assignment: TargetId


class UnitReported(Fact):
    """报到. The unit reported in: it has taken the case up."""

    type: Literal["unit-reported.v1"] = "unit-reported.v1"
    unit: UnitId
    to: TargetId


class ProgressReported(Fact):
    """办理. The unit says how far it is."""

    type: Literal["progress-reported.v1"] = "progress-reported.v1"
    unit: UnitId
    to: TargetId
    note: Sealed


class CaseResolved(Fact):
    """办结. The unit says it is done. `rating_asked` is the profile's word for this kind."""

    type: Literal["case-resolved.v1"] = "case-resolved.v1"
    unit: UnitId
    to: TargetId
    outcome: Code
    note: Sealed
    rating_asked: bool


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
    | CaseDispatched
    | UnitReported
    | ProgressReported
    | CaseResolved
    | CaseReopened
    | CaseClosed
)
