"""Who saw whose story, and for what: append only, written before the answer goes out.

`{principal, purpose, stories, at}`; real time, since it is evidence and not the town's clock. A
resident is named by blind index, like everywhere outside the key store.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import bson
from bson import ObjectId
from bson.raw_bson import RawBSONDocument

from shared.access import Principal
from shared.group_commit import GroupInsert
from shared.mongo import Database


class AccessLog:
    """The access log of one service."""

    def __init__(self, database: Database) -> None:
        self._group = GroupInsert(database["access_log"])

    async def note(self, who: Principal, purpose: str, stories: Iterable[str]) -> None:
        """Durable when it returns; nothing is written for no stories."""
        seen = list(stories)
        if not seen:
            return
        entry = {
            "_id": ObjectId(),
            "principal": who.id,
            "town": who.town,
            "purpose": purpose,
            "stories": seen,
            "at": datetime.now(UTC),
        }
        await self._group.insert(str(entry["_id"]), RawBSONDocument(bson.encode(entry)))

    async def close(self) -> None:
        """Wait for what is in flight."""
        await self._group.drain()
