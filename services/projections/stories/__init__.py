"""A story: one document per subject, with one part per stream, folded by that stream alone.

Because no part looks at another, the order in which streams arrive, and facts that arrive twice,
never change the result.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NotRequired, TypedDict

from services.projections.stories import case, wish
from services.projections.stories.reckoning import Reckoning
from shared.contracts.recorded import Recorded

FOLD_VERSION: Final = 2
"""Grows with every change that would fold the same facts into other documents, and with a view that
is taken away; a view that is new is filled in. `tests/projections/test_fold_version.py` tells."""

Part = dict[str, Any]
Fold = Callable[[Part, Recorded, Reckoning], Part]
"""The part after one more fact of its stream; the profile is the one the fact names."""

FOLDS: Final[Mapping[str, Fold]] = {"wish": wish.fold, "case": case.fold}


class Story(TypedDict):
    """The document. `partition`: the one of Kafka its facts come by, whose owner alone writes it
    and the numbers it adds to; `v`: version seen per stream kind; `stuck`: why a kind does not
    move on; `lacks`: views being filled that raised over it; `wrote`: what each view last wrote
    and each tally last counted."""

    _id: str
    town: str
    partition: int
    v: dict[str, int]
    parts: dict[str, Part]
    wrote: dict[str, dict[str, Any]]
    stuck: NotRequired[dict[str, str]]
    lacks: NotRequired[list[str]]


def new_story(story: str, town: str, partition: int) -> Story:
    """A story nothing was folded into yet."""
    return Story(_id=story, town=town, partition=partition, v={}, parts={}, wrote={})
