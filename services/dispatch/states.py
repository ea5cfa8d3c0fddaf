"""The states of a case, and what stays with it through them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.contracts.base import AreaId, Code, ResidentId, TargetId, UnitId

Role = Literal["lead", "assist"]
Stand = Literal["named", "reported", "done", "returned", "replaced", "ended"]
"""`replaced`: another unit, or another assignment of the same one, took its place; `ended`: the
case was closed, or settled elsewhere, before the unit was done."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A unit named for the case, and how it stands with it."""

    id: TargetId
    unit: UnitId
    role: Role
    stand: Stand = "named"

    @property
    def live(self) -> bool:
        """The unit still has it on its desk."""
        return self.stand in ("named", "reported")


@dataclass(frozen=True, slots=True)
class File:
    """What stays with the case through its states. `wish_version`: the last fact of the wish
    taken in; `assignments`: every one there was, in order; `due`: when it is to be resolved."""

    kind: Code
    category: Code
    area: AreaId
    resident: ResidentId | None
    wish_version: int
    assignments: tuple[Assignment, ...] = ()
    due: datetime | None = None

    @property
    def lead(self) -> Assignment | None:
        """The unit that leads now."""
        return next((a for a in self.assignments if a.role == "lead" and a.live), None)

    @property
    def units(self) -> frozenset[UnitId]:
        """Every unit named so far: they may see the case."""
        return frozenset(a.unit for a in self.assignments)

    @property
    def next_assignment(self) -> TargetId:
        """What the next unit named reports in to."""
        return TargetId(f"assignment-{len(self.assignments) + 1}")

    def last_of(self, unit: UnitId) -> Assignment | None:
        """What this unit was named for last."""
        return next((a for a in reversed(self.assignments) if a.unit == unit), None)


@dataclass(frozen=True, slots=True)
class Unopened:
    """The wish has not arrived here yet."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Taken up; nobody has answered for it yet."""

    file: File


@dataclass(frozen=True, slots=True)
class Accepted:
    """The community answers for it; no unit leads (or none any more)."""

    file: File


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A unit was named to lead and has not reported in."""

    file: File


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The leading unit reported in and is at work."""

    file: File


@dataclass(frozen=True, slots=True)
class Resolved:
    """Said to be done. `checked`: None where nobody need look, else whether somebody has;
    `rating_asked`: the resident's word is awaited, now or once it was checked."""

    file: File
    outcome: Code
    rating_asked: bool
    checked: bool | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """Written off."""

    file: File


OpenedCase = Opened | Accepted | Dispatched | UnderWay | Resolved | Closed
Case = Unopened | OpenedCase
