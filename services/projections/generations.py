"""A generation: one complete set of read models in a database of its own.

It is written by all processes that fold as it was folded, and by no other: whoever writes asks
first, in the transaction that writes. A generation lacks most indexes until it is nearly complete.
"""

import contextlib
from collections.abc import Sequence
from typing import Final

from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from services.projections.build import Build
from services.projections.readmodel import ReadModel
from services.projections.roll import Roll
from services.projections.touching import STUCK
from services.projections.views.sheets import INDEX
from shared.mongo import Database, Document, Session
from shared.serving import House

FIRST: Final = "g1"
NAMESPACE_EXISTS: Final = 48
DUPLICATE_KEY: Final = 11000
_AT_ONCE: Final = 5_000


class NotOurs(Exception):
    """The generation was dropped, or is folded otherwise than here: leave it alone."""


class Generation:
    """One generation, as one build writes it."""

    def __init__(self, house: House, name: str = FIRST, build: Build | None = None) -> None:
        self.name = name
        self.build = build or Build.of(house.towns)
        self.group = house.in_kafka(f"wishgrid.projections.{name}")
        self.roll = Roll(house.database("views"))
        self.database: Database = self.roll.database(name)
        self._house = house

    def model(self) -> ReadModel:
        """Its read models."""
        return ReadModel(self._house.mongo, self.database)

    async def prepare(self) -> None:
        """Begin it if nobody did, with all its collections and indexes; read it if none is read.
        Raises NotOurs when other folds wrote it."""
        with contextlib.suppress(DuplicateKeyError):
            await self.roll.begin(self.build, (), self.name)
        await self.roll.read_first(self.name)
        await self.check()
        await self.make_collections()
        await self.make_indexes()

    async def check(self, session: Session | None = None) -> None:
        """Raises NotOurs when this build may not write to it."""
        document = await self.roll.one(self.name, session)
        if document is None:
            raise NotOurs(f"generation {self.name} is not there any more")
        if why := self.build.misfit(document):
            raise NotOurs(f"generation {self.name} {why}")

    async def make_collections(self) -> None:
        """A transaction cannot make them. With the indexes that projecting needs itself."""
        own = ("stories", "offsets", "ignored", "timeline", "parked", "touched")
        for name in (*own, *sorted(self.build.views)):
            try:
                await self.database.create_collection(name, check_exists=False)
            except OperationFailure as failed:
                if failed.code != NAMESPACE_EXISTS:
                    raise
        await self.database["parked"].create_index([("story", 1)])
        await self.database["touched"].create_index([("partition", 1)])
        await self.database["stories"].create_index([("stuck.views", 1)], sparse=True)

    async def make_indexes(self) -> None:
        """Those of readers."""
        in_order = [("story", 1), ("recorded", 1), ("stream", 1), ("version", 1)]
        await self.database["timeline"].create_index(in_order)
        for view in self.build.recipe.views:
            for index in view.indexes:
                await self.database[view.name].create_index(list(index))
        for tally in self.build.recipe.tallies:
            await self.database[tally.name].create_index(list(INDEX))

    async def touch_all(self, lacking: Sequence[str]) -> None:
        """Touch every story that wrote none of these views, once nobody writes without them.

        A transaction that began before they were on the roll may still commit; moving all offsets
        on makes it fail, or it is in what is read here.
        """
        await self.database["offsets"].update_many({}, {"$inc": {"touches": 1}})
        await self._touch_where(
            {"$or": [{f"wrote.{view}": {"$exists": False}} for view in lacking]}
        )

    async def touch_stuck(self) -> None:
        """Touch every story over which a view raised: it may be mended in this build."""
        await self._touch_where(STUCK)

    async def _touch_where(self, which: Document) -> None:
        after, partition = "", {"partition": 1}
        while True:
            query = {**which, "_id": {"$gt": after}}
            page = self.database["stories"].find(query, partition).sort("_id", 1).limit(_AT_ONCE)
            if not (stories := await page.to_list(None)):
                return
            await self._touch(stories)
            after = stories[-1]["_id"]

    async def _touch(self, stories: Sequence[Document]) -> None:
        try:
            await self.database["touched"].insert_many(stories, ordered=False)
        except BulkWriteError as failed:
            errors = (failed.details or {}).get("writeErrors", [])
            if any(error["code"] != DUPLICATE_KEY for error in errors):
                raise

    async def ignored(self) -> list[str]:
        """Types of facts that were passed over."""
        return [str(name) for name in await self.database["ignored"].distinct("_id")]
