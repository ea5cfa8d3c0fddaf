"""A town is data: its profiles by version, its units and partners, and the registry of all towns.

Files of a town: `profile-<n>.yaml` (never edited once used: a change is the next n with its
`effective` instant), `units.yaml`, `partners.yaml`, `keys.yaml`. What no report says and we made
up is listed in the profile's `invented`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel

from shared.contracts.base import PartnerId, ProfileVersion, TownId, UnitId
from shared.errors import Refused
from shared.profile import Misplaced, Partner, PartnersFile, Profile, Unit, UnitsFile

M = TypeVar("M", bound=BaseModel)


class Misfit(Misplaced):
    """A file of a town that does not fit its other files, or another town's; `at` leads to the
    place in `file`."""

    def __init__(self, file: Path, says: str, *at: str | int) -> None:
        super().__init__(f"{file}: {says}", *at)
        self.file = file
        self.says = says


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
            "owner": next(iter(profile.owners), "owner"),
            "unit": next(iter(town.units), "unit"),
        }
        return {field: str(value) for field, value in known.items()}

    def lack(self, town: TownId, version: ProfileVersion) -> str | None:
        """What is missing to understand a fact recorded under this profile; None if nothing."""
        if town in self and any(p.version == version for p in self[town].profiles):
            return None
        return f"profile {version} of {town} is not known here"


def load_towns(folder: Path) -> Towns:
    """Every town below `folder`. Raises ValueError naming the file and what is wrong in it, a
    Misfit where files do not fit together."""
    towns = Towns()
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted(place.glob("profile-*.yaml"))
        if not files:
            continue
        read = sorted(((f, _read(Profile, f)) for f in files), key=lambda each: each[1].n)
        _check_order(read)
        profiles = [profile for _, profile in read]
        units = _read(UnitsFile, place / "units.yaml").units
        partners = _partners(place)
        town = profiles[0].town
        if town in towns:
            raise Misfit(files[0], f"town {town} is in another folder too", "town")
        _check_units(place / "units.yaml", units)
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
    for n, partner in enumerate(partners):
        unknown = [
            *(a for a in partner.areas if a not in profile.area_ids),
            *(u for u in partner.units if u not in units),
            *(c for c in (partner.channel,) if c not in profile.channels),
            *(k for k in (partner.hazard_kind,) if k is not None and k not in profile.kinds),
        ]
        if unknown:
            says = f"partner {partner.id} names {', '.join(unknown)}, which the town has not"
            raise Misfit(file, says, "partners", n)
        if partner.id in listed:
            raise Misfit(file, f"partner {partner.id} is listed twice", "partners", n)
        listed.add(partner.id)


def _check_units(file: Path, units: Iterable[Unit]) -> None:
    listed = set[str]()
    for n, unit in enumerate(units):
        if unit.id in listed:
            raise Misfit(file, f"unit {unit.id} is listed twice", "units", n)
        listed.add(unit.id)


def _check_sources(towns: Towns) -> None:
    """A story is found by town, source and reference: a source must have one partner."""
    owners: dict[str, PartnerId] = {}
    for partner, grants in towns.partners().items():
        for source in {source for grant in grants.values() for source in grant.sources}:
            if owners.setdefault(source, partner) != partner:
                raise ValueError(f"source {source} is of partner {owners[source]} and {partner}")


def _check_order(profiles: Sequence[tuple[Path, Profile]]) -> None:
    for (_, before), (file, profile) in pairwise(profiles):
        if profile.town != before.town or profile.n == before.n:
            raise Misfit(file, f"two towns in one folder, or profile {profile.n} twice", "n")
        if profile.effective <= before.effective:
            says = f"profile {profile.n} must take effect after {before.n}"
            raise Misfit(file, says, "effective")
        if dropped := (before.kinds.keys() - profile.kinds.keys()):
            # Its open cases could not be resolved any more.
            says = f"profile {profile.n} drops kind {', '.join(sorted(dropped))}"
            raise Misfit(file, says, "kinds")


def _read(model: type[M], file: Path) -> M:
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return model.model_validate(content)
    except (ValueError, OSError, RecursionError, yaml.YAMLError) as wrong:
        raise ValueError(f"{file}: {wrong}") from wrong
