"""Many callers, one durable write: inserts that wait together for the journal.

A flush takes what is queued, writes it by one unordered `insert_many` and gives each caller its
own outcome. While one flush waits for the disk the next fills, so there is no linger. Documents
come encoded: what cannot be encoded never reaches a flush, and no caller can fail another's.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

import structlog
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, PyMongoError

from shared.errors import OutcomeUnknown, Overloaded
from shared.mongo import Collection

DUPLICATE_KEY: Final = 11000

log = structlog.get_logger(__name__)


class AlreadyThere(Exception):
    """A document with this `_id` is stored; whose it is, the caller must look."""


@dataclass(slots=True, eq=False)
class _Waiting:
    lane: str
    document: RawBSONDocument
    size: int
    done: asyncio.Future[None]


class GroupInsert:
    """Durable inserts into one collection.

    `lane` keeps documents apart that must not share a flush (two commits of one stream); at most
    `queue` callers wait, with at most `queued_bytes`, the next is told Overloaded. Flushes hold at
    most `documents` documents or `size` bytes, `in_flight` of them at a time.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        queue: int = 4096,
        queued_bytes: int = 32 * 1024 * 1024,
        documents: int = 256,
        size: int = 4 * 1024 * 1024,
        in_flight: int = 2,
    ) -> None:
        self._collection = collection
        self._queue = queue
        self._queued_bytes = queued_bytes
        self._documents = documents
        self._size = size
        self._free = in_flight
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._flushes: set[asyncio.Task[None]] = set()
        self.flushed = 0
        """Flushes so far, and …"""
        self.inserted = 0
        """… documents they tried to insert: their ratio is the size of a group."""

    async def insert(self, lane: str, document: RawBSONDocument) -> None:
        """Return once it is durable. Raises AlreadyThere, Overloaded or OutcomeUnknown."""
        size = len(document.raw)
        if len(self._waiting) >= self._queue or self._waiting_bytes + size > self._queued_bytes:
            raise Overloaded
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(lane, document, size, done))
        self._waiting_bytes += size
        # Callers that become ready in the same turn of the loop are to share the first flush.
        asyncio.get_running_loop().call_soon(self._start)
        await done

    async def drain(self) -> None:
        """Wait until nothing is queued or in flight."""
        while self._flushes or self._waiting:
            await asyncio.gather(*self._flushes)
            await asyncio.sleep(0)

    def _start(self) -> None:
        while self._free and self._waiting:
            batch = self._take()
            self._free -= 1
            flush = asyncio.create_task(self._flush(batch))
            self._flushes.add(flush)
            flush.add_done_callback(self._finish)

    def _finish(self, flush: asyncio.Task[None]) -> None:
        self._flushes.discard(flush)
        if not flush.cancelled() and (bug := flush.exception()):
            log.error("a flush failed in a way nobody expected", exc_info=bug)
        self._free += 1
        self._start()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        later: list[_Waiting] = []
        lanes: set[str] = set()
        room = self._size
        while self._waiting and len(batch) < self._documents and room > 0:
            waiting = self._waiting.popleft()
            self._waiting_bytes -= waiting.size
            if waiting.done.done():  # its caller has gone; it was never sent
                continue
            if waiting.lane in lanes:
                later.append(waiting)
                continue
            lanes.add(waiting.lane)
            batch.append(waiting)
            room -= waiting.size
        self._waiting.extendleft(reversed(later))
        self._waiting_bytes += sum(each.size for each in later)
        return batch

    async def _flush(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        self.flushed += 1
        self.inserted += len(batch)
        errors: dict[int, BaseException] = dict.fromkeys(range(len(batch)), OutcomeUnknown())
        try:
            await self._collection.insert_many([w.document for w in batch], ordered=False)
            errors = {}
        except BulkWriteError as failed:
            errors = _outcomes(failed, len(batch))
        except PyMongoError as failed:
            log.warning("flush outcome unknown", error=type(failed).__name__, documents=len(batch))
        finally:  # whatever went wrong, nobody is left waiting
            for n, waiting in enumerate(batch):
                if waiting.done.done():
                    continue
                if n in errors:
                    waiting.done.set_exception(errors[n])
                else:
                    waiting.done.set_result(None)


def _outcomes(failed: BulkWriteError, count: int) -> dict[int, BaseException]:
    """What went wrong, by place in the flush. Where a majority did not answer in time all are
    unknown: what took an `_id` may itself be undone, and cannot be read yet."""
    details = failed.details
    if details.get("writeConcernErrors"):
        return dict.fromkeys(range(count), OutcomeUnknown())
    errors: dict[int, BaseException] = {}
    for error in details.get("writeErrors", []):
        taken = error["code"] == DUPLICATE_KEY
        errors[error["index"]] = AlreadyThere() if taken else OutcomeUnknown()
    return errors
