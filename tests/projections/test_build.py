"""Which builds may write to one generation, and that a change of folds is not forgotten."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from services.projections.build import TYPES, Build
from services.projections.folding import Recipe
from services.projections.stories import FOLD_VERSION
from services.projections.stories.reckoning import Reckoning, reckoning
from services.projections.views.registry import TALLIES, VIEWS
from shared.profile import Profile
from shared.town import Towns
from tests.build import a_town, profile
from tests.projections.model import MIXED, MIXED_RECIPE

HERE: Final = Towns({MIXED.id: MIXED})
BUILD: Final = Build.of(HERE, MIXED_RECIPE)
GENERATION: Final = BUILD.new_generation()


def with_profiles(*profiles: Profile) -> Build:
    town = replace(a_town(profiles[0]), profiles=profiles)
    return Build.of(Towns({town.id: town}), MIXED_RECIPE)


ONE: Final = profile()
TWO: Final = profile(n=2, effective="2026-04-01T00:00:00Z", fast_within_hours=24)


def test_a_build_writes_to_what_it_began_and_to_nothing_older_or_newer() -> None:
    assert BUILD.misfit(GENERATION) is None
    older = replace(BUILD, folds=FOLD_VERSION - 1)
    said = f"was written by folds {FOLD_VERSION}, these are {FOLD_VERSION - 1}"
    assert older.misfit(GENERATION) == said
    assert BUILD.misfit(older.new_generation()) is not None
    assert BUILD.misfit({"_id": "g1", "folds": FOLD_VERSION}) is not None  # before there was more


def test_a_profile_that_only_one_knows_changes_nothing() -> None:
    assert with_profiles(ONE, TWO).misfit(with_profiles(ONE).new_generation()) is None
    assert with_profiles(ONE).misfit(with_profiles(ONE, TWO).new_generation()) is None


def test_a_profile_that_both_read_otherwise_keeps_them_apart() -> None:
    """The same version: what a later build reads of it is a default that it brought along."""
    other = {**reckoning(ONE), "fast_within_hours": 72}
    build = with_profiles(ONE)
    name = f"{ONE.town}@{ONE.version}"
    assert replace(build, profiles={name: other}).misfit(build.new_generation()) == (
        f"was folded with another reading of profile {name}"
    )


def test_all_that_folds_may_read_of_a_profile_is_remembered() -> None:
    may = {name for name, each in vars(Reckoning).items() if isinstance(each, property)}
    assert may - {"zone"} == reckoning(ONE).keys()  # the zone is that of the time zone


def test_who_lacks_a_view_of_it_does_not_write_and_who_has_one_more_fills_it() -> None:
    fewer = replace(BUILD, recipe=Recipe(VIEWS, (), MIXED_RECIPE.profile))
    assert fewer.misfit(GENERATION) == "has place, which this build does not write"
    assert BUILD.misfit(fewer.new_generation()) is None
    assert BUILD.lacking(fewer.new_generation()) == ["place"]
    assert BUILD.lacking(GENERATION) == []


def test_who_folds_what_was_passed_over_does_not_write() -> None:
    assert BUILD.misfit(GENERATION, ["of-a-later-build.v1"]) is None
    missed = min(TYPES)
    assert BUILD.misfit(GENERATION, [missed]) == f"passed over {missed}, which this build folds"


@pytest.mark.parametrize(
    ("other", "outdone"),
    [
        (replace(BUILD, folds=FOLD_VERSION + 1), True),
        (replace(BUILD, folds=FOLD_VERSION - 1), False),
        (replace(BUILD, recipe=Recipe(VIEWS, (), MIXED_RECIPE.profile)), False),
        (BUILD, False),
    ],
)
def test_a_build_is_outdone_by_later_folds_and_by_more_views(other: Build, outdone: bool) -> None:
    assert BUILD.outdone_by(other.new_generation()) is outdone
    fewer = replace(BUILD, recipe=Recipe(VIEWS, (), MIXED_RECIPE.profile))
    assert fewer.outdone_by(GENERATION)


PROJECTIONS: Final = Path(__file__).parents[2] / "services" / "projections"
KNOWS_VIEWS: Final = {"readmodel.py", "generations.py"}
"""Who writes or makes all collections alike."""


def bare_reads(source: str) -> Iterator[str]:
    """Subscripts of a database by the name of a view, or by something that is not a literal."""
    views = {view.name for view in VIEWS} | {tally.name for tally in TALLIES}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("database"):
            name: Any = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if name is None or name in views:
                yield ast.unparse(node)


def test_whoever_reads_a_view_asks_whether_it_is_complete() -> None:
    """By `ReadModel.view`: one that is being filled must not be taken for what there is."""
    assert list(bare_reads('model.database["case_list"].find()')) == ["model.database['case_list']"]
    found = [
        f"{file.name}: {read}"
        for file in sorted(PROJECTIONS.rglob("*.py"))
        if file.name not in KNOWS_VIEWS
        for read in bare_reads(file.read_text(encoding="utf-8"))
    ]
    assert found == []
