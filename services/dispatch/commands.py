"""What can be asked of a case. Times, deadlines and sealed texts arrive ready."""

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.base import ActorId, AreaId, Code, ResidentId, Sealed, UnitId


@dataclass(frozen=True, slots=True)
class Open:
    """立案: take the wish up (a reaction to its submission)."""

    by: ActorId
    wish_version: int
    kind: Code
    category: Code
    area: AreaId
    resident: ResidentId | None


@dataclass(frozen=True, slots=True)
class Accept:
    """受理: answer for it until `due`."""

    by: ActorId
    due: datetime


@dataclass(frozen=True, slots=True)
class Dispatch:
    """派单: name the unit that leads."""

    by: ActorId
    unit: UnitId


@dataclass(frozen=True, slots=True)
class ReportIn:
    """报到: the unit has taken it up."""

    by: ActorId
    unit: UnitId


@dataclass(frozen=True, slots=True)
class ReportProgress:
    """办理: the unit says how far it is."""

    by: ActorId
    unit: UnitId
    note: Sealed


@dataclass(frozen=True, slots=True)
class Resolve:
    """办结: the unit says it is done. `rating_asked` is the profile's word for this kind."""

    by: ActorId
    unit: UnitId
    outcome: Code
    note: Sealed
    rating_asked: bool


@dataclass(frozen=True, slots=True)
class TakeRating:
    """The resident rated (a reaction): close it, or reopen it until `due`."""

    by: ActorId
    wish_version: int
    resolved: bool
    due: datetime | None = None


CaseCommand = Open | Accept | Dispatch | ReportIn | ReportProgress | Resolve | TakeRating
