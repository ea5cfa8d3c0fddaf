"""The states of a case, and what stays with it through them."""

from dataclasses import dataclass

from shared.contracts.base import AreaId, Code, ResidentId, TargetId, UnitId


@dataclass(frozen=True, slots=True)
class File:
    """What stays with the case through its states. `wish_version`: the last fact of the wish
    taken in; `units`: every unit named so far, in order."""

    kind: Code
    category: Code
    area: AreaId
    resident: ResidentId | None
    wish_version: int
    units: tuple[UnitId, ...] = ()


@dataclass(frozen=True, slots=True)
class Unopened:
    """The wish has not arrived here yet."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Taken up; nobody has answered for it yet."""

    file: File


@dataclass(frozen=True, slots=True)
class Accepted:
    """The community answers for it; no unit is named (or none any more)."""

    file: File


@dataclass(frozen=True, slots=True)
class Dispatched:
    """`unit` was named and has not reported in to `target`."""

    file: File
    unit: UnitId
    target: TargetId


@dataclass(frozen=True, slots=True)
class UnderWay:
    """`unit` reported in and is at work."""

    file: File
    unit: UnitId
    target: TargetId


@dataclass(frozen=True, slots=True)
class Resolved:
    """`unit` says it is done; the resident's word is awaited."""

    file: File
    unit: UnitId
    outcome: Code


@dataclass(frozen=True, slots=True)
class Closed:
    """Written off."""

    file: File


OpenedCase = Opened | Accepted | Dispatched | UnderWay | Resolved | Closed
Case = Unopened | OpenedCase
