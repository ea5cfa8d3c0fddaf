"""The only module that knows motor: clients, durable collections, leases' and cursors' seams.

Everything else takes these types and pymongo's plain value types (errors, options).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bson import Timestamp
from bson.codec_options import CodecOptions
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]
Session = AsyncIOMotorClientSession

DURABLE = WriteConcern(w="majority", j=True, wtimeout=5000)
MAJORITY = ReadConcern("majority")
_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)


def connect(uri: str, *, patience_seconds: float = 10.0) -> Client:
    """A client whose datetimes are aware and whose writes are durable unless told otherwise. It
    looks for a primary for so long."""
    return AsyncIOMotorClient(
        uri,
        tz_aware=True,
        uuidRepresentation="standard",
        serverSelectionTimeoutMS=int(patience_seconds * 1000),
        connectTimeoutMS=5_000,
        socketTimeoutMS=30_000,
        retryWrites=True,
        retryReads=True,
    )


def database(client: Client, name: str) -> Database:
    """A database read and written at majority."""
    return client.get_database(name, _AWARE, read_concern=MAJORITY, write_concern=DURABLE)


@asynccontextmanager
async def transaction(client: Client) -> AsyncIterator[Session]:
    """One transaction at snapshot and majority; it is aborted when the block raises."""
    async with (
        await client.start_session() as session,
        session.start_transaction(ReadConcern("snapshot"), DURABLE),
    ):
        yield session


def told(failed: Exception) -> str:
    """What failed, for the log: without the documents, which a bulk write lists in its text."""
    said = str(failed)
    if isinstance(failed, BulkWriteError):
        errors = (failed.details or {}).get("writeErrors") or [{"errmsg": "not acknowledged"}]
        said = str(errors[0]["errmsg"])
    return f"{type(failed).__name__}: {said}"


class ChangeFeed:
    """Inserted documents of one collection in commit order, a server batch at a time.

    Driven by raw commands because a batch then costs one hop to a thread, not one per document,
    and each batch comes with the token that follows it, also when it is empty. It does not
    resume by itself: on an error, open a new one from the token saved last.

    `cluster_time` is that of the last document given out. The time of the server's answer would
    not do: an answer that is full, or that ran out of time, is far behind it.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        batch: int = 1000,
        wait_ms: int = 500,
        keys_only: bool = False,
    ) -> None:
        """`keys_only`: of each change its `documentKey` and `clusterTime` alone, for `changes`."""
        self._db = collection.database
        self._name = collection.name
        self._pipeline: list[Document] = [{"$match": {"operationType": "insert"}}]
        if keys_only:
            self._pipeline.append({"$project": {"documentKey": 1, "clusterTime": 1}})
        self._batch = batch
        self._wait_ms = wait_ms
        self._session: Session | None = None
        self._cursor: Any = 0
        self._first: list[Document] = []
        self.token: Document | None = None
        self.cluster_time: Timestamp | None = None

    async def open(self, after: Document | None) -> None:
        """Start right after `after`, or now. Raises OperationFailure 286 or 280 if it is lost."""
        answer = await self._begin({} if after is None else {"resumeAfter": after})
        if after is None:
            self.cluster_time = answer["operationTime"]

    async def open_since(self, time: Timestamp) -> None:
        """Start with what was committed at `time`. Raises OperationFailure 286 if that is lost."""
        await self._begin({"startAtOperationTime": time})

    async def _begin(self, place: Document) -> Document:
        self._session = await self._db.client.start_session()
        stage = {"$changeStream": {"fullDocument": "default", **place}}
        answer: Document = await self._db.command(
            {
                "aggregate": self._name,
                "pipeline": [stage, *self._pipeline],
                "cursor": {"batchSize": self._batch},
                "readConcern": {"level": "majority"},
            },
            session=self._session,
            codec_options=_AWARE,
        )
        self._cursor = answer["cursor"]["id"]
        self._first = self._take(answer, "firstBatch")
        return answer

    async def next(self) -> list[Document]:
        """The next inserted documents; empty after `wait_ms` without any. Moves `token` on."""
        return [change["fullDocument"] for change in await self.changes()]

    async def changes(self) -> list[Document]:
        """The same as the server's change events: what they hold beside the document."""
        if self._first:
            changes, self._first = self._first, []
            return changes
        answer = await self._db.command(
            {
                "getMore": self._cursor,
                "collection": self._name,
                "batchSize": self._batch,
                "maxTimeMS": self._wait_ms,
            },
            session=self._session,
            codec_options=_AWARE,
        )
        return self._take(answer, "nextBatch")

    async def close(self) -> None:
        """Free what the server holds; never raises."""
        if self._session is None:
            return
        try:
            if self._cursor:
                await self._db.command(
                    {"killCursors": self._name, "cursors": [self._cursor]}, session=self._session
                )
            await self._session.end_session()
        except PyMongoError:
            pass
        self._session, self._cursor = None, 0

    def _take(self, answer: Document, field: str) -> list[Document]:
        cursor = answer["cursor"]
        self.token = cursor.get("postBatchResumeToken", self.token)
        changes: list[Document] = cursor[field]
        if changes:
            self.cluster_time = changes[-1]["clusterTime"]
        return changes


async def server_time(database: Database) -> Timestamp:
    """The cluster time now."""
    answered: Timestamp = (await database.command("ping"))["operationTime"]
    return answered


def time_of(token: Document) -> Timestamp:
    """The cluster time a feed's token stands at: all that was committed before it was given out.

    A token is a key string: `82`, which says timestamp, then seconds and increment."""
    said: str = token["_data"]
    return Timestamp(int(said[2:10], 16), int(said[10:18], 16))
