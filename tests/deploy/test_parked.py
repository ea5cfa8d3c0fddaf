"""`wishgrid parked`: what stands still is listed, and tried again by the service that owns it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.topics import Topic, ensure_topics
from services.dispatch.app import create
from services.projections.generations import Generation
from services.projections.projector import Projector
from services.projections.readmodel import ReadModel
from shared.contracts.base import StoryId
from shared.contracts.recorded import to_wire
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
async def test_a_read_model_is_asked_to_fold_a_story_again(
    house: House, producer: AIOKafkaProducer
) -> None:
    """The projector's part, folding it and taking the request away, is played here."""
    topic, story = await make_topic(house), new_story()
    await send(producer, topic, eventful(story)[1:])
    generation = await projected(house, topic)
    (standstill,) = await listed(house)
    assert standstill["where"] == f"projections {generation.name}"
    assert (standstill["fact"], standstill["behind"]) == (f"wish-{story}@2", 3)
    assert standstill["reason"] == "wish: version 1 is missing"
    replay = asyncio.create_task(parked(house, "replay", "--all", "--service=projections"))
    touched = await request_of(generation, story)
    partition = (await generation.database["stories"].find_one({"_id": story}) or {})["partition"]
    assert touched == {"_id": story, "partition": partition}
    await generation.database["parked"].delete_many({"story": story})
    await generation.database["touched"].delete_one({"_id": story})
    code, said = await replay
    done = f"projections {generation.name}: story {story}: 4 handled, 0 still wait\n"
    assert (code, said) == (0, done)


async def request_of(generation: Generation, story: StoryId) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    async def asked() -> bool:
        found[:] = await generation.database["touched"].find({"_id": story}).to_list(None)
        return bool(found)

    await until(asked, "it is asked for")
    return found[0]


async def projected(house: House, topic: str) -> Generation:
    """A read model of all that is in the topic."""
    generation = Generation(house)
    await generation.prepare()
    model = ReadModel(house.mongo, generation.database)
    projector = Projector(
        generation,
        model,
        topic,
        TOWNS,
        kafka=house.kafka,
        instance="1",
        session_seconds=6.0,
    )
    task = asyncio.create_task(projector.run())
    try:

        async def there() -> bool:
            return projector.joined and not any((await projector.lag()).values())

        await until(there, "the topic is read")
    finally:
        await cancelled(task)
    return generation
