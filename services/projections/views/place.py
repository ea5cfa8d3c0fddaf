"""The tally of the place report: by category, what became of the cases received each day."""

from typing import Final

from services.projections.stories import Story
from services.projections.views import Counted, Tally
from services.projections.views.numbers import numbers


def count(story: Story) -> Counted | None:
    """A case is counted on the day it was submitted, whatever became of it when."""
    wish = story["parts"].get("wish")
    if wish is None or "submitted" not in wish:  # perhaps in a fact of a later build
        return None
    return Counted(wish["area"], wish["category"], wish["day"], wish["kind"], numbers(story))


PLACE: Final = Tally("place", count)
