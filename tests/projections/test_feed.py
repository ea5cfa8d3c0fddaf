"""The feed behind the streams: another generation, a lost place, MongoDB away for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from pymongo.errors import AutoReconnect, OperationFailure

from services.projections.folding import fold_poll
from services.projections.listeners import Listener, Mark, Place
from services.projections.live import Live
from services.projections.readmodel import ReadModel
from services.projections.views.registry import recipe
from shared.contracts.recorded import Recorded
from shared.errors import NotReady
from shared.keystore import KeyReader
from shared.mongo import ChangeFeed, Client, Database, Document, Session, database
from tests.build import INSTALLATION
from tests.conftest import TOWNS, cancelled, new_story, until, whole_story

pytestmark = pytest.mark.stack

WEST = frozenset({("t3", "area", "t3/west")})


@dataclass
class House:
    """A process that follows `reading`, and what it folds into it."""

    mongo: Client
    reading: tuple[str, Database]
    live: Live

    async def write(self, *facts: Recorded) -> None:
        """Fold facts in one transaction, as the projector does."""
        changes = fold_poll({0: facts}, {}, {}, recipe(TOWNS))
        model, partition = ReadModel(self.mongo, self.reading[1]), TopicPartition("facts", 0)
        stands = await model.offset(partition)
        move = stands._replace(following=stands.expected + len(facts))
        assert await model.write(changes, {partition: move}, (), anybody)


async def anybody(_: Session) -> None:
    """Whoever writes here may."""


@asynccontextmanager
async def following(mongo: Client, home: Database) -> AsyncIterator[House]:
    keys = KeyReader(home, INSTALLATION)
    house = House(mongo, ("g1", home), None)  # type: ignore[arg-type]  # it is made for it
    house.live = Live(lambda: house.reading, keys, heartbeat_seconds=15)
    task = asyncio.create_task(house.live.run())
    await until(lambda: house.live.listeners.here is not None, "the feed is open")
    try:
        yield house
    finally:
        await cancelled(task)


def wish() -> Recorded:
    return whole_story(new_story())[0][0]


async def heard(listener: Listener, *facts: Recorded, perhaps: Recorded | None = None) -> None:
    """Return when they were told of these, and of nothing else, but perhaps of one."""
    expected = {fact.story for fact in facts}
    found: set[str] = set()

    def so() -> bool:
        found.update(change.story for change in listener.take(10**6))
        return found >= expected

    await until(so, "the changes are told")
    assert found - expected <= ({perhaps.story} if perhaps else set())
    assert listener.reset is None


async def test_when_another_generation_is_read_everybody_reads_again_and_hears_of_it_alone(
    mongo: Client, home: Database
) -> None:
    other = database(mongo, f"{home.name}_g2")
    try:
        async with following(mongo, home) as house:
            with house.live.listeners.listening(WEST) as west:
                await house.write(first := wish())
                await heard(west, first)
                house.reading = ("g2", other)
                await until(lambda: west.reset == "new-beginning", "all is to be read again")
                assert str(house.live.listeners.here).startswith("g2.")
                west.reset = None
                await house.write(second := wish())
                await heard(west, second)
    finally:
        await mongo.drop_database(other.name)


async def test_a_process_whose_first_generation_another_one_makes_waits_for_it(
    mongo: Client, home: Database
) -> None:
    asked = 0

    def reading() -> tuple[str, Database]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise NotReady("there is no read model yet")
        return "g1", home

    live = Live(reading, KeyReader(home, INSTALLATION), heartbeat_seconds=15)
    task = asyncio.create_task(live.run())
    await until(lambda: task.done() or live.listeners.here is not None, "it goes on")
    assert not task.done()
    await cancelled(task)


@pytest.mark.parametrize("code", [286, 280])
async def test_a_feed_that_lost_its_place_makes_everybody_read_all_again(
    mongo: Client, home: Database, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    really, taken = ChangeFeed.changes, ChangeFeed.open

    async def torn(feed: ChangeFeed) -> list[Document]:
        monkeypatch.setattr(ChangeFeed, "changes", really)
        raise AutoReconnect("torn")

    async def lost(feed: ChangeFeed, after: Document | None) -> None:
        monkeypatch.setattr(ChangeFeed, "open", taken)
        raise OperationFailure("lost", code)

    async with following(mongo, home) as house:
        with house.live.listeners.listening(WEST) as west:
            await house.write(first := wish())
            await heard(west, first)
            monkeypatch.setattr(ChangeFeed, "open", lost)
            monkeypatch.setattr(ChangeFeed, "changes", torn)
            await until(lambda: west.reset == "new-beginning", "all is to be read again")
            west.reset = None
            await house.write(second := wish())
            # A feed begins at a time, inclusive: what was committed last may be told once more.
            await heard(west, second, perhaps=first)


async def test_while_mongodb_is_away_nothing_is_missed(
    mongo: Client, home: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what is committed meanwhile, nor a batch of which the stories could not be read."""
    really, away = ChangeFeed.changes, asyncio.Event()

    async def torn(feed: ChangeFeed) -> list[Document]:
        if away.is_set():
            raise AutoReconnect("away")
        return await really(feed)

    async with following(mongo, home) as house:
        with house.live.listeners.listening(WEST) as west:
            failing = house.live._changes

            async def once(*args: Any) -> Any:
                monkeypatch.setattr(house.live, "_changes", failing)
                raise AutoReconnect("in between")

            monkeypatch.setattr(house.live, "_changes", once)
            await house.write(first := wish())
            await heard(west, first)
            monkeypatch.setattr(ChangeFeed, "changes", torn)
            away.set()
            facts = [wish() for _ in range(3)]
            await house.write(*facts)
            away.clear()
            await heard(west, *facts)


async def test_a_process_that_begins_knows_what_came_a_while_before(
    mongo: Client, home: Database
) -> None:
    async with following(mongo, home) as house:
        with house.live.listeners.listening(WEST) as west:
            await house.write(first := wish())
            await heard(west, first)
            mark = str(house.live.listeners.here)
        await house.write(missed := wish())
    async with following(mongo, home) as house:
        with house.live.listeners.listening(WEST, mark) as west:
            await heard(west, missed)


async def test_more_facts_in_one_commit_than_a_batch_holds_are_told_under_the_same_ids(
    mongo: Client, home: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process takes them in one batch, the other in many."""
    facts = [wish() for _ in range(50)]
    places: list[dict[str, Place]] = []
    before = str(Mark("g1", Place(int(time()) - 60, 0)))
    for size in (1000, 7):
        with monkeypatch.context() as patched:
            patched.setattr("services.projections.live.ChangeFeed", partial(ChangeFeed, batch=size))
            async with following(mongo, home) as house:
                with house.live.listeners.listening(WEST, before) as west:
                    if not places:
                        await house.write(*facts)
                    await until(partial(full, west, len(facts)), "all are told")
                    places.append({c.story: c.place for c in west.take(10**7)})
    assert places[0] == places[1]
    assert len({place[:2] for place in places[0].values()}) == 1


def full(listener: Listener, size: int) -> bool:
    return len(listener.waiting) == size
