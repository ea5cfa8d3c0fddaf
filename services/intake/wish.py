"""A wish: commands, states, what may happen, what is true after it."""

from dataclasses import dataclass
from typing import assert_never

from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    ResidentId,
    Sealed,
    SourceRef,
)
from shared.contracts.intake import (
    CaseStandNoted,
    IntakeFact,
    RatingInvited,
    WishRated,
    WishSubmitted,
)
from shared.decider import Decider
from shared.errors import Refused


@dataclass(frozen=True, slots=True)
class Submit:
    """点单: take the matter in."""

    by: ActorId
    submitted_by: ActorId
    kind: Code
    category: Code
    area: AreaId
    channel: Code
    title: Sealed
    words: Sealed
    resident: ResidentId | None = None
    on_behalf_of: ResidentId | None = None
    source_ref: SourceRef | None = None
    name: Sealed | None = None
    phone: Sealed | None = None
    address: Sealed | None = None


@dataclass(frozen=True, slots=True)
class NoteCaseStand:
    """Dispatch said where the case stands, in its fact `case_version`."""

    by: ActorId
    case_version: int
    rateable: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class Rate:
    """评单: the resident says what the resolution is worth."""

    by: ActorId
    resolved: bool
    satisfaction: int
    words: Sealed | None = None


WishCommand = Submit | NoteCaseStand | Rate


@dataclass(frozen=True, slots=True)
class Unsent:
    """Nobody has said anything yet."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Taken in; the town is at work. `noted` is the last case version taken in."""

    resident: ResidentId | None
    noted: int = 0


@dataclass(frozen=True, slots=True)
class Rateable:
    """Resolved, and the resident is asked about the resolution at `noted`."""

    resident: ResidentId | None
    noted: int


@dataclass(frozen=True, slots=True)
class Rated:
    """The resident answered; the case has not followed yet."""

    resident: ResidentId | None
    noted: int
    resolved: bool
    satisfaction: int


@dataclass(frozen=True, slots=True)
class Closed:
    """Written off. `rating` is the last one given, (resolved, satisfaction)."""

    resident: ResidentId | None
    noted: int
    rating: tuple[bool, int] | None


Wish = Unsent | Submitted | Rateable | Rated | Closed


def decide(wish: Wish, command: WishCommand) -> list[IntakeFact]:
    """What follows from `command`; [] if it already is so. Raises Refused."""
    match command:
        case Submit():
            return _submit(command) if isinstance(wish, Unsent) else []
        case NoteCaseStand():
            return _note(wish, command)
        case Rate():
            return _rate(wish, command)
    assert_never(command)


def _submit(c: Submit) -> list[IntakeFact]:
    return [
        WishSubmitted(
            by=c.by,
            submitted_by=c.submitted_by,
            on_behalf_of=c.on_behalf_of,
            resident=c.resident,
            source_ref=c.source_ref,
            kind=c.kind,
            category=c.category,
            area=c.area,
            channel=c.channel,
            title=c.title,
            words=c.words,
            name=c.name,
            phone=c.phone,
            address=c.address,
        )
    ]


def _note(wish: Wish, c: NoteCaseStand) -> list[IntakeFact]:
    if isinstance(wish, Unsent):
        raise Refused("unknown-wish")
    if c.case_version <= wish.noted:
        return []
    noted = CaseStandNoted(
        by=c.by, case_version=c.case_version, rateable=c.rateable, closed=c.closed
    )
    if c.rateable:
        return [noted, RatingInvited(by=c.by, case_version=c.case_version)]
    return [noted]


def _rate(wish: Wish, c: Rate) -> list[IntakeFact]:
    match wish:
        case Unsent():
            raise Refused("unknown-wish")
        case Submitted():
            raise Refused("not-resolved-yet", "a rating is asked once the case is resolved")
        case Rateable():
            return [
                WishRated(
                    by=c.by,
                    case_version=wish.noted,
                    resolved=c.resolved,
                    satisfaction=c.satisfaction,
                    words=c.words,
                )
            ]
        case Rated(resolved=resolved, satisfaction=satisfaction):
            return _rated_before((resolved, satisfaction), c)
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
    """The wish after `fact`."""
    match fact:
        case WishSubmitted():
            return Submitted(fact.resident)
        case CaseStandNoted():
            return _stand(wish, fact)
        case RatingInvited():
            return wish
        case WishRated():
            resident = None if isinstance(wish, Unsent) else wish.resident
            return Rated(resident, fact.case_version, fact.resolved, fact.satisfaction)
    assert_never(fact)


def _stand(wish: Wish, fact: CaseStandNoted) -> Wish:
    resident = None if isinstance(wish, Unsent) else wish.resident
    if fact.closed:
        rating = (wish.resolved, wish.satisfaction) if isinstance(wish, Rated) else None
        return Closed(resident, fact.case_version, rating)
    if fact.rateable:
        return Rateable(resident, fact.case_version)
    return Submitted(resident, fact.case_version)


WISH: Decider[Wish, WishCommand, IntakeFact] = Decider(Unsent(), decide, evolve)
