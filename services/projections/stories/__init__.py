"""A story: one document per subject, with one part per stream, folded by that stream alone.

Because no part looks at another, the order in which streams arrive, and facts that arrive twice,
never change the result.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NotRequired, TypedDict

from services.projections.stories import case, wish
from shared.contracts.recorded import Recorded

FOLD_VERSION: Final = 1
"""Grows with every change that would fold the same facts into other documents."""

Part = dict[str, Any]
Fold = Callable[[Part, Recorded], Part]

FOLDS: Final[Mapping[str, Fold]] = {"wish": wish.fold, "case": case.fold}


class Story(TypedDict):
    """The document. `v`: version seen per stream kind; `stuck`: why a kind does not move on;
    `wrote`: the row each view last wrote."""

    _id: str
    town: str
    v: dict[str, int]
    parts: dict[str, Part]
    wrote: dict[str, dict[str, Any]]
    stuck: NotRequired[dict[str, str]]


def new_story(story: str, town: str) -> Story:
    """A story nothing was folded into yet."""
    return Story(_id=story, town=town, v={}, parts={}, wrote={})
