"""From a service's event store to Kafka, in commit order, at least once.

The change stream is the only order in which commits become visible without gaps. The token is
saved after the brokers acknowledged everything before it. One instance relays, by lease; a
former leader that wakes up can only repeat what consumers have already seen and drop.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from bson import Timestamp
from pymongo import ASCENDING
from pymongo.errors import OperationFailure, PyMongoError

from shared.kafka import abandon
from shared.lease import Lease, Lost
from shared.mongo import ChangeFeed, Collection, Document
from shared.mongo_store import from_document
from shared.outgoing import Outgoing, Outlet

MARGIN_SECONDS: Final = 600
"""How far before the last known cluster time a re-scan begins: longer than any commit takes
from the server's stamp to a majority."""
HISTORY_LOST: Final = (280, 286)
_CHUNK: Final = 1000

log = structlog.get_logger(__name__)


class Relay:
    """Publishes what `outlet` makes of one store's commits while it holds the lease."""

    def __init__(
        self,
        commits: Collection,
        lease: Lease,
        outlet: Outlet,
        producer: Callable[[], AIOKafkaProducer],
        *,
        lease_seconds: float,
    ) -> None:
        self._commits = commits
        self._lease = lease
        self._outlet = outlet
        self._new_producer = producer
        self._pause = lease_seconds / 4
        self._saved_at = 0.0
        self.leading = False
        self.published = 0
        self.fault: str | None = None
        """Why it stands still, if it does."""

    async def run(self) -> None:
        """Relay until cancelled; the lease is then released for the next one."""
        while True:
            try:
                await self._lead()
            except Lost:
                log.warning("relay lease lost")
            except (PyMongoError, KafkaError) as failed:
                log.warning("relay starts over", error=f"{type(failed).__name__}: {failed}")
            except ValueError as wrong:  # another instance would fare no better: stand still
                self.fault = str(wrong)
                log.critical("a commit does not read; the relay stands still", error=self.fault)
            await asyncio.sleep(self._pause)

    async def _lead(self) -> None:
        """Lead as long as the lease lasts; return at once if somebody else has it."""
        document = await self._lease.take()
        if document is None:
            return
        self.leading = True
        log.info("relay leads", epoch=document["epoch"])
        feed, producer = ChangeFeed(self._commits), self._new_producer()
        try:
            await producer.start()
            await self._open(feed, producer, document)
            while True:
                commits = await feed.next()
                await self._publish(producer, commits)
                await self._save(feed, force=bool(commits))
                self.fault = None
        finally:
            self.leading = False
            with contextlib.suppress(PyMongoError):
                await self._lease.release()
            await abandon(producer)
            await feed.close()

    async def _open(self, feed: ChangeFeed, producer: AIOKafkaProducer, lease: Document) -> None:
        """Go on after the saved token; where there is none any more, scan what it may miss.

        The new stream is opened first: what is committed during the scan comes after it.
        """
        token = lease.get("token")
        if token is not None:
            try:
                await feed.open(token)
            except OperationFailure as failed:
                if failed.code not in HISTORY_LOST:
                    raise
                log.warning("relay token lost, scanning the store", code=failed.code)
            else:
                feed.cluster_time = feed.cluster_time or lease.get("cluster_time")
                return
        await feed.open(None)
        # The stream begins after the last write of the primary, a scan ends with the last one a
        # majority has: by waiting for a later write of our own, nothing lies between the two.
        await self._lease.renew()
        last = await self._scan(producer, lease.get("cluster_time"))
        feed.cluster_time = max(filter(None, (feed.cluster_time, last)), default=None)
        await self._save(feed, force=True)

    async def _scan(self, producer: AIOKafkaProducer, since: Timestamp | None) -> Timestamp | None:
        """Publish what may not have been; the server's stamp of the last one."""
        last: Timestamp | None = None
        start = Timestamp(max(since.time - MARGIN_SECONDS, 0) if since else 0, 0)
        chunk: list[Document] = []
        async for document in self._commits.find({"ts": {"$gte": start}}).sort("ts", ASCENDING):
            chunk.append(document)
            last = document["ts"]
            if len(chunk) == _CHUNK:
                await self._publish(producer, chunk)
                await self._lease.renew()
                chunk = []
        await self._publish(producer, chunk)
        return last

    async def _publish(self, producer: AIOKafkaProducer, commits: list[Document]) -> None:
        """All of it, acknowledged; one await for all, never one each."""
        sent: list[asyncio.Future[object]] = []
        try:
            for out in chain.from_iterable(map(self._records, commits)):
                if out.optional and not await self._heard(producer, out.topic):
                    continue
                queued = producer.send(out.topic, out.value, key=out.key, headers=out.headers)
                sent.append(await queued)  # what was sent is cancelled on failure
            await asyncio.gather(*sent)
        finally:
            for each in sent:  # after a failure nobody asks the others what became of them
                each.cancel()
        self.published += len(sent)

    async def _heard(self, producer: AIOKafkaProducer, topic: str) -> bool:
        """Whether there is such a topic: facts do not wait for an answer nobody can be given.
        The store keeps what was not sent. Raises KafkaError while Kafka cannot say."""
        client = producer.client
        if topic in client.cluster.topics():
            return True
        client.add_topic(topic)
        if not await client.force_metadata_update():
            raise KafkaConnectionError("Kafka does not say which topics there are")
        there = topic in client.cluster.topics()
        if not there:
            log.error("no topic for an answer; it is not sent", topic=topic)
        return there

    def _records(self, commit: Document) -> Iterator[Outgoing]:
        return chain.from_iterable(map(self._outlet, from_document(commit).recorded_facts()))

    async def _save(self, feed: ChangeFeed, *, force: bool) -> None:
        """Save the token: after every publish, and now and then on idle, before it ages out."""
        now = asyncio.get_running_loop().time()
        if force or now - self._saved_at > self._pause:
            await self._lease.renew(token=feed.token, cluster_time=feed.cluster_time)
            self._saved_at = now
