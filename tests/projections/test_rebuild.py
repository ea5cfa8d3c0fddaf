"""`wishgrid rebuild` on a real Kafka and mongod, while facts arrive and front ends read on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from httpx import ASGITransport, AsyncClient
from typer.testing import CliRunner, Result

from deploy.cli.main import app as wishgrid
from deploy.secrets import ISSUER, Secrets
from deploy.topics import Topic, ensure_topics
from services.projections.app import create
from services.projections.build import Build
from shared.access import Doorkeeper, Role, read_signers
from shared.contracts.recorded import Recorded
from shared.kafka import FACTS
from shared.serving import House
from tests.conftest import TOWNS, TOWNS_FOLDER, until
from tests.projections.generations import Place

pytestmark = pytest.mark.stack


@pytest.fixture
async def place(house: House, producer: AIOKafkaProducer) -> Place:
    """Whose tokens are those of development."""
    settings = house.settings
    topics = [Topic(FACTS, 4)]
    await ensure_topics(house.kafka, prefix=settings.topic_prefix, topics=topics)
    signers = read_signers(settings.token_keys_file)
    doorkeeper = Doorkeeper(signers, ISSUER, (), house.secrets, TOWNS.keys())
    return Place(replace(house, doorkeeper=doorkeeper), house.in_kafka(FACTS), producer)


async def asked(place: Place, *words: str) -> Result:
    """What `wishgrid rebuild` says."""
    settings = place.house.settings
    told = {
        "WISHGRID_KAFKA": settings.kafka,
        "WISHGRID_MONGO": settings.mongo,
        "WISHGRID_DATABASE_PREFIX": settings.database_prefix,
        "WISHGRID_TOPIC_PREFIX": settings.topic_prefix,
        "WISHGRID_TOWNS": str(TOWNS_FOLDER),
        "COLUMNS": "200",
    }
    return await asyncio.to_thread(CliRunner().invoke, wishgrid, ["rebuild", *words], env=told)


@dataclass
class FrontEnd:
    """Somebody who reads from two instances in turn and is never sent away."""

    clients: Sequence[AsyncClient]
    answers: int = 0
    listed: int = 0
    wrong: list[str] = field(default_factory=list)

    async def read(self, path: str, **query: str) -> None:
        client = self.clients[self.answers % len(self.clients)]
        answer = await client.get(path, params=query)
        self.answers += 1
        if answer.status_code != 200:
            self.wrong.append(f"{path} {query}: {answer.status_code} {answer.text}")

    @asynccontextmanager
    async def reading(self, arrived: Sequence[Recorded]) -> AsyncIterator[None]:
        """Reading on and on, while the block lasts."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.read_on(arrived, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def read_on(self, arrived: Sequence[Recorded], stop: asyncio.Event) -> None:
        """A case that was told this moment, the list, the numbers, whether all is well."""
        days = {"from": "2026-03-01", "to": "2026-03-31"}
        while not stop.is_set():
            if arrived:
                last = arrived[-1]
                path = f"/v1/cases/{last.story}"
                await self.read(path, at_least=last.id, until="closed")
                await self.read(f"{path}/timeline", at_least=last.id)
            await self.read("/v1/cases", limit="5")
            await self.read("/v1/report", area="t3", **days)
            await self.read("/readyz")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def front_end(place: Place) -> AsyncIterator[FrontEnd]:
    """Two instances at work, and who reads from them."""
    token = Secrets(place.house.settings.master_key_file.parent).token(
        Role.COMMUNITY, "li", "t3", ["t3"]
    )
    clients = []
    async with AsyncExitStack() as stack:
        for instance in ("1", "2"):
            settings = place.house.settings.model_copy(update={"instance": instance})
            app = create(replace(place.house, settings=settings))
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = AsyncClient(
                transport=ASGITransport(app),
                base_url="http://town",
                headers={"Authorization": f"Bearer {token}"},
            )
            clients.append(await stack.enter_async_context(client))

            async def ready(client: AsyncClient = client) -> bool:
                return (await client.get("/readyz")).status_code == 200

            await until(ready, "it is ready")
        yield FrontEnd(clients)


async def test_a_rebuild_is_seen_by_nobody_who_reads_and_equal_to_what_was_read_before(
    place: Place,
) -> None:
    facts = await place.told(40)
    async with front_end(place) as somebody:
        await place.has("g1", facts)
        async with place.telling() as arrived, somebody.reading(arrived):
            said = await asked(place)
            before = somebody.answers
            await until(lambda: somebody.answers > before + 20, "it was read for a while", 120)
        assert said.exit_code == 0, said.output
        assert "g2 is read now" in said.output
        assert somebody.wrong == []
        facts += arrived
        for name in ("g1", "g2"):  # the old one is kept, and kept current
            await place.has(name, facts)
        assert await place.documents("g1") == await place.documents("g2")
        assert len((await place.documents("g2"))["timeline"]) == len(facts)
        await goes_back_and_drops(place)
        facts += await place.told(2)
        await place.has("g1", facts)
    names = await place.house.mongo.list_database_names()
    assert place.roll.database("g1").name in names
    assert place.roll.database("g2").name not in names
    assert [g["_id"] for g in await place.roll.there()] == ["g1"]


async def goes_back_and_drops(place: Place) -> None:
    """An operator thinks better of it. (What the services log stands between the lines.)"""
    for words, code, sentence in (
        ("--drop g2", 1, "g2 is what is read: it cannot be dropped"),
        ("--back-to g7", 1, "there is no generation g7: there is g1 (kept), g2 (reading)"),
        ("--back-to g1", 0, "g1 is read now; g2 is kept, and kept current while its build runs"),
        ("--back-to g1", 1, "g1 is what is read"),
        ("--drop g2", 0, "g2 is removed"),
        ("--back-to g2", 1, "there is no generation g2: there is g1 (reading)"),
    ):
        said = await asked(place, *words.split())
        assert (said.exit_code, sentence in said.output) == (code, True), (words, said.output)


async def test_nobody_goes_back_to_what_is_behind_or_builds_from_a_topic_without_a_beginning(
    place: Place,
) -> None:
    facts = await place.told(20)
    async with place.running():
        await place.has("g1", facts)
    await place.roll.begin(Build.of(TOWNS), await place.roll.all())
    said = await asked(place, "--back-to", "g2")
    assert (said.exit_code, said.output) == (
        1,
        f"g2 lacks {len(facts)} facts: start projections of the build that wrote it, and ask "
        f"again when it has them\n",
    )
    said = await asked(place, "--drop", "g2")
    assert said.exit_code == 0, said.output
    await without_beginning(place)
    said = await asked(place)
    assert said.exit_code == 1
    assert f"{place.topic} lacks its beginning" in said.output
    assert "republish the stores into a new topic" in said.output
    assert [g["_id"] for g in await place.roll.there()] == ["g1"]


async def without_beginning(place: Place) -> None:
    """The first records of a partition are deleted, as retention would."""
    admin = AIOKafkaAdminClient(**place.house.kafka.options())
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(place.topic, 0): RecordsToDelete(3)})
    finally:
        await admin.close()
