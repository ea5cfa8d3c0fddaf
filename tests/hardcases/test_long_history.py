"""Hard case: a long history is read again from its beginning by each reaction.

`make test` takes a part of it; `WISHGRID_HISTORY=200000` (facts) the whole.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from services.dispatch import policies as of_dispatch
from services.dispatch.case import CASE
from services.intake import policies as of_intake
from services.intake.wish import WISH
from shared.handling import Handler
from shared.kafka import Record, broker, consume
from shared.mongo import Database
from shared.mongo_store import MongoStore
from shared.reactions import Reactions
from shared.serving import House
from shared.town import Towns
from tests.build import HandClock, KeyRing
from tests.conftest import new_topic
from tests.hardcases.history import History, patterns
from tests.shared.test_replay import PLACE

FACTS: Final = int(os.environ.get("WISHGRID_HISTORY", "20000"))
PATIENCE_SECONDS: Final = 120 + FACTS / 100


class Replay:
    """The reactions of one service, fed with a topic by a new group."""

    def __init__(self, home: Database, store: MongoStore, service: str) -> None:
        keys, clock, towns = KeyRing(), HandClock(), Towns({PLACE.id: PLACE})
        self.group = f"again.{service}"
        self.loaded = 0
        load = store.load

        async def counting(stream: Any) -> Any:
            self.loaded += 1
            return await load(stream)

        store.load = counting  # type: ignore[method-assign]  # reads are what makes it slow
        if service == "dispatch":
            handler: Handler[Any, Any, Any] = Handler(CASE, store, clock, keys)
            self.reactions: Reactions[Any, Any] = Reactions(
                home,
                handler,
                of_dispatch.react,
                towns,
                listens_to="wish",
                complete=of_dispatch.complete,
            )
        else:
            handler = Handler(WISH, store, clock, keys)
            self.reactions = Reactions(home, handler, of_intake.react, towns, listens_to="case")

    async def of(self, house: House, topic: str, records: int) -> None:
        """Return when so many records were handled."""
        kafka, handled, done = broker(house.kafka, "replay"), 0, asyncio.Event()

        async def handle(batch: Sequence[Record]) -> None:
            nonlocal handled
            await self.reactions.on_batch(batch)
            handled += len(batch)
            if handled >= records:
                done.set()

        group = f"{topic}.{self.group}"
        consume(kafka, topic, group=group, instance="1", session_seconds=30.0, handle=handle)
        await kafka.start()
        try:
            await asyncio.wait_for(done.wait(), PATIENCE_SECONDS)
        finally:
            await kafka.stop()


@pytest.mark.stack
@pytest.mark.parametrize("service", ["dispatch", "intake"])
async def test_a_long_history_replayed_into_a_reaction_appends_nothing(
    house: House, producer: AIOKafkaProducer, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = house.database(service)
    store = MongoStore(home)
    await store.prepare()
    history = History(await patterns(), FACTS)
    stored = await history.store(home, service)
    topic = await new_topic(house.kafka)
    await history.publish(producer, topic)
    replay = Replay(home, store, service)
    await replay.reactions.prepare(home)
    begun, spent = time.monotonic(), time.process_time()
    await replay.of(house, topic, history.facts)
    with capsys.disabled():
        print(
            f"\n{service}: {history.facts:,} facts again in {time.monotonic() - begun:.1f} s "
            f"({time.process_time() - spent:.1f} s of CPU), {replay.loaded} streams loaded"
        )
    assert await store.commits.count_documents({}) == stored
    for nothing in ("issues", "parked"):
        assert await home[nothing].find_one() is None
    assert replay.loaded < history.facts / 100  # what was decided is asked for, not loaded
    await store.close()


async def test_every_story_of_it_brings_what_both_services_react_to() -> None:
    """Else the replay would show nothing."""
    told = await patterns()
    decided = [commit.reaction[1] for story in told for commit in story if commit.reaction]
    assert {"note-case-stand", "open-case", "take-rating", "take-report"} <= set(decided)
