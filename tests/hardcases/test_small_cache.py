"""Hard case: a projector catches up on a mongod that has 256 MB of memory for its data.

What a projector changes in one transaction fits in there. To see what happens where it does not,
one is let change the whole backlog at once, which the engine gives up: it takes half as much until
it fits, then more.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.mongod import SMALL_CACHE, start_mongod
from services.projections import projector as module
from services.projections.projector import Projector
from services.projections.readmodel import ReadModel
from shared.contracts.intake import WishSubmitted
from shared.mongo import Client, connect
from shared.serving import House
from tests.bench.facts import history
from tests.conftest import TOWNS, new_topic, send
from tests.projections.generations import counted
from tests.projections.test_projector import Model

pytestmark = pytest.mark.stack

FACTS: Final = 20_000
TOO_MUCH: Final = 32 * 1024 * 1024
SESSION_SECONDS: Final = 30.0
SECONDS: Final = 180.0


@dataclass(frozen=True)
class Try:
    """One transaction of a projector."""

    room: int
    facts: int
    wrong: str | None


class Watched(Projector):
    """A projector that remembers what it tried, and begins once it has so many records at hand."""

    def __init__(self, model: Model, at_hand: int) -> None:
        super().__init__(
            model.generation,
            ReadModel(model.house.mongo, model.generation.database),
            model.topic,
            TOWNS,
            kafka=model.house.kafka,
            instance="1",
            session_seconds=SESSION_SECONDS,
        )
        self.tries: list[Try] = []
        self._at_hand = at_hand

    async def _poll(self, consumer: Any) -> None:
        if not self._ahead:
            self._reading.forget()
            while len(self._ahead) < self._at_hand:
                fetched = await consumer.getmany(timeout_ms=100)
                self._ahead += chain.from_iterable(fetched.values())
            if not self.tries:  # what Kafka could not give at once before made it smaller
                self._room = module.MOST_BYTES
        await super()._poll(consumer)

    async def _write(self, changes: Any, *more: Any) -> None:
        wrong: str | None = "cancelled"
        try:
            await super()._write(changes, *more)
            wrong, self._at_hand = None, 0
        except Exception as failed:
            wrong = str(failed)
            raise
        finally:
            self.tries.append(Try(self._room, len(changes.timeline), wrong))


@contextmanager
def small_mongod(folder: Path) -> Iterator[Client]:
    """A client of a mongod of its own with as little memory as it takes."""
    server = start_mongod(folder, SMALL_CACHE)
    client = connect(server.address)
    try:
        yield client
    finally:
        client.close()
        server.kill()


async def caught_up(
    house: House, name: str, topic: str, at_hand: int = 0
) -> tuple[Model, list[Try]]:
    """A new read model of the topic, and how it came to be."""
    model = Model(house, name, topic)
    await model.generation.prepare()
    projector = Watched(model, at_hand)
    async with model.running(projector):
        await model.caught_up(SECONDS)
    return model, projector.tries


def sizes(tries: list[Try]) -> str:
    """What was tried, in one line."""
    return ", ".join(f"{each.facts:,}{' (given up)' * bool(each.wrong)}" for each in tries)


async def test_a_long_backlog_is_taken_in_pieces_that_a_small_cache_can_hold(
    house: House,
    producer: AIOKafkaProducer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts, topic = list(history(FACTS)), await new_topic(house.kafka)
    await send(producer, topic, facts)
    clean = await (await caught_up(house, "g1", topic))[0].documents()
    assert {entry["_id"] for entry in clean["timeline"]} == {recorded.id for recorded in facts}
    assert counted(clean) == sum(isinstance(recorded.fact, WishSubmitted) for recorded in facts)

    with small_mongod(tmp_path) as mongo:
        said = await mongo.admin.command("serverStatus")
        assert said["wiredTiger"]["cache"]["maximum bytes configured"] == 256 * 1024 * 1024
        small = replace(house, mongo=mongo)
        usual, usual_tries = await caught_up(small, "g1", topic)
        assert await usual.documents() == clean
        monkeypatch.setattr(module, "MOST_BYTES", TOO_MUCH)
        greedy, tries = await caught_up(small, "g2", topic, FACTS)
        assert await greedy.documents() == clean

    logged = capsys.readouterr().out
    assert "poll starts over" in logged
    assert "'box'" not in logged  # ids only, though the server names what it did not take
    with capsys.disabled():
        print(f"\nfacts per transaction: {sizes(usual_tries)}; all at once: {sizes(tries)}")
    first, *others = tries
    assert (first.room, first.facts) == (TOO_MUCH, FACTS)
    assert re.search("cache|WriteConflict", first.wrong or "")  # so the engine says it
    last = max(n for n, each in enumerate(tries) if each.wrong)
    fits, *later = tries[last + 1 :]
    assert fits.room <= tries[last].room // 2
    assert fits.facts < first.facts
    assert later[0].room == 2 * fits.room  # and it grows again
    assert sum(each.facts for each in others if each.wrong is None) == FACTS
