"""What can be said about a wish. Texts arrive sealed."""

from dataclasses import dataclass

from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    EventSource,
    Request,
    ResidentId,
    Sealed,
    SourceRef,
    UnitId,
)
from shared.contracts.intake import SettledOnSpot


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
    proxy: ResidentId | None = None
    source_ref: SourceRef | None = None
    name: Sealed | None = None
    phone: Sealed | None = None
    address: Sealed | None = None
    settled_on_spot: SettledOnSpot | None = None
    request: Request | None = None
    imported_from: EventSource | None = None


@dataclass(frozen=True, slots=True)
class Supplement:
    """补充: say more about it."""

    by: ActorId
    words: Sealed


@dataclass(frozen=True, slots=True)
class Withdraw:
    """撤回: no longer ask for it. `for_them`: staff say so for whoever asked."""

    by: ActorId
    reason: Sealed | None = None
    for_them: bool = False


@dataclass(frozen=True, slots=True)
class SettleElsewhere:
    """The list a matter was imported from says what became of it."""

    by: ActorId
    outcome: Code
    note: Sealed
    on_spot: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """评单: the resident says what the resolution is worth."""

    by: ActorId
    resolved: bool
    satisfaction: int
    words: Sealed | None = None


@dataclass(frozen=True, slots=True)
class ReceiveReport:
    """A partner says a unit reported in, or with a `note` how far it is."""

    by: ActorId
    unit: UnitId
    request: Request
    note: Sealed | None = None


@dataclass(frozen=True, slots=True)
class NoteCaseStand:
    """Dispatch said where the case stands, in its fact `case_version`."""

    by: ActorId
    case_version: int
    rateable: bool
    closed: bool


WishCommand = (
    Submit | Supplement | Withdraw | SettleElsewhere | Rate | ReceiveReport | NoteCaseStand
)
