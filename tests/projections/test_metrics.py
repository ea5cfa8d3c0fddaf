"""Lag is what a generation lacks, whatever Kafka was told and whoever has the partition."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from services.projections.listeners import Listeners
from services.projections.metrics import projections_metrics
from services.projections.upkeep import Upkeep
from shared.serving import House
from tests.conftest import cancelled, new_story, new_topic, send, until, whole_story

pytestmark = pytest.mark.stack


@asynccontextmanager
async def running(upkeep: Upkeep) -> AsyncIterator[Upkeep]:
    await upkeep.prepare()
    task = asyncio.create_task(upkeep.run())
    try:
        yield upkeep
    finally:
        await cancelled(task)


async def lag(upkeep: Upkeep) -> dict[str, float] | None:
    """Of the first generation by partition, as scraped; None when it says it cannot be read."""
    text = (await projections_metrics(upkeep, Listeners()).text()).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    behind = {
        sample.labels["partition"]: sample.value
        for sample in samples
        if sample.name == "wishgrid_projector_lag_records" and sample.labels["generation"] == "g1"
    }
    readable = {s.labels["reading"]: s.value for s in samples if s.name == "wishgrid_readable"}
    assert bool(behind) == bool(readable["lag"])
    states = [s.labels for s in samples if s.name == "wishgrid_generation"]
    assert states == [{"generation": "g1", "state": "reading"}]
    return behind or None


async def test_lag_rises_while_a_projector_stands_still_and_falls_when_it_moves_on(
    house: House, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(house.kafka, 2)
    one, other = (Upkeep(house, topic, instance=name) for name in ("1", "2"))

    async def nothing_waits() -> bool:
        return await lag(one) == {"0": 0, "1": 0}

    async with running(one), running(other):
        await until(lambda: bool(one.projectors and other.projectors), "both are at work")
        ours, theirs = one.projectors["g1"], other.projectors["g1"]
        await until(lambda: ours.joined and theirs.joined, "both have joined")
        await until(nothing_waits, "both partitions are told, and empty")
        async with ours._gate, theirs._gate:  # as in a long transaction
            for _ in range(10):
                wish, case = whole_story(new_story())
                await send(producer, topic, [*wish, *case])
            for each in (one, other):  # whoever has the partitions, both tell the same
                assert sum((await lag(each) or {}).values()) == 110
        await until(nothing_waits, "all is in the read model")
        assert await lag(other) == {"0": 0, "1": 0}
