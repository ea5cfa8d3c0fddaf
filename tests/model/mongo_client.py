"""As much of motor as the house uses, over a mongod in memory, as one process sees it.

Each call is one the host may lose. What is missing here is an AttributeError or a TypeError.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import bson
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from shared import mongo
from tests.model.documents import Document, updated
from tests.model.hosts import Host
from tests.model.mongod import Held, Mongod, Namespace, Stored, Transaction

T = TypeVar("T")
_Query = Mapping[str, Any]
_HELD_SECONDS = 0.01


class Session:
    """Holds one transaction at a time."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.transaction: Transaction | None = None
        self._transacting = False

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end_session()

    async def end_session(self) -> None:
        await self.abort_transaction()

    @asynccontextmanager
    async def start_transaction(self, *_: object) -> AsyncIterator[None]:
        self._transacting = True
        try:
            yield
        except BaseException:
            await self.abort_transaction()
            raise
        if (mine := self.transaction) is not None:
            await self._client.host.call("commit", lambda: self._client.server.commit(mine))
            self.transaction = None

    def within(self) -> Transaction | None:
        """The transaction; it begins when the server first hears of it."""
        if self._transacting and self.transaction is None:
            self.transaction = self._client.server.begin()
        return self.transaction

    async def abort_transaction(self) -> None:
        self._transacting = False
        if self.transaction is not None and self._client.host.alive:
            self._client.server.abort(self.transaction)
            self.transaction = None


class Client:
    """One process' client."""

    def __init__(self, server: Mongod, host: Host) -> None:
        self.server = server
        self.host = host

    async def start_session(self) -> Session:
        return Session(self)

    def get_database(self, name: str, *_: object, **__: object) -> "Database":
        return Database(self, name)


class Database:
    """One database; its options are whatever they are."""

    codec_options = read_concern = write_concern = None

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self._cursors: dict[int, int] = {}

    def __getitem__(self, name: str) -> "Collection":
        return Collection(self, name)

    async def create_collection(self, name: str, *, check_exists: bool) -> None:
        """It makes itself."""

    async def command(self, command: _Query, **_: object) -> Document:
        """Those of a change stream."""
        match command:
            case {"aggregate": str(name), "pipeline": [{"$changeStream": stage}, *_]}:
                return await self.client.host.call("feed", lambda: self._begin(name, stage))
            case {"getMore": int(cursor), "collection": str(name)}:
                answer = await self.client.host.call("feed", lambda: self._more(cursor, name))
                if not answer["cursor"]["nextBatch"]:
                    await asyncio.sleep(command["maxTimeMS"] / 1000)
                    answer = await self.client.host.call("feed", lambda: self._more(cursor, name))
                return answer
            case {"killCursors": _, "cursors": [int(cursor)]}:
                self._cursors.pop(cursor, None)
                return {}
        raise NotImplementedError(command)

    def _begin(self, name: str, stage: _Query) -> Document:
        server = self.client.server
        match stage:
            case {"resumeAfter": {"_data": str(token)}}:
                place = server.place_after(Timestamp(int(token[2:10], 16), int(token[10:18], 16)))
            case {"startAtOperationTime": since}:
                place = server.place_after(Timestamp(since.time, max(since.inc - 1, 0)))
            case _:
                place = len(server.inserted)
        cursor = len(self._cursors) + 1
        self._cursors[cursor] = place
        return {**self._batch(cursor, name, "firstBatch"), "operationTime": server.last}

    def _more(self, cursor: int, name: str) -> Document:
        return self._batch(cursor, name, "nextBatch")

    def _batch(self, cursor: int, name: str, field: str) -> Document:
        server = self.client.server
        came = server.inserted[self._cursors[cursor] :]
        self._cursors[cursor] = len(server.inserted)
        changes = [
            {"fullDocument": stored.copy(), "clusterTime": at}
            for at, of, stored in came
            if of == (self.name, name)
        ]
        token = f"82{server.last.time:08X}{server.last.inc:08X}"
        told = {"id": cursor, field: changes, "postBatchResumeToken": {"_data": token}}
        return {"cursor": told}


class Cursor:
    """What is found, once somebody asks."""

    def __init__(self, collection: "Collection", query: _Query, within: Session | None) -> None:
        self._collection = collection
        self._query = query
        self._within = within
        self._order: tuple[str, int] | None = None
        self._most: int | None = None

    def sort(self, field: str, direction: int) -> "Cursor":
        self._order = (field, direction)
        return self

    def limit(self, most: int) -> "Cursor":
        self._most = most
        return self

    async def to_list(self, _: None) -> list[Document]:
        return await self._collection.called("find", self._find, self._within)

    async def __aiter__(self) -> AsyncIterator[Document]:
        for document in await self.to_list(None):
            yield document

    def _find(self) -> list[Document]:
        found = [s.copy() for s in self._collection.found(self._query, self._within)]
        if self._order is not None:
            field, direction = self._order
            found.sort(key=lambda d: d[field], reverse=direction < 0)
        return found[: self._most]


class Collection:
    """One collection."""

    def __init__(self, database: Database, name: str) -> None:
        self.database = database
        self.name = name
        self._of: Namespace = (database.name, name)
        self._server = database.client.server

    async def called(
        self, operation: str, effect: Callable[[], T], within: Session | None = None
    ) -> T:
        """One call, repeated while an open transaction is in its way."""
        while True:
            try:
                if within is not None and within.transaction is not None:
                    self._server.check_open(within.transaction)
                return await self.database.client.host.call(f"{self.name}.{operation}", effect)
            except Held:
                await asyncio.sleep(_HELD_SECONDS)

    def found(self, query: _Query, within: Session | None = None) -> list[Stored]:
        return list(self._server.found(self._of, query, _of(within)))

    async def create_index(self, keys: object, *, sparse: bool = False) -> None:
        """Only the one on `_id` changes what may be written."""

    def find(
        self, query: _Query | None = None, _: object = None, *, session: Session | None = None
    ) -> Cursor:
        return Cursor(self, query or {}, session)

    async def find_one(
        self, query: _Query | None = None, _: object = None, *, session: Session | None = None
    ) -> Document | None:
        found = await self.called("find", lambda: self.found(query or {}, session), session)
        return found[0].copy() if found else None

    async def distinct(self, field: str, query: _Query | None = None) -> list[Any]:
        found = await self.called("find", lambda: self.found(query or {}))
        return list({stored.document[field]: None for stored in found})

    async def count_documents(self, query: _Query) -> int:
        return len(await self.called("find", lambda: self.found(query)))

    async def insert_one(self, document: Document) -> None:
        await self.called("insert", lambda: self._server.insert(self._of, document))

    async def insert_many(
        self, documents: Sequence[RawBSONDocument | Document], *, ordered: bool
    ) -> None:
        if ordered:
            raise NotImplementedError("ordered")
        await self.called("insert", lambda: self._insert_many(documents))

    def _insert_many(self, documents: Sequence[RawBSONDocument | Document]) -> None:
        errors = []
        for n, each in enumerate(documents):
            document = bson.decode(each.raw) if isinstance(each, RawBSONDocument) else each
            try:
                self._server.insert(self._of, document)
            except DuplicateKeyError as taken:
                errors.append({"index": n, "code": taken.code})
        if errors:
            raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})

    async def update_one(
        self,
        query: _Query,
        update: Any,
        *,
        upsert: bool = False,
        session: Session | None = None,
    ) -> Any:
        write = UpdateOne(query, update, upsert=upsert)
        return await self.called("update", lambda: _Result(self._write(write, session)), session)

    async def update_many(self, query: _Query, update: Any) -> None:
        def effect() -> None:
            for stored in self.found(query):
                self._write(UpdateOne({"_id": stored.document["_id"]}, update), None)

        await self.called("update", effect)

    async def find_one_and_update(
        self, query: _Query, update: Any, *, return_document: bool, upsert: bool = False
    ) -> Document | None:
        if not return_document:
            raise NotImplementedError("the document before")

        def effect() -> Document | None:
            if not self._write(UpdateOne(query, update, upsert=upsert), None) and not upsert:
                return None
            return self.found({"_id": query["_id"]})[0].copy()

        return await self.called("update", effect)

    async def delete_one(self, query: _Query) -> None:
        await self.called("delete", lambda: self._write(DeleteOne(query), None))

    async def bulk_write(
        self, writes: Sequence[Any], *, ordered: bool, session: Session | None = None
    ) -> Any:
        if ordered:
            raise NotImplementedError("ordered")

        def effect() -> _Result:
            try:
                return _Result(sum(self._write(write, session) for write in writes))
            except DuplicateKeyError as taken:
                raise BulkWriteError({"writeErrors": [{"code": taken.code}]}) from None

        return await self.called("write", effect, session)

    def _write(self, write: Any, session: Session | None) -> int:
        """One write; how many documents it matched."""
        within = _of(session)
        if isinstance(write, InsertOne):
            self._server.insert(self._of, write._doc, within)
            return 0
        found = self.found(write._filter, session)
        if isinstance(write, DeleteMany | DeleteOne):
            for stored in found[: 1 if isinstance(write, DeleteOne) else None]:
                self._server.put(self._of, stored.document["_id"], None, within)
            return 0
        if not found and not write._upsert:
            return 0
        before = found[0].document if found else None
        name = before["_id"] if before else cast("Any", write._filter)["_id"]
        if isinstance(write, ReplaceOne):
            after = {"_id": name, **cast("Document", write._doc)}
        elif isinstance(write, UpdateOne):
            after = updated(before, name, cast("Any", write._doc), self._server.now)
        else:
            raise NotImplementedError(write)
        if after != before:  # what changes nothing is in nobody's way
            self._server.put(self._of, name, Stored(after), within)
        return len(found)


def _of(session: Session | None) -> Transaction | None:
    return None if session is None else session.within()


class _Result:
    """How many documents a write matched."""

    def __init__(self, matched: int) -> None:
        self.matched_count = matched


def database(server: Mongod, host: Host, name: str) -> mongo.Database:
    """A database as a process sees it."""
    return cast("mongo.Database", Client(server, host).get_database(name))
