"""What a process does for generations: it writes those of its build, and reads what is read.

It looks at the roll about once a second. Whose build fits none begins a new one; what is being
built is read as soon as it has everything; a view that is new here is filled in.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog
from aiokafka.errors import KafkaConnectionError, KafkaError
from pymongo.errors import DuplicateKeyError, PyMongoError

from services.projections.build import Build
from services.projections.completion import Completion
from services.projections.generations import Generation
from services.projections.onlooker import Onlooker
from services.projections.projector import Projector
from services.projections.reading import Reading
from services.projections.readmodel import ReadModel
from services.projections.roll import BUILDING, DROPPED, READING, Roll
from shared.mongo import Document
from shared.serving import House

LOOK_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Upkeep:
    """The generations of one process."""

    def __init__(
        self,
        house: House,
        topic: str,
        build: Build | None = None,
        *,
        instance: str | None = None,
    ) -> None:
        self._house = house
        self._topic = topic
        self._build = build or Build.of(house.towns)
        self._instance = instance or house.settings.instance
        self._roll = Roll(house.database("views"))
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._completion = Completion(self._roll)
        self._written: frozenset[str] = frozenset()
        self._onlooker = Onlooker(house.kafka, topic)
        self.reading = Reading()
        self.read: str | None = None
        """The name of the generation that is read."""
        self.projectors: dict[str, Projector] = {}
        """Those at work, by generation."""

    async def prepare(self) -> None:
        """Find, or begin, what is read and what is to be written here. Raises PyMongoError."""
        await self._ours(starting=True)
        await self._follow()

    async def run(self) -> None:
        """Look after them until cancelled."""
        beside = [asyncio.create_task(each) for each in (self._following(), self._looking_on())]
        try:
            while True:
                self._bury_the_dead()
                try:
                    await self._see_to(await self._ours())
                except (PyMongoError, KafkaError) as failed:
                    log.warning("generations cannot be seen to", error=type(failed).__name__)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await _ended([*beside, *self._tasks.values()])

    @property
    def standing(self) -> Projector | None:
        """The projector of what is read; None where other builds write it."""
        return self.projectors.get(self.read or "")

    @property
    def projecting(self) -> bool:
        """Whether what is read is written as it should be: here, or, judged by how far it is
        behind, where others write it."""
        if self.read not in self._written:
            return self._onlooker.near
        return self.standing is not None and self.standing.joined and self.standing.fault is None

    async def shown(self) -> list[Document]:
        """The generations there are."""
        return await self._roll.there()

    async def lag(self, name: str) -> dict[int, int]:
        """Records per partition that a generation lacks, also one that others write. Raises
        KafkaError, also where nothing is written; PyMongoError."""
        projector = self.projectors.get(name) or next(iter(self.projectors.values()), None)
        if projector is None:
            raise KafkaConnectionError("nothing is projected here")
        return await projector.lag(ReadModel(self._house.mongo, self._roll.database(name)))

    async def _following(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._follow()
            except PyMongoError as failed:
                log.warning("the alias cannot be read", error=type(failed).__name__)

    async def _looking_on(self) -> None:
        """Measure what others write."""
        async with self._onlooker:
            while True:
                if self.read is not None and self.read not in self._written:
                    await self._onlooker.look(self.reading.model)
                await asyncio.sleep(LOOK_SECONDS)

    async def _follow(self) -> None:
        """Read what the alias names."""
        name = await self._roll.reading()
        generation = None if name is None else await self._roll.one(name)
        if name is None or generation is None:
            return
        has = set(generation.get("views", self._build.views)) - {*generation.get("filling", ())}
        unfilled = self._build.views - has
        if name != self.read or unfilled != self.reading.model.unfilled:
            log.info("this generation is read", generation=name, unfilled=sorted(unfilled))
            database = self._roll.database(name)
            self.reading.switch(ReadModel(self._house.mongo, database, unfilled))
            self.read = name

    async def _ours(self, *, starting: bool = False) -> list[Document]:
        """The generations this build writes; a new one if there is none."""
        known = await self._roll.all()
        ours = [each for each in known if await self._writes(each)]
        if not ours and self._may_begin(known, starting=starting):
            ours = await self._begun(known)
        if ours and self.read is None:
            await self._roll.read_first(ours[0]["_id"])
        self._written = frozenset(each["_id"] for each in ours)
        return ours

    async def _see_to(self, ours: Sequence[Document]) -> None:
        for gone in self.projectors.keys() - {each["_id"] for each in ours}:
            await self._end(gone)
        for each in ours:
            await self._roll.learn(each["_id"], self._unknown_to(each))
            generation = self._generation(each["_id"])
            if self._build.lacking(each) or each["filling"]:
                await self._completion.fill(generation, each)  # no view is written before this
            if generation.name not in self.projectors:
                await self._start(generation, each)
            filling = {*each["filling"], *self._build.lacking(each)}
            recipe = replace(self._build.recipe, filling=frozenset(filling))
            self.projectors[generation.name].recipe = recipe
            if each["state"] == BUILDING and self.read is not None:
                projector = self.projectors[generation.name]
                await self._completion.read(generation, projector, self.read)

    async def _writes(self, each: Document) -> bool:
        """Whether this build writes it. A view that only this build has is filled in what is read
        or built; one that is kept stays as it is, for those who still run its build."""
        if each.get("state") == DROPPED or self._build.misfit(each):
            return False
        if self._build.lacking(each) and each["state"] not in (READING, BUILDING):
            return False
        return not self._build.misfit(each, await self._generation(each["_id"]).ignored())

    def _may_begin(self, known: Sequence[Document], *, starting: bool) -> bool:
        """Not beside what a later build wrote, and not again what an operator has just dropped:
        the newest one, whatever was dropped long ago."""
        newest = known[-1] if known else {}
        dropped = newest.get("state") == DROPPED and not self._build.misfit(newest)
        return (starting or not dropped) and not any(map(self._build.outdone_by, known))

    async def _begun(self, known: Sequence[Document]) -> list[Document]:
        """A new generation, begun here or by another instance of this build just now; none where
        another build was faster: the next look shows whether there is a place beside it."""
        try:
            name = await self._roll.begin(self._build, known)
            log.info("a generation is begun", generation=name, folds=self._build.folds)
        except DuplicateKeyError:
            pass
        return [e for e in await self._roll.there() if not self._build.misfit(e)][-1:]

    def _unknown_to(self, generation: Document) -> list[Document]:
        return [each for each in self._build.remembered() if each not in generation["profiles"]]

    async def _start(self, generation: Generation, document: Document) -> None:
        """Project it."""
        await generation.make_collections()
        await generation.touch_stuck()
        if document["state"] == READING:
            await generation.make_indexes()
        settings = self._house.settings
        projector = Projector(
            generation,
            generation.model(),
            self._topic,
            self._house.towns,
            kafka=self._house.kafka,
            instance=self._instance,
            session_seconds=settings.session_timeout_seconds,
            most_parked=settings.most_stories_parked,
        )
        await projector.breaker.begin()
        self.projectors[generation.name] = projector
        self._tasks[generation.name] = asyncio.create_task(projector.run())

    async def _end(self, name: str) -> None:
        log.info("a generation is left to others", generation=name)
        del self.projectors[name]
        await _ended([self._tasks.pop(name)])

    def _bury_the_dead(self) -> None:
        """A projector that left its generation is forgotten; one that died ends the process."""
        for name, task in list(self._tasks.items()):
            if task.done():
                del self._tasks[name], self.projectors[name]
                task.result()

    def _generation(self, name: str) -> Generation:
        return Generation(self._house, name, self._build)


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
