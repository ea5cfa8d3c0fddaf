"""A wish: states, what may happen, what is true after it."""

from dataclasses import dataclass, fields, replace
from typing import assert_never

from services.intake.commands import (
    NoteCaseStand,
    Rate,
    ReceiveReport,
    SettleElsewhere,
    Submit,
    Supplement,
    WishCommand,
    Withdraw,
)
from shared.contracts.base import AreaId, ResidentId
from shared.contracts.intake import (
    CaseStandNoted,
    IntakeFact,
    ProgressReportReceived,
    RatingInvited,
    UnitReportReceived,
    WishRated,
    WishSettledElsewhere,
    WishSubmitted,
    WishSupplemented,
    WishWithdrawn,
)
from shared.decider import Decider
from shared.errors import Refused


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nobody has said anything yet."""


@dataclass(frozen=True, slots=True)
class Said:
    """What stays with the wish. `owners`: the resident it is about and whoever submitted it for
    them; `noted`: the last case version taken in."""

    area: AreaId
    resident: ResidentId | None
    owners: frozenset[ResidentId]
    noted: int = 0


@dataclass(frozen=True, slots=True)
class Submitted:
    """Taken in; the town is at work."""

    said: Said


@dataclass(frozen=True, slots=True)
class Rateable:
    """Resolved, and the resident is asked about the resolution last noted."""

    said: Said


@dataclass(frozen=True, slots=True)
class Rated:
    """The resident answered; the case has not followed yet."""

    said: Said
    resolved: bool
    satisfaction: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nobody asks any more; the case has not followed yet."""

    said: Said


@dataclass(frozen=True, slots=True)
class SettledElsewhere:
    """Dealt with outside this house; the case has not followed yet."""

    said: Said


@dataclass(frozen=True, slots=True)
class Closed:
    """Written off. `rating` is the last one given, (resolved, satisfaction)."""

    said: Said
    rating: tuple[bool, int] | None = None
    withdrawn: bool = False


SentWish = Submitted | Rateable | Rated | Withdrawn | SettledElsewhere | Closed
Wish = Unsent | SentWish


def decide(wish: Wish, command: WishCommand) -> list[IntakeFact]:
    """What follows from `command`; [] if it already is so. Raises Refused."""
    if isinstance(command, Submit):
        return _submit(command) if isinstance(wish, Unsent) else []
    if isinstance(wish, Unsent):
        raise Refused("unknown-wish")
    match command:
        case Supplement():
            return _supplement(wish, command)
        case Withdraw():
            return _withdraw(wish, command)
        case SettleElsewhere():
            return _settle_elsewhere(wish, command)
        case Rate():
            return _rate(wish, command)
        case ReceiveReport():
            return _receive(command)
        case NoteCaseStand():
            return _note(wish, command)
    assert_never(command)


def _submit(c: Submit) -> list[IntakeFact]:
    return [WishSubmitted(**{field.name: getattr(c, field.name) for field in fields(c)})]


def _supplement(wish: SentWish, c: Supplement) -> list[IntakeFact]:
    _check_asked_for(wish)
    return [WishSupplemented(by=c.by, words=c.words)]


def _withdraw(wish: SentWish, c: Withdraw) -> list[IntakeFact]:
    match wish:
        case Withdrawn() | Closed(withdrawn=True) if c.reason is None:
            return []
        case Rated():
            raise Refused("already-rated", "it was resolved and rated")
        case Rateable() if c.for_them:
            raise Refused("rating-awaited", "whoever asked is to say what it is worth")
    _check_asked_for(wish)
    return [WishWithdrawn(by=c.by, reason=c.reason)]


def _settle_elsewhere(wish: SentWish, c: SettleElsewhere) -> list[IntakeFact]:
    if isinstance(wish, Rateable | Rated):
        raise Refused("already-resolved", "it was resolved here")
    _check_asked_for(wish)
    return [
        WishSettledElsewhere(by=c.by, outcome=c.outcome, note=c.note, on_spot=c.on_spot or None)
    ]


def _check_asked_for(wish: SentWish) -> None:
    match wish:
        case SettledElsewhere():
            raise Refused("already-settled", "it was settled elsewhere")
        case Withdrawn() | Closed(withdrawn=True):
            raise Refused("already-withdrawn", "the wish was withdrawn")
        case Closed():
            raise Refused("already-closed", "the case is closed")


def _receive(c: ReceiveReport) -> list[IntakeFact]:
    """Whatever the state: the case decides, and answers."""
    if c.note is None:
        return [UnitReportReceived(by=c.by, unit=c.unit, request=c.request)]
    return [ProgressReportReceived(by=c.by, unit=c.unit, note=c.note, request=c.request)]


def _note(wish: SentWish, c: NoteCaseStand) -> list[IntakeFact]:
    if c.case_version <= wish.said.noted:
        return []
    noted = CaseStandNoted(
        by=c.by, case_version=c.case_version, rateable=c.rateable, closed=c.closed
    )
    if c.rateable and not isinstance(wish, Withdrawn | SettledElsewhere):
        return [noted, RatingInvited(by=c.by, case_version=c.case_version)]
    return [noted]


def _rate(wish: SentWish, c: Rate) -> list[IntakeFact]:
    match wish:
        case Submitted() | SettledElsewhere():
            raise Refused("not-resolved-yet", "a rating is asked once the case is resolved")
        case Rateable():
            return [
                WishRated(
                    by=c.by,
                    case_version=wish.said.noted,
                    resolved=c.resolved,
                    satisfaction=c.satisfaction,
                    words=c.words,
                )
            ]
        case Rated(resolved=resolved, satisfaction=satisfaction):
            return _rated_before((resolved, satisfaction), c)
        case Withdrawn() | Closed(withdrawn=True):
            raise Refused("already-withdrawn", "the wish was withdrawn")
        case Closed(rating=None):
            raise Refused("already-closed", "the case was closed without a rating")
        case Closed(rating=rating):
            return _rated_before(rating, c)
    assert_never(wish)


def _rated_before(rating: tuple[bool, int] | None, c: Rate) -> list[IntakeFact]:
    if rating != (c.resolved, c.satisfaction) or c.words is not None:
        raise Refused("already-rated", "this resolution was rated; a second word would be lost")
    return []


def evolve(wish: Wish, fact: IntakeFact) -> Wish:
    """The wish after `fact`. Raises ValueError for a stream that does not start with its
    submission: no decider wrote that."""
    if isinstance(fact, WishSubmitted):
        owners = (who for who in (fact.resident, fact.proxy) if who is not None)
        return Submitted(Said(fact.area, fact.resident, frozenset(owners)))
    if isinstance(wish, Unsent):
        raise ValueError(f"{fact.type} in a stream that was never submitted")
    match fact:
        case CaseStandNoted():
            return _stand(wish, fact)
        case WishWithdrawn():
            return Withdrawn(wish.said)
        case WishSettledElsewhere():
            return SettledElsewhere(wish.said)
        case WishRated():
            said = replace(wish.said, noted=max(wish.said.noted, fact.case_version))
            return Rated(said, fact.resolved, fact.satisfaction)
        case RatingInvited() | WishSupplemented() | UnitReportReceived():
            return wish
        case ProgressReportReceived():
            return wish
    assert_never(fact)


def _stand(wish: SentWish, fact: CaseStandNoted) -> Wish:
    said = replace(wish.said, noted=fact.case_version)
    withdrawn = isinstance(wish, Withdrawn)
    if fact.closed:
        rating = (wish.resolved, wish.satisfaction) if isinstance(wish, Rated) else None
        return Closed(said, rating, withdrawn)
    if isinstance(wish, Withdrawn | SettledElsewhere):
        return replace(wish, said=said)
    return Rateable(said) if fact.rateable else Submitted(said)


WISH: Decider[Wish, WishCommand, IntakeFact] = Decider(Unsent(), decide, evolve)
