"""One leader at a time, by a document whose clock is the database's own.

`{_id: name, owner, epoch, until, …}`. The epoch grows with each new owner, so what a former
owner still writes can be told and refused. The holder may keep fields of its own in it, which
are written only while the epoch is still its own.
"""

import contextlib
from datetime import UTC, datetime
from typing import Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from shared.mongo import Collection, Document

_UNTIL: Final = "until"
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)


class Lost(Exception):
    """Somebody else holds the lease now."""


class Lease:
    """A lease named `name` that `owner` tries to hold for `seconds` at a time."""

    def __init__(self, collection: Collection, name: str, owner: str, seconds: float) -> None:
        self._collection = collection
        self._name = name
        self._owner = owner
        self._milliseconds = int(seconds * 1000)
        self.epoch = 0

    async def take(self) -> Document | None:
        """Take it if it is free, run out, or ours already; the document, or None."""
        with contextlib.suppress(DuplicateKeyError):
            await self._collection.insert_one({"_id": self._name, "epoch": 0, _UNTIL: _LONG_AGO})
        free = {"$or": [{"$lte": [f"${_UNTIL}", "$$NOW"]}, {"$eq": ["$owner", self._owner]}]}
        document: Document | None = await self._collection.find_one_and_update(
            {"_id": self._name, "$expr": free},
            [
                {
                    "$set": {
                        "owner": self._owner,
                        "epoch": {"$add": ["$epoch", 1]},
                        _UNTIL: self._later(),
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
        if document is not None:
            self.epoch = document["epoch"]
        return document

    async def renew(self, **fields: object) -> None:
        """Hold it for another while and write `fields` into it. Raises Lost."""
        answer = await self._collection.update_one(
            {"_id": self._name, "owner": self._owner, "epoch": self.epoch},
            [{"$set": {_UNTIL: self._later(), **{k: {"$literal": v} for k, v in fields.items()}}}],
        )
        if not answer.matched_count:
            raise Lost(self._name)

    async def release(self) -> None:
        """Let the next one have it at once."""
        await self._collection.update_one(
            {"_id": self._name, "owner": self._owner, "epoch": self.epoch},
            {"$set": {_UNTIL: _LONG_AGO}},
        )

    def _later(self) -> Document:
        return {"$add": ["$$NOW", self._milliseconds]}
