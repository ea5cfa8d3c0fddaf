"""The event store on MongoDB: one document per commit, `_id` = `<stream>@<first version>`.

The unique `_id` is the optimistic lock and the range that loads a stream. `ts` is filled in by
the server and serves only to find where a lost relay must scan from; it is never a cursor.
"""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import bson
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING
from pymongo.errors import PyMongoError

from shared.contracts.base import (
    CommandId,
    FactId,
    ProfileVersion,
    StreamId,
    SubjectId,
    TownId,
)
from shared.contracts.registry import decode_document
from shared.crash import reached
from shared.errors import Conflict, NotReady, OutcomeUnknown, TooLarge
from shared.group_commit import AlreadyThere, GroupInsert
from shared.mongo import Database, Document
from shared.store import COMMIT_LIMIT, FACT_LIMIT, Cause, Commit, History, RequestSeal, check_size

COMMITS: Final = "commits"
_READ_BACK_SECONDS: Final = 10.0


class MongoStore:
    """Promises of `EventStore`, durable at `w: majority, j: true`."""

    def __init__(self, database: Database, **queue: int) -> None:
        """`queue` is for how much may wait, as GroupInsert takes it."""
        self.commits = database[COMMITS]
        self.group = GroupInsert(self.commits, **queue)
        self.shut: str | None = None
        """Why it may not be served now, if so."""

    async def prepare(self) -> None:
        """Make the collection and its one extra index."""
        await self.commits.create_index([("ts", ASCENDING)])

    async def load(self, stream: StreamId) -> History:
        self._check_open()
        found = self.commits.find(_of(stream))
        documents = await found.sort("_id", ASCENDING).to_list(None)
        return History(stream, tuple(from_document(d) for d in documents))

    async def decided(self, streams: Collection[StreamId]) -> set[CommandId]:
        if not streams:
            return set()
        self._check_open()
        found = self.commits.find({"$or": [_of(s) for s in streams]}, {"_id": 0, "command_id": 1})
        return {CommandId(document["command_id"]) for document in await found.to_list(None)}

    async def append(self, commit: Commit) -> None:
        self._check_open()
        document = encode(commit)
        try:
            await self.group.insert(commit.stream, document)
            reached("stored")
        except AlreadyThere:
            raise Conflict(commit.stream) from None
        except OutcomeUnknown:
            await self._read_back(commit)

    async def close(self) -> None:
        """Wait for what is in flight."""
        await self.group.drain()

    def _check_open(self) -> None:
        if self.shut is not None:
            raise NotReady(self.shut)

    async def _read_back(self, commit: Commit) -> None:
        """Return if it turns out to be stored. A write seen nowhere may still arrive: unknown."""
        deadline = asyncio.get_running_loop().time() + _READ_BACK_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            try:
                past = await self.load(commit.stream)
            except PyMongoError:
                await asyncio.sleep(0.2)  # real time: the server is away, not the clock
                continue
            if past.decided_by(commit.cause.command_id) == commit:
                return
            if past.version >= commit.first:
                raise Conflict(commit.stream)
            break
        raise OutcomeUnknown(commit.stream)


def encode(commit: Commit) -> RawBSONDocument:
    """The stored form. Raises TooLarge, or ValueError for text that is not Unicode."""
    document: Document = {
        "_id": key(commit.stream, commit.first),
        "stream": commit.stream,
        "first": commit.first,
        "facts": [fact.model_dump(mode="json", exclude_none=True) for fact in commit.facts],
        "command_id": commit.cause.command_id,
        "correlation": commit.cause.correlation,
        "town": commit.town,
        "profile": commit.profile,
        "occurred": commit.occurred,
        "recorded": commit.recorded,
        "ts": Timestamp(0, 0),
    }
    if commit.cause.causation is not None:
        document["causation"] = commit.cause.causation
    if commit.cause.traceparent is not None:
        document["traceparent"] = commit.cause.traceparent
    if commit.request is not None:
        document["request"] = {"subject": commit.request.subject, "mac": commit.request.mac}
    raw = bson.encode(document)
    if len(raw) > FACT_LIMIT // 8:  # JSON is at most six times as long: no need to look below
        check_size(commit)
    if len(raw) > COMMIT_LIMIT:
        raise TooLarge(f"{commit.stream}: a commit of {len(raw)} bytes")
    return RawBSONDocument(raw)


def from_document(document: Document) -> Commit:
    """A stored commit. Raises ValueError when it does not read."""
    request: dict[str, Any] | None = document.get("request")
    recorded: datetime = document["recorded"]
    causation: str | None = document.get("causation")
    return Commit(
        stream=StreamId(document["stream"]),
        first=document["first"],
        facts=tuple(decode_document(fact) for fact in document["facts"]),
        cause=Cause(
            CommandId(document["command_id"]),
            document["correlation"],
            None if causation is None else FactId(causation),
            document.get("traceparent"),
        ),
        town=TownId(document["town"]),
        profile=ProfileVersion(document["profile"]),
        occurred=document["occurred"],
        recorded=recorded,
        request=None
        if request is None
        else RequestSeal(SubjectId(request["subject"]), bytes(request["mac"])),
    )


def _of(stream: StreamId) -> Document:
    return {"_id": {"$gte": f"{stream}@", "$lt": f"{stream}A"}}


def key(stream: StreamId, first: int) -> str:
    """The `_id` of the commit of a stream whose first version is `first`."""
    return f"{stream}@{first:010d}"
