"""Positions, and waiting for one: in time, too late, or never because the story is parked."""

import asyncio

import pytest

from shared.contracts.base import StoryId
from shared.errors import NotYet, Refused
from shared.waiting import Position, parse_position, wait_for
from tests.build import STORY, WISH_STREAM

HERE = Position(WISH_STREAM, 3)


class Slowly:
    """A story whose facts arrive one with every look."""

    def __init__(self, *, parked: bool = False, stops_at: int = 99) -> None:
        self.version = 0
        self._parked = parked
        self._stops_at = stops_at

    async def arrived(self, position: Position) -> bool:
        self.version = min(self.version + 1, self._stops_at)
        return self.version >= position.version

    async def parked(self, story: StoryId) -> bool:
        return self._parked


def test_a_position_is_read_as_it_is_written() -> None:
    position = parse_position(str(HERE))
    assert position == HERE
    assert (position.kind, position.story) == ("wish", STORY)


@pytest.mark.parametrize(
    "text",
    ["", "wish", f"{WISH_STREAM}", f"{WISH_STREAM}@0", f"{WISH_STREAM}@x", f"wish-1@{1}", "@1"],
)
def test_what_is_no_position_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_position(text)
    assert (refusal.value.code, refusal.value.field) == ("bad-position", "at_least")


async def test_it_returns_as_soon_as_the_position_has_arrived() -> None:
    arrivals = Slowly()
    await asyncio.wait_for(wait_for(arrivals, HERE, seconds=60), timeout=30)
    assert arrivals.version == 3


async def test_what_does_not_arrive_in_time_is_not_yet() -> None:
    with pytest.raises(NotYet) as late:
        await wait_for(Slowly(stops_at=2), HERE, seconds=0.1)
    assert (late.value.position, late.value.parked) == (str(HERE), False)


async def test_a_parked_story_is_told_at_once_and_not_waited_for() -> None:
    with pytest.raises(NotYet) as standing:
        await asyncio.wait_for(wait_for(Slowly(parked=True), HERE, seconds=600), timeout=30)
    assert standing.value.parked


async def test_a_parked_story_is_no_hindrance_to_what_has_arrived() -> None:
    arrivals = Slowly(parked=True)
    await wait_for(arrivals, Position(WISH_STREAM, 1), seconds=0.1)
