"""Hard case: the topic of facts is deleted and made again while services read it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.topics import Topic, ensure_topics
from services.projections.build import Build
from services.projections.completion import LOOKS, Completion
from shared.contracts.recorded import stream_id
from shared.kafka import Record
from shared.kafka_access import KafkaAccess
from shared.serving import House
from tests.conftest import TOWNS, new_story, send, until, whole_story
from tests.projections.generations import SECONDS, place_of
from tests.shared.desk import Desk, wishes

pytestmark = pytest.mark.stack


async def make_again(kafka: KafkaAccess, topic: str, partitions: int) -> None:
    """Delete the topic and make it, empty."""
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(gone, "the topic is deleted", SECONDS)
    finally:
        await admin.close()
    await ensure_topics(kafka, topics=[Topic(topic, partitions)])


async def test_reactions_that_hold_a_batch_while_their_topic_is_made_again_miss_nothing(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    """What they commit afterwards is a number of the old topic: in the new one, facts that nobody
    has reacted to lie before it."""
    before, held, after = wishes(60), wishes(12), wishes(240)
    reactions, armed = desk.reactions(), asyncio.Event()
    holding, go_on = asyncio.Event(), asyncio.Event()

    async def handle(batch: Sequence[Record]) -> None:
        if armed.is_set():
            holding.set()
            await go_on.wait()
        await reactions.on_batch(batch)

    async def opened(count: int) -> None:
        async def so_many() -> bool:
            return await desk.commits() == count

        await until(so_many, f"{count} cases are open", 2 * SECONDS)

    await send(producer, desk.topic, before)
    async with desk.consuming(handle):
        await opened(60)
        armed.set()
        await send(producer, desk.topic, held)
        await until(holding.is_set, "a batch is in its hands", SECONDS)
        await make_again(desk.kafka, desk.topic, 6)
        await send(producer, desk.topic, [*after, *held, *before])  # from the stores, and new ones
        go_on.set()
        await opened(60 + 12 + 240)
    for recorded in (*before, *held, *after):
        assert (await desk.store.load(stream_id("case", recorded.story))).version == 1
    assert await desk.home["parked"].find_one() is None
    assert await desk.home["issues"].find_one() is None


async def test_read_models_stand_still_until_the_stores_were_republished_and_they_are_rebuilt(
    house: House, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild from a topic that lacks facts would show an empty town: it is not read."""
    monkeypatch.setattr("services.projections.upkeep.LOOK_SECONDS", 0.05)
    place = await place_of(house, producer)
    told = await place.told(20)
    async with place.running() as ours:
        await place.has("g1", told)
        before = await place.documents("g1")
        await make_again(house.kafka, place.topic, 4)
        new = [r for part in whole_story(new_story()) for r in part]
        await send(producer, place.topic, new)  # the relay goes on
        g1 = ours.projectors["g1"]
        await until(lambda: g1.fault is not None, "it stops", SECONDS)
        assert place.topic in str(g1.fault)
        assert not ours.projecting  # and the process is not ready
        assert await place.documents("g1") == before

        looked, refused = Completion._lacks_facts, 0

        async def counting(self: Completion, *which: Any) -> bool:
            nonlocal refused
            lacks = await looked(self, *which)
            refused += lacks
            return lacks

        monkeypatch.setattr(Completion, "_lacks_facts", counting)
        await place.roll.begin(Build.of(TOWNS), await place.roll.all())
        await place.has("g2", new)
        await until(lambda: refused >= LOOKS, "it was nearly read, again and again", SECONDS)
        assert await place.roll.reading() == "g1"

        cases_first = sorted(told, key=lambda r: (r.stream.startswith("wish"), r.stream, r.version))
        await send(producer, place.topic, cases_first)  # `wishgrid republish --all`
        await place.has("g2", [*told, *new])
        await place.read("g2")
        assert await place.documents("g2") == await place.clean(Build.of(TOWNS))
        assert len((await place.documents("g2"))["stories"]) == 21
