"""Every sort of poison in every reader: it waits where it must, is counted, named and listed, and
drained by a command once it is mended; then all is as if it had never been."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI

from deploy.doctor import examine
from services.dispatch import app as dispatch
from services.intake import app as intake
from services.projections import app as projections
from services.projections.roll import Roll
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded
from shared.mongo import Database, Document
from shared.mongo_store import MongoStore
from shared.serving import House
from tests import broken
from tests.broken import BUG, Break
from tests.conftest import new_story, send, until, whole_story, wish_commit
from tests.deploy.test_parked import listed, make_topic, parked
from tests.projections.test_projector import COMPARED, Model
from tests.shared.test_replays import eventful

pytestmark = pytest.mark.stack


@dataclass(frozen=True)
class Poison:
    """A bug of a build, and why a story with it waits; where it `waits` for another build instead
    nothing is parked."""

    bug: Break
    why: str


UNREAD: Final = Poison(broken.unread, f"unreadable: {BUG}")
READERS: Final[dict[str, tuple[Poison, ...]]] = {
    "intake": (UNREAD, Poison(broken.policy, f"LookupError: {BUG}")),
    "dispatch": (UNREAD, Poison(broken.policy, f"LookupError: {BUG}")),
    "projections": (
        Poison(broken.unread, BUG),
        Poison(broken.fold, f"wish: wish-submitted.v1 at 1: LookupError: {BUG}"),
        Poison(broken.view, f"views: LookupError: {BUG}"),
        Poison(broken.tally, f"views: LookupError: {BUG}"),
    ),
}
CREATE: Final[dict[str, Callable[[House], FastAPI]]] = {
    "intake": intake.create,
    "dispatch": dispatch.create,
    "projections": projections.create,
}


@asynccontextmanager
async def running(house: House, service: str) -> AsyncIterator[httpx.AsyncClient]:
    """The whole service, in this process."""
    app = CREATE[service](house)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://service") as http,
    ):
        yield http


async def says(http: httpx.AsyncClient, line: str) -> bool:
    """Whether `/metrics` does."""
    return line in (await http.get("/metrics")).text.splitlines()


async def faults() -> dict[str, str]:
    """What doctor finds: names, and what mends it."""
    return {fault.name: fault.mend for fault in (await examine()).faults}


@pytest.fixture
def environment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where doctor finds the installation."""
    for name, value in house.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"WISHGRID_{name.upper()}", str(value))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("service", READERS)
async def test_every_sort_of_poison_waits_is_named_and_is_drained_once_it_is_mended(
    service: str, house: House, producer: AIOKafkaProducer
) -> None:
    topic, poisons = await make_topic(house), READERS[service]
    sick, new, sound = [new_story() for _ in poisons], new_story(), new_story()
    waiting = {story: poison.why for story, poison in zip(sick, poisons, strict=True)}
    with pytest.MonkeyPatch.context() as build:
        for story, poison in zip(sick, poisons, strict=True):
            poison.bug(build, {story})
        async with running(house, service) as http:
            for story in (*sick, sound):
                await send(producer, topic, await facts_for(service, house, story))
            await until_handled(service, house, sound)
            await until_listed(house, http, waiting)
            mend = (await faults())["stories-parked"]
            assert mend.startswith("wishgrid parked list")
            assert "wishgrid parked replay --all" in mend
            assert (await http.get("/readyz")).status_code == 200
    with pytest.MonkeyPatch.context() as build:
        broken.unknown(build, {new})
        async with running(house, service) as http:
            code, said = await parked(house, "replay", "--all")
            assert code == 0, said
            assert await listed(house) == []
            assert await says(http, "wishgrid_parked_records 0.0")
            assert "stories-parked" not in await faults()
            await send(producer, topic, await facts_for(service, house, new))
            await until_unknown_is_seen(service, house, http)
    async with running(house, service):
        await until_handled(service, house, new)
    assert await listed(house) == []
    await as_if_it_had_never_been(service, house, topic, [*sick, new], sound)


async def facts_for(service: str, house: House, story: StoryId) -> list[Recorded]:
    """What a reader is told of a story; intake has its wish already."""
    wish, case = whole_story(story)
    if service == "intake":
        await MongoStore(house.database(service)).append(wish_commit(story))
        return case
    return eventful(story) if service == "dispatch" else [*wish, *case]


async def until_handled(service: str, house: House, story: StoryId) -> None:
    """Return when the reader has taken in all that it was told of a story."""

    async def handled() -> bool:
        if service == "projections":
            wanted = {"_id": story, "parts.case": {"$exists": True}, "v.wish": 5, "v.case": 6}
            return await (await reading(house))["stories"].count_documents(wanted) == 1
        last = {"_id": story, "case": 6} if service == "intake" else {"_id": story, "wish": 5}
        return await house.database(service)["seen"].count_documents(last) == 1

    await until(handled, f"{story} is handled", seconds=120)


async def until_listed(
    house: House, http: httpx.AsyncClient, waiting: Mapping[StoryId, str]
) -> None:
    """Return when exactly these stories wait for exactly these reasons, and are counted."""

    async def so() -> bool:
        found = await listed(house)
        records = sum(each["records"] for each in found)
        counted = await says(http, f"wishgrid_parked_records {records:.1f}")
        return counted and {each["story"]: each["reason"] for each in found} == waiting

    await until(so, f"parked and counted is {waiting}", seconds=120)


async def until_unknown_is_seen(service: str, house: House, http: httpx.AsyncClient) -> None:
    """Return when a reader waits for the build that knows the fact, or has passed over it."""

    async def seen() -> bool:
        if service == "projections":
            kept = await (await reading(house))["ignored"].distinct("_id")
            return "wish-submitted.v1" in kept
        ready = await http.get("/readyz")
        waits = await says(http, 'wishgrid_fault{check="understood"} 1.0')
        return waits and ready.status_code == 503

    await until(seen, "an unknown type is seen", seconds=120)


async def reading(house: House) -> Database:
    """The read model that is read."""
    roll = Roll(house.database("views"))
    return roll.database(str(await roll.reading()))


async def as_if_it_had_never_been(
    service: str, house: House, topic: str, sick: Sequence[StoryId], sound: StoryId
) -> None:
    """All stories were told alike: they end alike, and the read model as one folded anew."""
    if service == "projections":
        clean = Model(house, "g99", topic)
        await clean.generation.prepare()
        assert await documents(await reading(house)) == await (await clean.projected()).documents()
        return
    home = house.database(service)
    ours = {story: await commits(home, story) for story in (*sick, sound)}
    assert ours[sound]
    assert all(commits == ours[sound] for commits in ours.values())
    assert await home["issues"].count_documents({}) == 0


async def documents(database: Database) -> dict[str, list[Document]]:
    return {name: await database[name].find().sort("_id", 1).to_list(None) for name in COMPARED}


async def commits(home: Database, story: StoryId) -> list[str]:
    """What a service decided of a story, as it would read in any."""
    found = home["commits"].find({"stream": {"$regex": f"{story}$"}}).sort("_id", 1)
    keep = ("stream", "first", "facts", "causation")
    return [
        json.dumps({k: each.get(k) for k in keep}, default=str).replace(story, "story")
        async for each in found
    ]
