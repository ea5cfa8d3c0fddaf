"""What dispatch does about the facts of a wish. Pure."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.dispatch.commands import (
    CaseCommand,
    Open,
    Settlement,
    TakeRating,
    TakeReport,
    TakeSettlement,
    TakeWithdrawal,
)
from services.dispatch.deadlines import resolution_due
from services.dispatch.states import Case, Unopened
from shared.contracts.base import ActorId, Code, ResidentId
from shared.contracts.intake import (
    ProgressReportReceived,
    UnitReportReceived,
    WishRated,
    WishSettledElsewhere,
    WishSubmitted,
    WishWithdrawn,
)
from shared.contracts.recorded import Recorded, stream_id
from shared.policy import Reaction
from shared.profile import Profile
from shared.town import Town

OPEN: Final = "open-case"
TAKE_RATING: Final = "take-rating"
TAKE_REPORT: Final = "take-report"
TAKE_SETTLEMENT: Final = "take-settlement"
TAKE_WITHDRAWAL: Final = "take-withdrawal"


def react(recorded: Recorded, _: Town) -> tuple[Reaction[CaseCommand], ...]:
    """A wish opens its case, a rating closes or reopens it, a withdrawal or a settlement elsewhere
    closes it; what a partner reported is decided by the rules of units."""
    stream = stream_id("case", recorded.story)
    match recorded.fact:
        case WishSubmitted() as wish:
            return (Reaction(OPEN, stream, _opening(wish, recorded.version)),)
        case WishRated(resolved=resolved):
            taking = TakeRating(
                by=ActorId(f"policy:{TAKE_RATING}"),
                wish_version=recorded.version,
                resolved=resolved,
            )
            return (Reaction(TAKE_RATING, stream, taking),)
        case WishWithdrawn():
            by = ActorId(f"policy:{TAKE_WITHDRAWAL}")
            return (Reaction(TAKE_WITHDRAWAL, stream, TakeWithdrawal(by, recorded.version)),)
        case WishSettledElsewhere() as settled:
            return (Reaction(TAKE_SETTLEMENT, stream, _settlement(settled, recorded.version)),)
        case UnitReportReceived(by=by, unit=unit, request=request):
            return (Reaction(TAKE_REPORT, stream, TakeReport(by, unit, request)),)
        case ProgressReportReceived(by=by, unit=unit, request=request, note=note):
            return (Reaction(TAKE_REPORT, stream, TakeReport(by, unit, request, note)),)
    return ()


def _opening(wish: WishSubmitted, version: int) -> Open:
    done = wish.settled_on_spot
    return Open(
        by=ActorId(f"policy:{OPEN}"),
        wish_version=version,
        kind=wish.kind,
        category=wish.category,
        area=wish.area,
        resident=wish.resident,
        settled=None if done is None else Settlement(done.by, done.outcome, done.note),
    )


def _settlement(settled: WishSettledElsewhere, version: int) -> TakeSettlement:
    return TakeSettlement(
        by=ActorId(f"policy:{TAKE_SETTLEMENT}"),
        wish_version=version,
        settled_by=settled.by,
        outcome=settled.outcome,
        note=settled.note,
        on_spot=bool(settled.on_spot),
    )


def complete(case: Case, command: CaseCommand, profile: Profile, now: datetime) -> CaseCommand:
    """The command with the deadline, and with what is asked after a settlement on the spot: only
    the case's kind and the profile tell."""
    if isinstance(case, Unopened):
        return _complete_opening(command, profile, now)
    if isinstance(command, TakeRating) and not command.resolved:
        return replace(command, due=resolution_due(profile, case.file.kind, now))
    return command


def _complete_opening(command: CaseCommand, profile: Profile, now: datetime) -> CaseCommand:
    if not isinstance(command, Open) or command.settled is None:
        return command
    settled = replace(
        command.settled,
        due=resolution_due(profile, command.kind, now),
        rating_asked=rating_asked(profile, command.kind, command.resident),
        verification_asked=profile.kind(command.kind).verification_asked,
    )
    return replace(command, settled=settled)


def rating_asked(profile: Profile, kind: Code, resident: ResidentId | None) -> bool:
    """The profile's word for the kind, where there is a resident who could give it."""
    return profile.kind(kind).rating_asked and resident is not None
