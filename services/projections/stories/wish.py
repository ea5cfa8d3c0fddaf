"""The wish's part of a story: what was asked, and what the resident said of the result."""

from datetime import datetime, timedelta
from typing import Any

from services.projections.stories.reckoning import Reckoning
from shared.contracts.intake import (
    CaseStandNoted,
    ProgressReportReceived,
    RatingInvited,
    UnitReportReceived,
    WishRated,
    WishSubmitted,
    WishSupplemented,
    WishWithdrawn,
)
from shared.contracts.recorded import Recorded

Part = dict[str, Any]


def fold(part: Part, recorded: Recorded, profile: Reckoning) -> Part:
    """The part after one more fact of the wish's stream.

    `moved`: when that occurred; what a partner reported moves nothing until the case has taken
    it. `day`: the day of submission in the town's calendar. `fast_by`: until when resolving it
    is fast. `rateable`: a rating is asked and not yet given.
    """
    fact, at = recorded.fact, recorded.occurred
    if isinstance(fact, UnitReportReceived | ProgressReportReceived):
        return part
    part = {**part, "moved": max(part.get("moved", at), at)}
    match fact:
        case WishSubmitted():
            said = fact.model_dump(exclude_none=True, exclude={"type", "by"})
            return {**part, **said, "submitted": at, **_reckoned(at, profile)}
        case WishSupplemented():
            return {**part, "supplements": part.get("supplements", 0) + 1}
        case RatingInvited(case_version=version):
            return {**part, "invited": version}
        case WishRated():
            rating = fact.model_dump(include={"resolved", "satisfaction", "words"})
            given = {k: v for k, v in rating.items() if v is not None}
            return {**part, "rating": given, "rateable": False}
        case WishWithdrawn():
            return {**part, "withdrawn": at, "rateable": False}
        case CaseStandNoted(rateable=rateable, closed=closed):
            return {**part, "rateable": rateable and not closed}
    return part


def _reckoned(submitted: datetime, profile: Reckoning) -> Part:
    """What follows from the profile in force: day, and until when it would be fast."""
    day = {"day": submitted.astimezone(profile.zone).date().isoformat()}
    if profile.fast_within_hours is None:
        return day
    return {**day, "fast_by": submitted + timedelta(hours=profile.fast_within_hours)}
