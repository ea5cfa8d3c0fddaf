"""What this build makes of facts, and to which generations it may therefore write. Pure.

A generation remembers by what it was folded: `folds`, its `views` (tallies are views here; those
in `filling` are not complete yet) and what folds read of each profile (`profiles`). Two builds
may share it when all that both know is equal: a profile that only one of them has changes nothing.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from services.projections.folding import Recipe
from services.projections.stories import FOLD_VERSION, FOLDS
from services.projections.stories.reckoning import reckoning
from services.projections.views.registry import recipe
from shared.contracts.registry import FACT_STREAMS
from shared.town import Towns

Document = dict[str, Any]

TYPES: Final = frozenset(type_ for type_, kind in FACT_STREAMS.items() if kind in FOLDS)
"""The facts this build folds."""


@dataclass(frozen=True)
class Build:
    """How facts are folded, and by what that is known again."""

    recipe: Recipe
    profiles: Mapping[str, Document]
    """What folds read of it, by `<town>@<version>`."""
    folds: int = FOLD_VERSION
    types: Collection[str] = TYPES

    @classmethod
    def of(cls, towns: Towns, by: Recipe | None = None, folds: int = FOLD_VERSION) -> Self:
        """This one, with these towns."""
        profiles = {
            f"{town.id}@{profile.version}": reckoning(profile)
            for town in towns.values()
            for profile in town.profiles
        }
        return cls(by or recipe(towns), profiles, folds)

    @property
    def views(self) -> frozenset[str]:
        """Names of all views and tallies."""
        views = (view.name for view in self.recipe.views)
        return frozenset([*views, *(tally.name for tally in self.recipe.tallies)])

    def new_generation(self) -> Document:
        """What a generation begun by this build remembers."""
        return {
            "folds": self.folds,
            "views": sorted(self.views),
            "filling": [],
            "profiles": list(self.remembered()),
        }

    def remembered(self) -> Iterator[Document]:
        """The profiles as generations remember them."""
        for name, read in sorted(self.profiles.items()):
            yield {"profile": name, **read}

    def misfit(self, generation: Document, ignored: Collection[str] = ()) -> str | None:
        """Why this build may not write to it; None when it may. `ignored` are the types of facts
        it passed over."""
        if "views" not in generation or generation["folds"] != self.folds:
            return f"was written by folds {generation.get('folds')}, these are {self.folds}"
        if foreign := sorted(set(generation["views"]) - self.views):
            return f"has {', '.join(foreign)}, which this build does not write"
        for known in generation["profiles"]:
            if known not in self.remembered() and known["profile"] in self.profiles:
                return f"was folded with another reading of profile {known['profile']}"
        if missed := sorted(set(ignored) & set(self.types)):
            return f"passed over {', '.join(missed)}, which this build folds"
        return None

    def lacking(self, generation: Document) -> list[str]:
        """Views of this build that a generation does not know of."""
        return sorted(self.views - set(generation["views"]))

    def outdone_by(self, generation: Document) -> bool:
        """Whether a later build wrote it: an earlier one begins none beside it by itself, or the
        last old process of a rolling upgrade would undo what the new ones did."""
        if generation["folds"] != self.folds:
            return bool(generation["folds"] > self.folds)
        return bool(set(generation.get("views", ())) - self.views)
