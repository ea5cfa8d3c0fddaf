"""Builds with a bug, made of this one: what they do not read, do not know, or raise over."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from services.dispatch import app as dispatch
from services.intake import app as intake
from services.projections import readmodel, records, touching
from services.projections.stories import FOLDS, Fold, Part, Story
from services.projections.stories.reckoning import Reckoning
from services.projections.views import Tally, View, registry
from services.projections.views.case_list import CASE_LIST
from services.projections.views.place import PLACE
from shared import parking, reactions
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded, Unreadable, from_wire
from shared.contracts.registry import UnknownFact
from shared.town import Town

BUG = "a build with a bug"
Break = Callable[[pytest.MonkeyPatch, Collection[StoryId]], None]
"""Make the build that has it over these stories, until the context is undone."""


def unread(build: pytest.MonkeyPatch, sick: Collection[StoryId]) -> None:
    """It cannot decode their facts."""

    def reading(value: bytes | None, headers: Any) -> Recorded:
        recorded = from_wire(value, headers)
        if recorded.story in sick:
            raise Unreadable(BUG)
        return recorded

    _read_by(build, reading)


def unknown(build: pytest.MonkeyPatch, sick: Collection[StoryId]) -> None:
    """It does not know the types of their facts."""

    def reading(value: bytes | None, headers: Any) -> Recorded:
        recorded = from_wire(value, headers)
        if recorded.story not in sick:
            return recorded
        return replace(recorded, fact=UnknownFact.model_validate(recorded.fact.model_dump()))

    _read_by(build, reading)


def fold(build: pytest.MonkeyPatch, sick: Collection[StoryId]) -> None:
    """Its fold of wishes raises."""
    build.setitem(cast("dict[str, Fold]", FOLDS), "wish", _raising(FOLDS["wish"], sick))


def view(build: pytest.MonkeyPatch, sick: Collection[StoryId]) -> None:
    """Its list of cases raises."""

    def row(story: Story) -> Mapping[str, Any] | None:
        _check(story["_id"], sick)
        return CASE_LIST.row(story)

    sickly = View(CASE_LIST.name, cast(Any, row), CASE_LIST.indexes)
    build.setattr(registry, "VIEWS", (sickly,))


def tally(build: pytest.MonkeyPatch, sick: Collection[StoryId]) -> None:
    """Its report of a place raises."""

    def count(story: Story) -> Any:
        _check(story["_id"], sick)
        return PLACE.count(story)

    build.setattr(registry, "TALLIES", (Tally(PLACE.name, count),))


def policy(build: pytest.MonkeyPatch, sick: Collection[StoryId]) -> None:
    """The policies of intake and dispatch raise."""
    for service in (dispatch, intake):
        build.setattr(service, "react", _wary(service.react, sick))


def _wary(react: Callable[[Recorded, Town], Any], sick: Collection[StoryId]) -> Any:
    def reacting(recorded: Recorded, town: Town) -> Any:
        _check(recorded.story, sick)
        return react(recorded, town)

    return reacting


def _raising(sound: Fold, sick: Collection[StoryId]) -> Fold:
    def folding(part: Part, recorded: Recorded, profile: Reckoning) -> Part:
        _check(recorded.story, sick)
        return sound(part, recorded, profile)

    return folding


def _check(story: str, sick: Collection[StoryId]) -> None:
    if story in sick:
        raise LookupError(BUG)


def _read_by(build: pytest.MonkeyPatch, reading: Callable[..., Recorded]) -> None:
    for module in (reactions, parking, records, touching, readmodel):
        build.setattr(module, "from_wire", reading)
