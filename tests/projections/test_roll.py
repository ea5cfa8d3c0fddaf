"""The roll on a real mongod: what is read, and what may be dropped, says the alias."""

from typing import Final

import pytest

from services.projections.build import Build
from services.projections.roll import BUILDING, DROPPED, KEPT, READING, Roll
from shared.mongo import Database
from tests.projections.model import MIXED_RECIPE

pytestmark = pytest.mark.stack

BUILD: Final = Build(MIXED_RECIPE, {})


async def states(roll: Roll) -> dict[str, str]:
    return {each["_id"]: each["state"] for each in await roll.all()}


async def test_who_died_between_the_alias_and_the_state_is_put_right_by_the_next(
    home: Database,
) -> None:
    roll = Roll(home)
    await roll.begin(BUILD, ())
    await home["alias"].insert_one({"_id": "reading", "generation": "g1"})
    await roll.read_first("g1")
    assert await states(roll) == {"g1": READING}
    await roll.begin(BUILD, await roll.all())
    await roll.read_first("g2")
    assert (await roll.reading(), await states(roll)) == ("g1", {"g1": READING, "g2": BUILDING})


async def test_a_generation_that_is_read_is_not_flipped_to_itself(home: Database) -> None:
    roll = Roll(home)
    await roll.read_first(await roll.begin(BUILD, ()))
    assert not await roll.flip("g1", "g1")
    assert await states(roll) == {"g1": READING}


async def test_what_the_alias_names_is_not_dropped_whatever_its_state(home: Database) -> None:
    roll = Roll(home)
    await roll.read_first(await roll.begin(BUILD, ()))
    for state in (BUILDING, KEPT, READING):
        await home["generations"].update_one({"_id": "g1"}, {"$set": {"state": state}})
        assert not await roll.drop("g1")
    await roll.begin(BUILD, await roll.all())
    assert await roll.flip("g1", "g2")
    await home["generations"].update_one({"_id": "g1"}, {"$set": {"state": READING}})
    assert await roll.drop("g1")
    assert not await roll.drop("g1")
    assert await states(roll) == {"g1": DROPPED, "g2": READING}
