"""Facts intake records: what residents and officers say. Stream `wish-<story>`."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    Fact,
    ResidentId,
    Sealed,
    SourceRef,
)


class WishSubmitted(Fact):
    """点单. A resident's matter was taken in; whatever its kind, it is now answered for.

    `by` handed it in over the wire, `submitted_by` is who said it; they differ when a partner
    passes on what its own officer reported. `resident` is whose matter it is, absent for what
    an officer found on patrol; `on_behalf_of` repeats it when somebody else submitted.
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


IntakeFact = WishSubmitted | CaseStandNoted | RatingInvited | WishRated
