"""What a town calls its codes: names are joined when something is read, never copied into rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.contracts.base import Code
from shared.errors import Refused
from shared.town import Town


@dataclass(frozen=True, slots=True)
class Wording:
    """The names of a town's codes; those of earlier profiles too, for their cases are still
    there. The newest name of each counts."""

    areas: Mapping[str, str]
    kinds: Mapping[str, str]
    categories: Mapping[str, Mapping[str, str]]
    channels: Mapping[str, str]
    units: Mapping[str, str]
    outcomes: Mapping[str, str]
    rules: Mapping[str, str]
    owners: Mapping[str, str]

    def check(self, field: str, code: str | None) -> None:
        """Raises Refused `unknown-<field>` for a code no profile knows."""
        known: Mapping[str, Mapping[str, str]] = {
            "area": self.areas,
            "kind": self.kinds,
            "channel": self.channels,
            "unit": self.units,
        }
        if code is not None and code not in known[field]:
            raise Refused(f"unknown-{field}", f"the town has no {field} {code!r}", field=field)

    def check_category(self, category: str | None, kind: str | None) -> None:
        """Raises Refused `unknown-category` for one of no kind, or not of this one."""
        kinds = self.kinds if kind is None else (kind,)
        if category is None or any(category in self.categories.get(k, ()) for k in kinds):
            return
        of = "the town" if kind is None else f"kind {kind!r}"
        raise Refused("unknown-category", f"{of} has no category {category!r}", field="category")

    def category(self, kind: str, category: str) -> str:
        """What a category of a kind is called; its code if nobody knows."""
        return self.categories.get(kind, {}).get(category, category)


def wording(town: Town) -> Wording:
    """The names in all profiles of a town."""
    areas: dict[str, str] = {}
    kinds: dict[str, str] = {}
    categories: dict[str, dict[str, str]] = {}
    channels: dict[str, str] = {}
    outcomes: dict[str, str] = {}
    rules: dict[str, str] = {}
    owners: dict[str, str] = {}
    for profile in town.profiles:
        areas |= {area.id: area.name for area in profile.areas}
        channels |= _said(profile.channels)
        outcomes |= _said(profile.outcomes)
        rules |= _said(profile.decline_rules)
        owners |= _said(profile.owners)
        for name, kind in profile.kinds.items():
            kinds[name] = kind.name
            categories.setdefault(name, {}).update(_said(kind.categories))
    units = {str(unit.id): unit.name for unit in town.units.values()}
    return Wording(areas, kinds, categories, channels, units, outcomes, rules, owners)


def _said(names: Mapping[Code, str]) -> dict[str, str]:
    return {str(code): name for code, name in names.items()}
