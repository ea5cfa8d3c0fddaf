"""What intake does about the facts of a case. Pure."""

from typing import Final

from services.intake.commands import NoteCaseStand, WishCommand
from shared.contracts.base import ActorId
from shared.contracts.dispatch import (
    CaseClosed,
    CaseReopened,
    CaseResolved,
    ResolutionVerified,
)
from shared.contracts.recorded import Recorded, stream_id
from shared.policy import Reaction
from shared.town import Town

NOTE_STAND: Final = "note-case-stand"


def react(recorded: Recorded, _: Town) -> tuple[Reaction[WishCommand], ...]:
    """Whether the resident can rate, or all is over, is taken into the wish's own stream."""
    match recorded.fact:
        case CaseResolved(rating_asked=asked, verification_asked=first):
            return _note(recorded, rateable=asked and not first, closed=False)
        case ResolutionVerified(rating_asked=asked):
            return _note(recorded, rateable=asked, closed=False)
        case CaseReopened():
            return _note(recorded, rateable=False, closed=False)
        case CaseClosed():
            return _note(recorded, rateable=False, closed=True)
    return ()


def _note(recorded: Recorded, *, rateable: bool, closed: bool) -> tuple[Reaction[WishCommand], ...]:
    command = NoteCaseStand(
        by=ActorId(f"policy:{NOTE_STAND}"),
        case_version=recorded.version,
        rateable=rateable,
        closed=closed,
    )
    return (Reaction(NOTE_STAND, stream_id("wish", recorded.story), command),)
