"""Generations: a read model is rebuilt beside the one being read, each in a database of its own.

`<prefix>_views` holds `alias` (which generation is read) and `generations` (by which folds each
was written). A process whose folds differ may not write to it.
"""

import contextlib
from typing import Final

from pymongo.errors import DuplicateKeyError, OperationFailure

from services.projections.stories import FOLD_VERSION
from services.projections.views.registry import TALLIES, VIEWS
from services.projections.views.sheets import INDEX
from shared.mongo import Database
from shared.serving import House

FIRST: Final = "g1"
NAMESPACE_EXISTS: Final = 48


class Generation:
    """One generation of read models."""

    def __init__(self, house: House, name: str = FIRST) -> None:
        self.name = name
        self.group = house.in_kafka(f"wishgrid.projections.{name}")
        self.database: Database = house.database(f"views_{name}")
        self._meta = house.database("views")

    async def prepare(self) -> None:
        """Claim it, make its collections (a transaction cannot) and indexes. Raises ValueError
        when other folds wrote it."""
        await self._claim()
        for name in (
            "stories",
            "offsets",
            "ignored",
            "timeline",
            "parked",
            *(v.name for v in VIEWS),
            *(t.name for t in TALLIES),
        ):
            try:
                await self.database.create_collection(name, check_exists=False)
            except OperationFailure as failed:
                if failed.code != NAMESPACE_EXISTS:
                    raise
        await self.database["timeline"].create_index(
            [("story", 1), ("recorded", 1), ("stream", 1), ("version", 1)]
        )
        await self.database["parked"].create_index([("story", 1)])
        for view in VIEWS:
            for index in view.indexes:
                await self.database[view.name].create_index(list(index))
        for tally in TALLIES:
            await self.database[tally.name].create_index(list(INDEX))

    async def _claim(self) -> None:
        for name, document in (
            ("generations", {"_id": self.name, "folds": FOLD_VERSION}),
            ("alias", {"_id": "reading", "generation": self.name}),
        ):
            with contextlib.suppress(DuplicateKeyError):
                await self._meta[name].insert_one(document)
        written = await self._meta["generations"].find_one({"_id": self.name}) or {}
        if written.get("folds") != FOLD_VERSION:
            raise ValueError(
                f"generation {self.name} was written by folds {written.get('folds')}, "
                f"these are {FOLD_VERSION}: rebuild into a new one"
            )
