"""A mongod in memory: collections, transactions at snapshot, and the feed of what was inserted."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import bson
from bson import Timestamp
from bson.codec_options import CodecOptions
from pymongo.errors import DuplicateKeyError, OperationFailure

from tests.model.documents import Document, matches

Namespace = tuple[str, str]
"""Database and collection."""
LIFETIME_SECONDS: Final = 20.0
"""A transaction that is open for longer is aborted by the server."""
WRITE_CONFLICT: Final = 112
NO_SUCH_TRANSACTION: Final = 251
_EPOCH: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_AWARE: Final[CodecOptions[Document]] = CodecOptions(tz_aware=True)


class Held(Exception):
    """A transaction that is open has written to the document."""


class Stored:
    """A document as it is kept; whoever reads it gets a copy."""

    __slots__ = ("_raw", "document")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._raw = bson.encode(document)
        self.document: Document = bson.decode(self._raw, _AWARE)

    def copy(self) -> Document:
        return bson.decode(self._raw, _AWARE)


Documents = dict[Any, Stored]


@dataclass
class Transaction:
    """What it sees, and what it is to write."""

    began: int
    expires: float
    seen: dict[Namespace, Documents]
    writes: dict[tuple[Namespace, Any], Stored | None] = field(default_factory=dict)


class Mongod:
    """All that is stored, by namespace."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.collections: dict[Namespace, Documents] = {}
        self.inserted: list[tuple[Timestamp, Namespace, Stored]] = []
        self.open: list[Transaction] = []
        self._ticks = 0
        self._written: dict[tuple[Namespace, Any], int] = {}

    @property
    def now(self) -> datetime:
        at = _EPOCH + timedelta(seconds=self._loop.time())
        return at.replace(microsecond=at.microsecond // 1000 * 1000)

    @property
    def last(self) -> Timestamp:
        """The cluster time of the last write."""
        return Timestamp(int(_EPOCH.timestamp()), self._ticks)

    def documents(self, of: Namespace, within: Transaction | None = None) -> Documents:
        """Those of a collection, as committed or as a transaction sees them."""
        if within is None:
            return self.collections.setdefault(of, {})
        return within.seen.setdefault(of, {})

    def found(
        self, of: Namespace, query: Mapping[str, Any], within: Transaction | None = None
    ) -> Iterator[Stored]:
        """Those that match."""
        for stored in list(self.documents(of, within).values()):
            if matches(stored.document, query, self.now):
                yield stored

    def insert(
        self, of: Namespace, document: Mapping[str, Any], within: Transaction | None = None
    ) -> None:
        """Raises DuplicateKeyError."""
        name = document["_id"]
        if name in self.documents(of, within):
            raise DuplicateKeyError(f"E11000 {of} {name}", 11000)
        if document.get("ts") == Timestamp(0, 0):  # the server fills in when
            document = {**document, "ts": Timestamp(self.last.time, self._ticks + 1)}
        self.put(of, name, Stored(document), within)

    def put(
        self, of: Namespace, name: Any, document: Stored | None, within: Transaction | None = None
    ) -> None:
        """Write a document, or take it out. Raises Held, or OperationFailure where another
        transaction was faster."""
        self._check_free(of, name, within)
        if within is None:
            self._apply(of, name, document)
            return
        within.writes[of, name] = document
        _place(within.seen.setdefault(of, {}), name, document)

    def begin(self) -> Transaction:
        """A transaction that sees what is committed now."""
        seen = {of: dict(documents) for of, documents in self.collections.items()}
        expires = self._loop.time() + LIFETIME_SECONDS
        begun = Transaction(self._ticks, expires, seen)
        self.open.append(begun)
        return begun

    def commit(self, transaction: Transaction) -> None:
        """All it wrote at once. Raises OperationFailure when the server has aborted it."""
        self.check_open(transaction)
        self.open.remove(transaction)
        for (of, name), document in transaction.writes.items():
            self._apply(of, name, document)

    def abort(self, transaction: Transaction) -> None:
        """Nothing of it."""
        if transaction in self.open:
            self.open.remove(transaction)

    def check_open(self, transaction: Transaction) -> None:
        """Raises OperationFailure when the server has aborted it."""
        self._expire()
        if transaction not in self.open:
            raise OperationFailure("the transaction was aborted", NO_SUCH_TRANSACTION)

    def place_after(self, token: Timestamp) -> int:
        """Where in the feed it goes on."""
        return sum(at <= token for at, _, _ in self.inserted)

    def _apply(self, of: Namespace, name: Any, document: Stored | None) -> None:
        self._ticks += 1
        documents = self.documents(of)
        if document is not None and name not in documents:
            self.inserted.append((self.last, of, document))
        self._written[of, name] = self._ticks
        _place(documents, name, document)

    def _check_free(self, of: Namespace, name: Any, within: Transaction | None) -> None:
        self._expire()
        if within is not None and self._written.get((of, name), 0) > within.began:
            raise OperationFailure("WriteConflict", WRITE_CONFLICT)
        for other in self.open:
            if other is not within and (of, name) in other.writes:
                if within is None:
                    raise Held
                raise OperationFailure("WriteConflict", WRITE_CONFLICT)

    def _expire(self) -> None:
        now = self._loop.time()
        self.open = [each for each in self.open if each.expires > now]


def _place(documents: Documents, name: Any, document: Stored | None) -> None:
    if document is None:
        documents.pop(name, None)
    else:
        documents[name] = document
