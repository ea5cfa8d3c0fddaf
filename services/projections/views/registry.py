"""All views and tallies there are, and what facts become by them."""

from typing import Final

from services.projections.folding import Recipe
from services.projections.views import Tally, View
from services.projections.views.case_list import CASE_LIST
from services.projections.views.place import PLACE
from shared.town import Towns

VIEWS: Final[tuple[View, ...]] = (CASE_LIST,)
TALLIES: Final[tuple[Tally, ...]] = (PLACE,)


def recipe(towns: Towns) -> Recipe:
    """How this build folds the facts of these towns."""
    return Recipe(VIEWS, TALLIES, lambda town, version: towns[town].profile(version))
