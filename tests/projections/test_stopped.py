"""A projector whose build is broken stands still and parks nothing; a mended one goes on."""

import pytest
from aiokafka import AIOKafkaProducer

from deploy.doctor import examine
from shared.breaker import MOST
from shared.serving import House
from tests import broken
from tests.broken import BUG, Break
from tests.conftest import new_story, send, until, whole_story
from tests.deploy.test_parked import make_topic
from tests.projections.test_projector import Model


@pytest.mark.stack
@pytest.mark.parametrize("bug", [broken.unread, broken.fold, broken.view, broken.tally])
async def test_where_everything_would_be_parked_nothing_is_and_the_mended_build_goes_on(
    bug: Break, house: House, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in house.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"WISHGRID_{name.upper()}", str(value))
    topic = await make_topic(house)
    stories = [new_story() for _ in range(2 * MOST)]
    await send(producer, topic, [whole_story(story)[0][0] for story in stories])
    with pytest.MonkeyPatch.context() as build:
        bug(build, set(stories))
        sick = Model(house, "g1", topic)
        await sick.generation.prepare()
        async with sick.running() as projector:
            await until(lambda: projector.fault is not None, "it stands still", seconds=120)
            (noted,) = await noted_stops(house)
            assert BUG in str(projector.fault)
            assert noted == projector.fault
    assert len(await sick.all_of("parked")) <= MOST
    (fault,) = [f for f in (await examine()).faults if f.name == "reader-stands-still"]
    assert "(g1 of projections, on 1)" in fault.says
    assert "wishgrid parked replay --all" in fault.mend
    model = Model(house, "g1", topic)
    mended = model.projector()
    await mended.breaker.begin()
    assert mended.breaker.window.wary
    for story in await sick.generation.database["parked"].distinct("story"):
        await model.written.touch(story, (await partition_of(model, story)))
    async with model.running(mended):
        await model.caught_up(120)

        async def drained() -> bool:
            return not await model.all_of("parked")

        await until(drained, "all is folded", seconds=120)
    assert mended.fault is None
    assert await house.database("views")["stops"].count_documents({}) == 0
    assert {each["_id"] for each in await model.all_of("stories")} == set(stories)
    assert all("stuck" not in each for each in await model.all_of("stories"))


async def noted_stops(house: House) -> list[str]:
    """Why readers stand still, once one does."""
    found: list[str] = []

    async def some() -> bool:
        found[:] = [each["why"] async for each in house.database("views")["stops"].find()]
        return bool(found)

    await until(some, "the stop is noted", seconds=60)
    return found


async def partition_of(model: Model, story: str) -> int:
    """Where its facts lie."""
    parked = await model.generation.database["parked"].find_one({"story": story}) or {}
    kept = await model.generation.database["stories"].find_one({"_id": story})
    return int(kept["partition"] if kept else str(parked["_id"]).rsplit(":", 2)[1])
