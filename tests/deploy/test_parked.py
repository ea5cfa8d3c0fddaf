"""`wishgrid parked`: what stands still is listed, and tried again by the service that owns it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.topics import Topic, ensure_topics
from services.dispatch.app import create
from services.projections.generations import Generation
from services.projections.projector import Projector
from services.projections.stories import FOLDS, Fold, Part, wish
from services.projections.stories.reckoning import Reckoning
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded, to_wire
from shared.kafka import FACTS
from shared.serving import House
from tests.conftest import TOWNS, cancelled, new_story, send, until
from tests.shared.test_replays import eventful

stack = pytest.mark.stack


async def parked(house: House, *words: str) -> tuple[int | None, str]:
    """`wishgrid parked …` on the installation: exit status and what it said."""
    settings = house.settings
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("wishgrid"),
        "parked",
        *words,
        f"--mongo={settings.mongo}",
        f"--database-prefix={settings.database_prefix}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def listed(house: House) -> list[dict[str, Any]]:
    code, said = await parked(house, "list", "--json")
    assert code == 0, said
    found: list[dict[str, Any]] = json.loads(said)
    return found


@asynccontextmanager
async def dispatch(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The whole service, in this process."""
    service = create(house)
    transport = httpx.ASGITransport(service)
    async with (
        service.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://dispatch") as http,
    ):
        yield http


async def waiting(house: House, records: int) -> None:
    """Return when so many are parked in dispatch."""

    async def wait() -> bool:
        return await house.database("dispatch")["parked"].count_documents({}) == records

    await until(wait, f"{records} are parked", seconds=60)


async def make_topic(house: House) -> str:
    prefix = house.settings.topic_prefix
    await ensure_topics(house.kafka, prefix=prefix, topics=[Topic(FACTS, 4)])
    return house.in_kafka(FACTS)


@stack
async def test_what_is_parked_is_listed_as_it_is_counted_and_drained_by_the_running_service(
    house: House, producer: AIOKafkaProducer
) -> None:
    topic, story = await make_topic(house), new_story()
    facts = eventful(story)
    home = house.database("dispatch")
    async with dispatch(house) as http:
        await producer.send_and_wait(topic, b"{", key=story.encode())
        await send(producer, topic, facts)
        await waiting(house, 6)
        (standstill,) = await listed(house)
        counted = (await http.get("/metrics")).text
        assert f"wishgrid_parked_records {float(standstill['records'])}" in counted
        assert standstill["records"] == 6
        assert (standstill["where"], standstill["story"]) == ("dispatch", story)
        assert (standstill["fact"], standstill["behind"]) == (None, 5)
        assert standstill["reason"].startswith("unreadable: ")
        assert standstill["since"] is not None
        code, said = await parked(house, "replay", f"--story={story}")
        assert (code, f"dispatch: story {story}: 0 handled, 6 still wait: a record" in said) == (
            1,
            1,
        )
    _, value, headers = to_wire(facts[0])  # mended: a later build reads it
    readable = {"value": value, "headers": [list(header) for header in headers]}
    await home["parked"].update_one({"fact": None}, {"$set": readable})
    code, said = await parked(house, "replay", "--all", "--seconds=0.1")
    assert (code, "does dispatch run?" in said) == (1, True)
    async with dispatch(house):  # what was asked for is done when it runs
        await waiting(house, 0)
        assert await home["commits"].count_documents({}) == len(facts)
    code, said = await parked(house, "replay", f"--story={story}")
    gone = f"story {story} is not parked there: `wishgrid parked list` says what is\n"
    assert (code, said) == (1, gone)


def test_a_replay_of_nothing_in_particular_is_one_sentence() -> None:
    for words in ((), ("--all", "--story=x")):
        said = CliRunner().invoke(app, ["parked", "replay", "--mongo=mongodb://nowhere", *words])
        assert (said.exit_code, said.output) == (1, "say which: --story ID, or --all\n")


@stack
async def test_a_read_model_folds_a_story_again_once_its_fold_was_mended(
    house: House, producer: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, sick, sound = await make_topic(house), new_story(), new_story()
    await send(producer, topic, [*eventful(sick), *eventful(sound)])
    with monkeypatch.context() as build:
        build.setitem(cast("dict[str, Fold]", FOLDS), "wish", raising_over(sick))
        async with projecting(house, topic) as generation:
            pass
    (standstill,) = await listed(house)
    assert standstill["where"] == f"projections {generation.name}"
    assert (standstill["story"], standstill["behind"]) == (sick, 4)
    assert "a fold with a bug" in standstill["reason"]
    async with projecting(house, topic):
        said = await parked(house, "replay", "--all", "--service=projections")
    done = f"projections {generation.name}: story {sick}: 5 handled, 0 still wait\n"
    assert said == (0, done)
    assert await listed(house) == []
    assert await generation.database["touched"].count_documents({}) == 0
    one, other = [
        await generation.database["stories"].find_one({"_id": name}) or {} for name in (sick, sound)
    ]
    assert (one["v"], one["parts"]["wish"]["withdrawn"]) == (
        other["v"],
        other["parts"]["wish"]["withdrawn"],
    )
    assert "stuck" not in one
    assert await generation.database["timeline"].count_documents({"story": sick}) == 5


def raising_over(sick: StoryId) -> Fold:
    """The fold of wishes in a build with a bug that shows in one story."""

    def fold(part: Part, recorded: Recorded, profile: Reckoning) -> Part:
        if recorded.story == sick:
            raise LookupError("a fold with a bug")
        return wish.fold(part, recorded, profile)

    return fold


@asynccontextmanager
async def projecting(house: House, topic: str) -> AsyncIterator[Generation]:
    """A read model that has read all that is in the topic, and its projector at work."""
    generation = Generation(house)
    await generation.prepare()
    projector = Projector(
        generation,
        generation.model(),
        topic,
        TOWNS,
        kafka=house.kafka,
        instance="1",
        session_seconds=6.0,
    )
    task = asyncio.create_task(projector.run())

    async def there() -> bool:
        return projector.joined and not any((await projector.lag()).values())

    try:
        await until(there, "the topic is read")
        yield generation
    finally:
        await cancelled(task)


@stack
async def test_what_never_reads_is_dropped_when_told_twice_and_what_waits_behind_goes_on(
    house: House, producer: AIOKafkaProducer
) -> None:
    topic, story = await make_topic(house), new_story()
    facts, home = eventful(story), house.database("dispatch")
    async with dispatch(house):
        await producer.send_and_wait(topic, b"{", key=story.encode())
        await send(producer, topic, facts)
        await waiting(house, 6)
        code, said = await parked(house, "drop", f"--story={story}")
        assert (code, "nothing was dropped: say --yes" in said) == (1, True)
        assert await home["parked"].count_documents({}) == 6
        code, said = await parked(house, "drop", f"--story={story}", "--yes")
        assert (code, "1 dropped" in said) == (0, True)
        (kept,) = await home["dropped"].find().to_list(None)
        assert (kept["story"], kept["value"]) == (story, b"{")
        code, said = await parked(house, "drop", f"--story={story}", "--yes")
        assert (code, "nothing can be dropped" in said) == (1, True)  # what reads waits
        assert (await parked(house, "replay", f"--story={story}"))[0] == 0
        assert await home["commits"].count_documents({}) == len(facts)
