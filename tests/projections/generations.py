"""Processes of projections on one topic, each of some build, and the generations they write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from services.projections.build import Build
from services.projections.folding import Recipe
from services.projections.roll import Roll
from services.projections.stories import Story
from services.projections.upkeep import Upkeep
from services.projections.views import Row, View
from services.projections.views.registry import TALLIES, VIEWS, recipe
from shared.contracts.recorded import Recorded
from shared.mongo import Document
from shared.serving import House
from tests.conftest import TOWNS, cancelled, new_story, new_topic, send, until, whole_story

APART: Final = ("offsets", "parked", "touched")
"""What two equal generations may differ in."""
SECONDS: Final = 60.0


def _channel(story: Story) -> Row | None:
    wish = story["parts"].get("wish")
    return wish and {"_id": story["_id"], "channel": wish["channel"], "v": sum(story["v"].values())}


CHANNELS: Final = View("channels", _channel, [[("channel", 1)]])
"""A view that is new; its rows move with every fact."""
PROFILE_OF: Final = recipe(TOWNS).profile
WITHOUT_NUMBERS: Final = Build.of(TOWNS, Recipe(VIEWS, (), PROFILE_OF))
"""An older build, which had no tally yet."""
WITH_CHANNELS: Final = Build.of(TOWNS, Recipe((*VIEWS, CHANNELS), TALLIES, PROFILE_OF))


@dataclass
class Place:
    """One installation's topic of facts, and its roll."""

    house: House
    topic: str
    producer: AIOKafkaProducer

    @property
    def roll(self) -> Roll:
        return Roll(self.house.database("views"))

    @asynccontextmanager
    async def running(
        self, build: Build | None = None, instance: str = "1"
    ) -> AsyncIterator[Upkeep]:
        """A process, ended with the block as by a kill."""
        upkeep = Upkeep(self.house, self.topic, build, instance=instance)
        await upkeep.prepare()
        task = asyncio.create_task(upkeep.run())
        try:
            yield upkeep
        finally:
            await cancelled(task)

    async def told(self, count: int) -> list[Recorded]:
        """So many new stories, in the topic; their facts."""
        facts = [r for _ in range(count) for part in whole_story(new_story()) for r in part]
        await send(self.producer, self.topic, facts)
        return facts

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[list[Recorded]]:
        """Facts arrive all the time, while the block lasts."""
        arrived: list[Recorded] = []
        enough = asyncio.Event()

        async def tell() -> None:
            while not enough.is_set():
                arrived.extend(await self.told(1))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(tell())
        try:
            yield arrived
        finally:
            enough.set()
            await task

    async def read(self, name: str) -> None:
        """Return when the generation is the one that is read."""

        async def flipped() -> bool:
            return await self.roll.reading() == name

        await until(flipped, f"{name} is read", SECONDS)

    async def has(self, name: str, facts: Sequence[Recorded], seconds: float = SECONDS) -> None:
        """Return when a generation has all these facts."""
        timeline, count = self.roll.database(name)["timeline"], len({r.id for r in facts})

        async def all_there() -> bool:
            return await timeline.count_documents({}) == count

        await until(all_there, f"{name} has {count} facts", seconds)

    async def filled(self, name: str) -> None:
        """Return when the generation has all its views."""

        async def complete() -> bool:
            return bool(((await self.roll.one(name)) or {}).get("filling") == [])

        await until(complete, f"{name} is filled", SECONDS)

    async def documents(self, name: str) -> dict[str, list[Document]]:
        """Everything in a generation by collection, but what two may differ in."""
        database = self.roll.database(name)
        names = sorted(set(await database.list_collection_names()) - set(APART))
        return {each: await database[each].find().sort("_id", 1).to_list(None) for each in names}

    async def clean(self, build: Build) -> dict[str, list[Document]]:
        """What a new generation of this build holds, of all that is in the topic now."""
        name = await self.roll.begin(build, await self.roll.all())
        async with self.running(build):
            await self.read(name)
        return await self.documents(name)


async def place_of(house: House, producer: AIOKafkaProducer) -> Place:
    """With sessions as short as Kafka allows: who leaves is missed soon."""
    settings = house.settings.model_copy(update={"session_timeout_seconds": 6.0})
    return Place(replace(house, settings=settings), await new_topic(house.kafka, 4), producer)


def counted(documents: dict[str, list[Document]]) -> int:
    """How many cases the tally of the place counts as received."""
    cells: list[Any] = [cell for sheet in documents.get("place", ()) for cell in sheet["cells"]]
    return sum(cell.get("received", 0) for cell in cells)
