"""A town is data: its profiles by version, its units and partners, and the registry of all towns.

Files of a town: `profile-<n>.yaml` (never edited once used: a change is the next n with its
`effective` instant), `units.yaml`, `partners.yaml`, `keys.yaml`. What no report says and we made
up is listed in the profile's `invented`.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from shared.contracts.base import PartnerId, ProfileVersion, TownId, UnitId
from shared.errors import Refused
from shared.profile import Partner, PartnersFile, Profile, Unit, UnitsFile

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Town:
    """A town with all its profiles, oldest first, its units and its partners."""

    id: TownId
    profiles: tuple[Profile, ...]
    units: Mapping[UnitId, Unit]
    partners: Mapping[PartnerId, Partner] = field(default_factory=dict)

    def profile_at(self, at: datetime) -> Profile:
        """The profile in force at `at`. Raises Refused before the first one."""
        for profile in reversed(self.profiles):
            if profile.effective <= at:
                return profile
        raise Refused("no-profile-yet", f"no profile of {self.id} was in force at {at}")

    def profile(self, version: ProfileVersion) -> Profile:
        """The profile of this version. Raises KeyError when it is not known here."""
        return {profile.version: profile for profile in self.profiles}[version]

    def check_unit(self, unit: str) -> None:
        """Raises Refused `unknown-unit`."""
        if unit not in self.units:
            raise Refused("unknown-unit", f"{self.id} has no unit {unit!r}", field="unit")


class Towns(dict[TownId, Town]):
    """All towns an installation serves."""

    def versions(self) -> dict[str, str]:
        """`<town>@<n>` → digest, of every profile known here."""
        return {f"{p.town}@{p.n}": p.digest for town in self.values() for p in town.profiles}

    def partners(self) -> dict[PartnerId, dict[TownId, Partner]]:
        """Every partner, by the towns that let it speak."""
        known: dict[PartnerId, dict[TownId, Partner]] = {}
        for town in self.values():
            for partner in town.partners.values():
                known.setdefault(partner.id, {})[town.id] = partner
        return known

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
            "rule": next(iter(profile.decline_rules), "rule"),
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
        partners = _partners(place)
        town = profiles[0].town
        if town in towns:
            raise ValueError(f"{place}: town {town} is in another folder too")
        if len({unit.id for unit in units}) != len(units):
            raise ValueError(f"{place / 'units.yaml'}: a unit is listed twice")
        _check_partners(place, partners, profiles[-1], {unit.id for unit in units})
        towns[town] = Town(
            town,
            tuple(profiles),
            {unit.id: unit for unit in units},
            {partner.id: partner for partner in partners},
        )
    if not towns:
        raise ValueError(f"{folder} holds no town")
    _check_sources(towns)
    return towns


def _partners(place: Path) -> tuple[Partner, ...]:
    file = place / "partners.yaml"
    return _read(PartnersFile, file).partners if file.exists() else ()


def _check_partners(
    place: Path, partners: Iterable[Partner], profile: Profile, units: Collection[str]
) -> None:
    """Raise ValueError for a partner listed twice or one that names what the town has not."""
    file, listed = place / "partners.yaml", set[str]()
    for partner in partners:
        unknown = [
            *(a for a in partner.areas if a not in profile.area_ids),
            *(u for u in partner.units if u not in units),
            *(c for c in (partner.channel,) if c not in profile.channels),
            *(k for k in (partner.hazard_kind,) if k is not None and k not in profile.kinds),
        ]
        if unknown:
            raise ValueError(
                f"{file}: partner {partner.id} names {', '.join(unknown)}, which the town has not"
            )
        if partner.id in listed:
            raise ValueError(f"{file}: partner {partner.id} is listed twice")
        listed.add(partner.id)


def _check_sources(towns: Towns) -> None:
    """A story is found by town, source and reference: a source must have one partner."""
    owners: dict[str, PartnerId] = {}
    for partner, grants in towns.partners().items():
        for source in {source for grant in grants.values() for source in grant.sources}:
            if owners.setdefault(source, partner) != partner:
                raise ValueError(f"source {source} is of partner {owners[source]} and {partner}")


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
