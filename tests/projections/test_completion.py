"""When what was built may be read, on a real roll: over what, and in which states."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from deploy import rebuild
from services.projections.build import Build
from services.projections.completion import LOOKS, Completion
from services.projections.folding import Recipe
from services.projections.roll import BUILDING, READING, Roll
from services.projections.stories import FOLD_VERSION
from services.projections.views.registry import VIEWS
from shared.mongo import Database, Document
from tests.projections.model import MIXED_RECIPE

pytestmark = pytest.mark.stack

BUILD: Final = Build(MIXED_RECIPE, {})
LATER: Final = replace(BUILD, folds=FOLD_VERSION + 1)
FEWER: Final = replace(BUILD, recipe=Recipe(VIEWS, (), MIXED_RECIPE.profile))
"""An older build, which has no tally yet."""


@dataclass
class Built:
    """A generation and its projector, as far as completion looks at them."""

    name: str
    build: Build
    database: Database
    joined: bool = True
    fault: str | None = None
    lacks: str | None = None
    behind: dict[int, int] = field(default_factory=lambda: {0: 0})

    async def lag(self) -> dict[int, int]:
        return self.behind

    async def make_indexes(self) -> None:
        return None


async def on_the_roll(home: Database, *builds: tuple[str, Build, str], read: str) -> Roll:
    """A roll of these generations, of which one is read."""
    roll = Roll(home)
    for name, build, state in builds:
        await roll.begin(build, (), name)
        await home["generations"].update_one({"_id": name}, {"$set": {"state": state}})
    await home["alias"].insert_one({"_id": "reading", "generation": read})
    return roll


async def looked_at(
    roll: Roll, built: Any, before: str, completion: Completion | None = None
) -> str | None:
    """What is read after as many looks as it takes."""
    completion = completion or Completion(roll)
    for _ in range(LOOKS + 1):  # the first one makes indexes
        await completion.read(built, built, before)
    return await roll.reading()


@pytest.mark.parametrize(("older", "newer"), [(BUILD, LATER), (FEWER, BUILD), (BUILD, BUILD)])
async def test_what_an_older_build_still_builds_is_not_read_over_a_newer_one(
    home: Database, older: Build, newer: Build
) -> None:
    """g2 is complete only after g3 is read; also of one build, the later one has the last word."""
    roll = await on_the_roll(home, ("g2", older, BUILDING), ("g3", newer, READING), read="g3")
    assert await looked_at(roll, Built("g2", older, home), "g3") == "g3"
    assert [g["state"] for g in await roll.all()] == [BUILDING, READING]


async def test_what_an_older_build_begins_late_is_not_read_over_a_newer_one(
    home: Database,
) -> None:
    roll = await on_the_roll(home, ("g2", LATER, READING), ("g3", BUILD, BUILDING), read="g2")
    assert await looked_at(roll, Built("g3", BUILD, home), "g2") == "g2"
    assert await looked_at(roll, Built("g3", LATER, home), "g2") == "g3"


@pytest.mark.parametrize("why", ["fault", "lacks"])
async def test_what_stands_still_is_not_read_and_begins_its_looks_anew(
    home: Database, why: str
) -> None:
    roll = await on_the_roll(home, ("g1", BUILD, READING), ("g2", BUILD, BUILDING), read="g1")
    built: Any = Built("g2", BUILD, home)
    completion = Completion(roll)
    for _ in range(LOOKS):
        await completion.read(built, built, "g1")
    setattr(built, why, "profile t3@9")
    assert await looked_at(roll, built, "g1", completion) == "g1"
    setattr(built, why, None)
    await completion.read(built, built, "g1")
    assert await roll.reading() == "g1"
    assert await looked_at(roll, built, "g1", completion) == "g2"


async def test_a_generation_is_not_read_while_a_view_of_it_is_being_filled(
    home: Database,
) -> None:
    roll = await on_the_roll(home, ("g1", FEWER, READING), ("g2", FEWER, BUILDING), read="g1")
    await roll.fill("g2", ["place"])
    built = Built("g2", BUILD, home)
    assert await looked_at(roll, built, "g1") == "g1"
    document: Document = await roll.one("g2") or {}
    await roll.filled(document)
    assert await looked_at(roll, built, "g1") == "g2"


async def test_a_rebuild_is_refused_where_nothing_of_this_build_would_be_read(
    home: Database,
) -> None:
    roll = await on_the_roll(
        home, ("g1", BUILD, BUILDING), ("g2", BUILD, READING), ("g3", BUILD, BUILDING), read="g2"
    )
    known = await roll.all()
    assert rebuild._at_work(BUILD, known[:2], "g2") is None  # g1 would never be read
    assert rebuild._at_work(BUILD, known, "g2") == "g3"
    assert rebuild._at_work(LATER, known, "g2") is None
    with pytest.raises(rebuild.NotNow, match="g2 was written by a later build than this one"):
        rebuild._at_work(FEWER, known, "g2")
