"""What a request reads while the alias moves."""

import asyncio
from typing import Any

import pytest

from services.projections.reading import OneGeneration, Reading
from services.projections.readmodel import ReadModel
from shared.errors import NotReady
from shared.mongo import Client


@pytest.mark.stack
async def test_a_request_reads_on_what_it_began_with_and_the_next_one_the_new_one(
    mongo: Client,
) -> None:
    old, new = (ReadModel(mongo, mongo.get_database(name)) for name in ("old", "new"))
    reading = Reading()
    with pytest.raises(NotReady):
        _ = reading.model
    nothing: Any = None
    begun, flipped = asyncio.Event(), asyncio.Event()
    seen: list[ReadModel] = []

    async def answer(*_: Any) -> None:
        seen.append(reading.model)
        begun.set()
        await flipped.wait()
        seen.append(reading.model)

    app = OneGeneration(answer, reading)
    reading.switch(old)
    request = asyncio.create_task(app({}, nothing, nothing))
    await begun.wait()
    reading.switch(new)
    flipped.set()
    await request
    await asyncio.create_task(app({}, nothing, nothing))
    assert seen == [old, old, new, new]
    assert reading.model is new


@pytest.mark.stack
async def test_what_lasts_longer_than_any_request_follows_the_alias(
    mongo: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (ReadModel(mongo, mongo.get_database(name)) for name in ("old", "new"))
    monkeypatch.setattr("services.projections.reading.KEPT_SECONDS", 0.0)
    reading = Reading(old)

    async def live() -> ReadModel:
        reading.keep()
        reading.switch(new)
        return reading.model

    assert await asyncio.create_task(live()) is new
