"""Facts intake records: what residents and officers say. Stream `wish-<story>`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    EventSource,
    Fact,
    Request,
    ResidentId,
    Sealed,
    SourceRef,
    UnitId,
)


class SettledOnSpot(BaseModel):
    """现场办结: whoever took it in also did it, there and then. `by` did it."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    outcome: Code
    by: ActorId
    note: Sealed


class WishSubmitted(Fact):
    """点单. A resident's matter was taken in; whatever its kind, it is now answered for.

    `by` handed it in over the wire, `submitted_by` is who said it; they differ when a partner
    passes on what its own officer reported. `resident` is whose matter it is, absent for what
    an officer found on patrol; `on_behalf_of` repeats it when somebody else submitted. A
    resident who submits for another is `proxy`: both may follow it and rate it. `request` is
    the inbound event it came by; `imported_from` the list it stood on, whose reference
    `source_ref` then is.
    """

    type: Literal["wish-submitted.v1"] = "wish-submitted.v1"
    kind: Code
    category: Code
    area: AreaId
    channel: Code
    submitted_by: ActorId
    on_behalf_of: ResidentId | None = None
    resident: ResidentId | None = None
    source_ref: SourceRef | None = None
    title: Sealed
    words: Sealed
    name: Sealed | None = None
    phone: Sealed | None = None
    address: Sealed | None = None
    proxy: ResidentId | None = None
    settled_on_spot: SettledOnSpot | None = None
    request: Request | None = None
    imported_from: EventSource | None = None


class WishSupplemented(Fact):
    """补充. More was said about the matter."""

    type: Literal["wish-supplemented.v1"] = "wish-supplemented.v1"
    words: Sealed


class WishWithdrawn(Fact):
    """撤回. Whoever asked no longer asks for it."""

    type: Literal["wish-withdrawn.v1"] = "wish-withdrawn.v1"
    reason: Sealed | None = None


class WishSettledElsewhere(Fact):
    """It was dealt with outside this house: the list it was imported from says what became of
    it. It occurred when it was settled; `on_spot`, when it was taken in there."""

    type: Literal["wish-settled-elsewhere.v1"] = "wish-settled-elsewhere.v1"
    outcome: Code
    note: Sealed
    on_spot: Literal[True] | None = None


class UnitReportReceived(Fact):
    """A partner says a unit has reported in (报到); the case decides whether it has."""

    type: Literal["unit-report-received.v1"] = "unit-report-received.v1"
    unit: UnitId
    request: Request


class ProgressReportReceived(Fact):
    """A partner says how far a unit is (办理); the case decides whether it may."""

    type: Literal["progress-report-received.v1"] = "progress-report-received.v1"
    unit: UnitId
    note: Sealed
    request: Request


class CaseStandNoted(Fact):
    """What dispatch said of the case, as far as the rules of a wish need it.

    `case_version` is the version of the fact this was read from.
    """

    type: Literal["case-stand-noted.v1"] = "case-stand-noted.v1"
    case_version: PositiveInt
    rateable: bool
    closed: bool


class RatingInvited(Fact):
    """The resident was asked what the resolution at `case_version` is worth."""

    type: Literal["rating-invited.v1"] = "rating-invited.v1"
    case_version: PositiveInt


class WishRated(Fact):
    """评单. Was it solved, and how content is the resident (1 not at all … 5 very)?"""

    type: Literal["wish-rated.v1"] = "wish-rated.v1"
    case_version: NonNegativeInt
    resolved: bool
    satisfaction: Annotated[int, Field(ge=1, le=5)]
    words: Sealed | None = None


IntakeFact = (
    WishSubmitted
    | WishSupplemented
    | WishWithdrawn
    | WishSettledElsewhere
    | UnitReportReceived
    | ProgressReportReceived
    | CaseStandNoted
    | RatingInvited
    | WishRated
)
