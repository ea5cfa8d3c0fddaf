"""The wish's part of a story: what was asked, and what the resident said of the result."""

from typing import Any

from shared.contracts.intake import CaseStandNoted, RatingInvited, WishRated, WishSubmitted
from shared.contracts.recorded import Recorded

Part = dict[str, Any]


def fold(part: Part, recorded: Recorded) -> Part:
    """The part after one more fact of the wish's stream. `moved`: when that occurred."""
    fact, at = recorded.fact, recorded.occurred
    part = {**part, "moved": max(part.get("moved", at), at)}
    match fact:
        case WishSubmitted():
            said = fact.model_dump(exclude_none=True, exclude={"type", "by"})
            return {**part, **said, "submitted": at}
        case RatingInvited(case_version=version):
            return {**part, "invited": version}
        case WishRated():
            rating = fact.model_dump(include={"resolved", "satisfaction", "words"})
            return {**part, "rating": {k: v for k, v in rating.items() if v is not None}}
        case CaseStandNoted():
            return part
    return part
