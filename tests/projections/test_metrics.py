"""Lag is what the read model lacks, whatever Kafka was told and whoever has the partition."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from services.projections.generations import Generation
from services.projections.listeners import Listeners
from services.projections.metrics import projections_metrics
from services.projections.projector import Projector
from services.projections.readmodel import ReadModel
from shared.serving import House
from tests.conftest import TOWNS, cancelled, new_story, new_topic, send, until, whole_story

pytestmark = pytest.mark.stack


def projector_of(house: House, generation: Generation, topic: str, instance: str) -> Projector:
    return Projector(
        generation,
        ReadModel(house.mongo, generation.database),
        topic,
        TOWNS,
        kafka=house.kafka,
        instance=instance,
        session_seconds=6.0,
    )


@asynccontextmanager
async def running(projector: Projector) -> AsyncIterator[Projector]:
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        await cancelled(task)


async def lag(generation: Generation, projector: Projector) -> dict[str, float] | None:
    """By partition, as scraped; None when it says that it cannot be read."""
    text = (await projections_metrics(generation.database, projector, Listeners()).text()).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    behind = {
        sample.labels["partition"]: sample.value
        for sample in samples
        if sample.name == "wishgrid_projector_lag_records"
    }
    readable = {s.labels["reading"]: s.value for s in samples if s.name == "wishgrid_readable"}
    assert bool(behind) == bool(readable["lag"])
    return behind or None


async def test_lag_rises_while_a_projector_stands_still_and_falls_when_it_moves_on(
    house: House, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(house.kafka, 2)
    generation = Generation(house, "g1")
    await generation.prepare()
    one, other = (projector_of(house, generation, topic, name) for name in ("1", "2"))
    assert await lag(generation, one) is None  # it has not reached Kafka

    async def nothing_waits() -> bool:
        return await lag(generation, one) == {"0": 0, "1": 0}

    async with running(one), running(other):
        await until(lambda: one.joined and other.joined, "both have joined")
        await until(nothing_waits, "both partitions are told, and empty")
        async with one._gate, other._gate:  # as in a long transaction
            for _ in range(10):
                wish, case = whole_story(new_story())
                await send(producer, topic, [*wish, *case])
            for each in (one, other):  # whoever has the partitions, both tell the same
                assert sum((await lag(generation, each) or {}).values()) == 110
        await until(nothing_waits, "all is in the read model")
        assert await lag(generation, other) == {"0": 0, "1": 0}
