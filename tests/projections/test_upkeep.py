"""What a process begins, on a real roll: after which generations, and when others are faster."""

from dataclasses import replace
from typing import Any, Final

import pytest
from pymongo.errors import DuplicateKeyError

from services.projections.build import Build
from services.projections.roll import DROPPED, READING, Roll
from services.projections.upkeep import Upkeep
from shared.mongo import Document
from shared.serving import House
from tests.conftest import TOWNS

pytestmark = pytest.mark.stack

BUILD: Final = Build.of(TOWNS)


def generation(name: str, state: str, build: Build = BUILD) -> Document:
    return {"_id": name, "state": state, **build.new_generation()}


async def test_what_was_dropped_long_ago_keeps_nobody_from_beginning(house: House) -> None:
    """The one that is read passed over facts that this build folds: it needs a new one."""
    upkeep = Upkeep(house, "nowhere", BUILD)
    known = [generation("g1", DROPPED), generation("g2", READING)]
    assert upkeep._may_begin(known, starting=False)
    just_dropped = [*known, generation("g3", DROPPED)]
    assert not upkeep._may_begin(just_dropped, starting=False)
    assert upkeep._may_begin(just_dropped, starting=True)


async def test_of_two_builds_that_begin_at_once_the_slower_one_looks_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = replace(BUILD, folds=BUILD.folds + 1)
    roll = Roll(house.database("views"))

    async def too_late(self: Roll, build: Build, after: Any, name: str | None = None) -> str:
        await begin(self, later, after, name)
        raise DuplicateKeyError("g1")

    begin = Roll.begin
    with monkeypatch.context() as race:
        race.setattr(Roll, "begin", too_late)
        slower = Upkeep(house, "nowhere", BUILD, instance="1")
        await slower.prepare()
    assert (slower.read, await slower._ours()) == (None, [])  # the other one is a later build
    await Upkeep(house, "nowhere", later, instance="2").prepare()
    await slower.prepare()
    assert (slower.read, slower.standing) == ("g1", None)
    assert [g["state"] for g in await roll.all()] == [READING]
