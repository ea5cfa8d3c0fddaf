"""What dispatch does about the facts of a wish. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.dispatch.commands import CaseCommand, Open, TakeRating
from services.dispatch.deadlines import resolution_due
from services.dispatch.states import Case, Unopened
from shared.contracts.base import ActorId
from shared.contracts.intake import WishRated, WishSubmitted
from shared.contracts.recorded import Recorded, stream_id
from shared.policy import Reaction
from shared.town import Profile, Town

OPEN: Final = "open-case"
TAKE_RATING: Final = "take-rating"


def react(recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
    """A wish opens its case; a rating closes it, or reopens it with a new deadline."""
    stream = stream_id("case", recorded.story)
    match recorded.fact:
        case WishSubmitted() as wish:
            opening = Open(
                by=ActorId(f"policy:{OPEN}"),
                wish_version=recorded.version,
                kind=wish.kind,
                category=wish.category,
                area=wish.area,
                resident=wish.resident,
            )
            return (Reaction(OPEN, stream, opening),)
        case WishRated(resolved=resolved):
            taking = TakeRating(
                by=ActorId(f"policy:{TAKE_RATING}"),
                wish_version=recorded.version,
                resolved=resolved,
            )
            return (Reaction(TAKE_RATING, stream, taking),)
    return ()


def complete(case: Case, command: CaseCommand, profile: Profile, now: datetime) -> CaseCommand:
    """The command with the deadline that only the case's kind and the profile tell."""
    if isinstance(case, Unopened):
        return command
    if isinstance(command, TakeRating) and not command.resolved:
        return replace(command, due=resolution_due(profile, case.file.kind, now))
    return command
