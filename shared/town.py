"""A town is data: its profile by version, its units, and the registry of all towns served.

Files of a town: `profile-<n>.yaml` (never edited once used: a change is the next n with its
`effective` instant), `units.yaml`, `keys.yaml`. What no report says and we made up is listed in
the profile's `invented`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.contracts.base import AreaId, Code, Instant, ProfileVersion, TownId, UnitId
from shared.errors import Refused

CODE: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
AREA: Final = r"^[a-z0-9-]{1,32}(/[a-z0-9-]{1,32}){0,7}$"
CodeText = Annotated[Code, StringConstraints(pattern=CODE)]
AreaText = Annotated[AreaId, StringConstraints(pattern=AREA, max_length=256)]
UnitText = Annotated[UnitId, StringConstraints(pattern=CODE)]


M = TypeVar("M", bound=BaseModel)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Area(_File):
    """One area; its id is a path, so its parent is what stands before the last slash."""

    id: AreaText
    level: CodeText
    name: str


class Kind(_File):
    """A kind of matter: what it is called, what belongs to it, what its case needs."""

    name: str
    categories: dict[CodeText, str]
    resolve_within_hours: Annotated[int, Field(gt=0)]
    rating_asked: bool


class Backdating(_File):
    """How long ago something may have occurred that is only now reported, in hours, by role."""

    default: Annotated[int, Field(ge=0)]
    roles: dict[CodeText, Annotated[int, Field(ge=0)]] = {}


class Profile(_File):
    """How one town works, from `effective` on until a later profile takes over."""

    town: Annotated[TownId, StringConstraints(pattern=CODE)]
    name: str
    n: Annotated[int, Field(ge=1)]
    effective: Instant
    time_zone: str
    levels: dict[CodeText, str]
    areas: tuple[Area, ...]
    kinds: dict[CodeText, Kind]
    channels: dict[CodeText, str]
    outcomes: dict[CodeText, str]
    occurred_back_hours: Backdating
    invented: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _areas_form_a_tree(self) -> Self:
        ids = {area.id for area in self.areas}
        if len(ids) != len(self.areas):
            raise ValueError("an area is listed twice")
        for area in self.areas:
            parent = area.id.rpartition("/")[0]
            if area.id.partition("/")[0] != self.town or (parent and parent not in ids):
                raise ValueError(f"area {area.id} hangs on nothing: its parent is not listed")
            if area.level not in self.levels:
                raise ValueError(f"area {area.id}: level {area.level} is not listed in levels")
        return self

    @cached_property
    def version(self) -> ProfileVersion:
        return ProfileVersion(f"{self.n}.{self.digest}")

    @cached_property
    def area_ids(self) -> frozenset[str]:
        return frozenset(area.id for area in self.areas)

    @cached_property
    def digest(self) -> str:
        """The first 8 hex digits of the SHA-256 of what the profile says."""
        said = self.model_dump(mode="json", exclude_defaults=True)  # not what a later build adds
        text = json.dumps(said, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def kind(self, kind: str) -> Kind:
        """Raises Refused `unknown-kind`."""
        if kind not in self.kinds:
            raise Refused("unknown-kind", f"{self.town} has no kind {kind!r}", field="kind")
        return self.kinds[Code(kind)]

    def check_area(self, area: str) -> None:
        """Raises Refused `unknown-area`."""
        if area not in self.area_ids:
            raise Refused("unknown-area", f"{self.town} has no area {area!r}", field="area")

    def check_code(self, field: str, code: str, known: Mapping[Code, str]) -> None:
        """Raises Refused `unknown-<field>`."""
        if code not in known:
            raise Refused(f"unknown-{field}", f"{self.town} has no {field} {code!r}", field=field)

    def check_occurred(self, role: str, occurred: datetime | None, now: datetime) -> None:
        """Raises Refused when it lies ahead, or further back than the role may claim."""
        if occurred is None:
            return
        back = self.occurred_back_hours.roles.get(Code(role), self.occurred_back_hours.default)
        if occurred > now:
            raise Refused("occurred-ahead", "occurred lies in the future", field="occurred")
        if occurred < now - timedelta(hours=back):
            detail = f"{role} may claim at most {back} hours back"
            raise Refused("occurred-too-far-back", detail, field="occurred")


class Unit(_File):
    """A unit that cases are dispatched to."""

    id: UnitText
    name: str


class UnitsFile(_File):
    """`units.yaml`."""

    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Town:
    """A town with all its profiles, oldest first, and its units."""

    id: TownId
    profiles: tuple[Profile, ...]
    units: Mapping[UnitId, Unit]

    def profile_at(self, at: datetime) -> Profile:
        """The profile in force at `at`. Raises Refused before the first one."""
        for profile in reversed(self.profiles):
            if profile.effective <= at:
                return profile
        raise Refused("no-profile-yet", f"no profile of {self.id} was in force at {at}")

    def check_unit(self, unit: str) -> None:
        """Raises Refused `unknown-unit`."""
        if unit not in self.units:
            raise Refused("unknown-unit", f"{self.id} has no unit {unit!r}", field="unit")


class Towns(dict[TownId, Town]):
    """All towns an installation serves."""

    def versions(self) -> dict[str, str]:
        """`<town>@<n>` → digest, of every profile known here."""
        return {f"{p.town}@{p.n}": p.digest for town in self.values() for p in town.profiles}

    def examples(self) -> dict[str, str]:
        """What the first town calls things, by the name of the field that takes them."""
        town = next(iter(self.values()))
        profile = town.profiles[-1]
        kind, said = next(iter(profile.kinds.items()))
        known = {
            "kind": kind,
            "category": next(iter(said.categories)),
            "area": max((area.id for area in profile.areas), key=len),
            "channel": next(iter(profile.channels)),
            "outcome": next(iter(profile.outcomes)),
            "unit": next(iter(town.units), "unit"),
        }
        return {field: str(value) for field, value in known.items()}

    def lack(self, town: TownId, version: ProfileVersion) -> str | None:
        """What is missing to understand a fact recorded under this profile; None if nothing."""
        if town in self and any(p.version == version for p in self[town].profiles):
            return None
        return f"profile {version} of {town} is not known here"


def load_towns(folder: Path) -> Towns:
    """Every town below `folder`. Raises ValueError naming the file and what is wrong in it."""
    towns = Towns()
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted(place.glob("profile-*.yaml"))
        profiles = sorted((_read(Profile, f) for f in files), key=lambda p: p.n)
        if not profiles:
            continue
        _check_order(place, profiles)
        units = _read(UnitsFile, place / "units.yaml").units
        town = profiles[0].town
        if town in towns:
            raise ValueError(f"{place}: town {town} is in another folder too")
        if len({unit.id for unit in units}) != len(units):
            raise ValueError(f"{place / 'units.yaml'}: a unit is listed twice")
        towns[town] = Town(town, tuple(profiles), {unit.id: unit for unit in units})
    if not towns:
        raise ValueError(f"{folder} holds no town")
    return towns


def _check_order(place: Path, profiles: Iterable[Profile]) -> None:
    before: Profile | None = None
    for profile in profiles:
        if before and (profile.town != before.town or profile.n == before.n):
            raise ValueError(f"{place}: two towns, or profile {profile.n} twice")
        if before and profile.effective <= before.effective:
            raise ValueError(f"{place}: profile {profile.n} must take effect after {before.n}")
        if before and (dropped := (before.kinds.keys() - profile.kinds.keys())):
            # Its open cases could not be resolved any more.
            raise ValueError(f"{place}: profile {profile.n} drops kind {', '.join(dropped)}")
        before = profile


def _read(model: type[M], file: Path) -> M:
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return model.model_validate(content)
    except (ValueError, OSError, yaml.YAMLError) as wrong:
        raise ValueError(f"{file}: {wrong}") from wrong
