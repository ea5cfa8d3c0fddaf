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
from pymongo.errors import PyMongoError
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


class ChangeFeed:
    """Inserted documents of one collection in commit order, a server batch at a time.

    Driven by raw commands because a batch then costs one hop to a thread, not one per document,
    and each batch comes with the token that follows it, also when it is empty. It does not
    resume by itself: on an error, open a new one from the token saved last.

    `cluster_time` is that of the last document given out. The time of the server's answer would
    not do: an answer that is full, or that ran out of time, is far behind it.
    """

    def __init__(self, collection: Collection, *, batch: int = 1000, wait_ms: int = 500) -> None:
        self._db = collection.database
        self._name = collection.name
        self._batch = batch
        self._wait_ms = wait_ms
        self._session: Session | None = None
        self._cursor: Any = 0
        self._first: list[Document] = []
        self.token: Document | None = None
        self.cluster_time: Timestamp | None = None

    async def open(self, after: Document | None) -> None:
        """Start right after `after`, or now. Raises OperationFailure 286 or 280 if it is lost."""
        stage: Document = {"fullDocument": "default"}
        if after is not None:
            stage["resumeAfter"] = after
        self._session = await self._db.client.start_session()
        answer = await self._db.command(
            {
                "aggregate": self._name,
                "pipeline": [{"$changeStream": stage}, {"$match": {"operationType": "insert"}}],
                "cursor": {"batchSize": self._batch},
                "readConcern": {"level": "majority"},
            },
            session=self._session,
            codec_options=_AWARE,
        )
        self._cursor = answer["cursor"]["id"]
        if after is None:
            self.cluster_time = answer["operationTime"]
        self._first = self._take(answer, "firstBatch")

    async def next(self) -> list[Document]:
        """The next inserted documents; empty after `wait_ms` without any. Moves `token` on."""
        if self._first:
            documents, self._first = self._first, []
            return documents
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
        if changes := cursor[field]:
            self.cluster_time = changes[-1]["clusterTime"]
        return [change["fullDocument"] for change in changes]
