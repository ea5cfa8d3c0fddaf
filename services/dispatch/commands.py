"""What can be asked of a case. Times, deadlines and sealed texts arrive ready."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.contracts.base import ActorId, AreaId, Code, Request, ResidentId, Sealed, UnitId


@dataclass(frozen=True, slots=True)
class Settlement:
    """现场办结: it was done when it was taken in. What the profile tells is filled in before it
    is decided."""

    by: ActorId
    outcome: Code
    note: Sealed
    due: datetime | None = None
    rating_asked: bool = False
    verification_asked: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """立案: take the wish up (a reaction to its submission)."""

    by: ActorId
    wish_version: int
    kind: Code
    category: Code
    area: AreaId
    resident: ResidentId | None
    settled: Settlement | None = None


@dataclass(frozen=True, slots=True)
class Accept:
    """受理: answer for it until `due`."""

    by: ActorId
    due: datetime


@dataclass(frozen=True, slots=True)
class Decline:
    """不受理: not to be taken on, by a rule of the profile."""

    by: ActorId
    rule: Code
    reason: Sealed


@dataclass(frozen=True, slots=True)
class Refer:
    """转办: it goes to its owner outside."""

    by: ActorId
    to: Code
    reason: Sealed


@dataclass(frozen=True, slots=True)
class Dispatch:
    """派单: name a unit to lead or to assist."""

    by: ActorId
    unit: UnitId
    role: Literal["lead", "assist"] = "lead"


@dataclass(frozen=True, slots=True)
class Redirect:
    """改派: another unit leads from now on."""

    by: ActorId
    unit: UnitId
    reason: Sealed


@dataclass(frozen=True, slots=True)
class Return:
    """退单: the unit gives its assignment back."""

    by: ActorId
    unit: UnitId
    reason: Sealed


@dataclass(frozen=True, slots=True)
class ReportIn:
    """报到: the unit has taken it up."""

    by: ActorId
    unit: UnitId


@dataclass(frozen=True, slots=True)
class Contact:
    """首次联系: somebody spoke with whoever asked; `unit` is theirs, if they are of one."""

    by: ActorId
    note: Sealed
    unit: UnitId | None = None


@dataclass(frozen=True, slots=True)
class ReportProgress:
    """办理: the unit says how far it is."""

    by: ActorId
    unit: UnitId
    note: Sealed


@dataclass(frozen=True, slots=True)
class Resolve:
    """办结: the leading unit says it is done. What is asked then is the profile's word."""

    by: ActorId
    unit: UnitId
    outcome: Code
    note: Sealed
    rating_asked: bool
    verification_asked: bool = False


@dataclass(frozen=True, slots=True)
class Verify:
    """核查: somebody looked, and it is done."""

    by: ActorId
    note: Sealed | None = None


@dataclass(frozen=True, slots=True)
class OrderRework:
    """返工: somebody looked, and it is not done; it is to be by `due`."""

    by: ActorId
    reason: Sealed
    due: datetime


@dataclass(frozen=True, slots=True)
class TakeReport:
    """A partner says a unit reported in, or with a `note` how far it is (a reaction)."""

    by: ActorId
    unit: UnitId
    request: Request
    note: Sealed | None = None


@dataclass(frozen=True, slots=True)
class TakeRating:
    """The resident rated (a reaction): close it, or reopen it until `due`."""

    by: ActorId
    wish_version: int
    resolved: bool
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class TakeWithdrawal:
    """Whoever asked no longer asks (a reaction)."""

    by: ActorId
    wish_version: int


@dataclass(frozen=True, slots=True)
class TakeSettlement:
    """It was dealt with outside this house (a reaction): nothing is left to do here."""

    by: ActorId
    wish_version: int
    settled_by: ActorId
    outcome: Code
    note: Sealed
    on_spot: bool = False


DeskCommand = Accept | Decline | Refer | Dispatch | Redirect | Verify | OrderRework | Contact
UnitCommand = Return | ReportIn | ReportProgress | Resolve
Reacting = Open | TakeReport | TakeRating | TakeWithdrawal | TakeSettlement
CaseCommand = DeskCommand | UnitCommand | Reacting
