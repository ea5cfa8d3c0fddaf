"""From a service's event store to Kafka, in commit order, at least once.

The change stream is the only order in which commits become visible without gaps. The token is
saved after the brokers acknowledged everything before it. One instance relays, by lease; a
former leader that wakes up can only repeat what consumers have already seen and drop.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from bson import Timestamp
from pymongo import ASCENDING
from pymongo.errors import OperationFailure, PyMongoError

from shared.crash import reached
from shared.kafka import abandon
from shared.lease import Lease, Lost
from shared.marks import KNOWN, Marks
from shared.mongo import ChangeFeed, Collection, Document
from shared.mongo_store import from_document
from shared.outgoing import Outgoing, Outlet
from shared.sending import PATIENCE_SECONDS, acknowledged

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
        patience: float = PATIENCE_SECONDS,
        marks: Marks | None = None,
    ) -> None:
        """`marks` are kept in the lease and moved on by what is published."""
        self._commits = commits
        self._lease = lease
        self._outlet = outlet
        self._new_producer = producer
        self._pause = lease_seconds / 4
        self._patience = patience
        self._marks = marks
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
        producer = self._new_producer()
        try:
            await producer.start()
            await self._relay(producer, document.get("token"), document.get("cluster_time"))
        finally:
            self.leading = False
            try:
                await abandon(producer)  # first: until then it may still send
            finally:
                with contextlib.suppress(PyMongoError):
                    await self._lease.release()

    async def _relay(
        self, producer: AIOKafkaProducer, token: Document | None, since: Timestamp | None
    ) -> None:
        """Go on after the token; where the server has lost that place, scan what may be missed.

        It may say so at once, or only when the next commit comes. The new stream is opened before
        the scan: what is committed meanwhile comes after it.
        """
        while True:
            feed = ChangeFeed(self._commits)
            try:
                await feed.open(token)
                if token is None:
                    await self._scan(producer, feed, since)
                feed.cluster_time = feed.cluster_time or since
                await self._follow(producer, feed)
            except OperationFailure as failed:
                if token is None or failed.code not in HISTORY_LOST:
                    raise
                log.warning("relay token lost, scanning the store", code=failed.code)
                token, since = None, feed.cluster_time or since
            finally:
                await feed.close()

    async def _follow(self, producer: AIOKafkaProducer, feed: ChangeFeed) -> None:
        while True:
            commits = await feed.next()
            if commits:
                reached("committed-before-publish")
            await self._publish(producer, commits)
            if commits:
                reached("published-before-token")
            await self._save(feed, force=bool(commits))
            self.fault = None

    async def _scan(
        self, producer: AIOKafkaProducer, feed: ChangeFeed, since: Timestamp | None
    ) -> None:
        """Publish all that may not have been, then save where `feed` begins."""
        # The stream begins after the last write of the primary, a scan ends with the last one a
        # majority has: by waiting for a later write of our own, nothing lies between the two.
        await self._lease.renew()
        start = Timestamp(max(since.time - MARGIN_SECONDS, 0) if since else 0, 0)
        chunk: list[Document] = []
        async for document in self._commits.find({"ts": {"$gte": start}}).sort("ts", ASCENDING):
            chunk.append(document)
            feed.cluster_time = max(filter(None, (feed.cluster_time, document["ts"])))
            if len(chunk) == _CHUNK:
                await self._publish(producer, chunk)
                await self._lease.renew()
                chunk = []
        await self._publish(producer, chunk)
        await self._save(feed, force=True)

    async def _publish(self, producer: AIOKafkaProducer, commits: list[Document]) -> None:
        """All of it, acknowledged. Raises Lost, and KafkaError where nothing gets through.

        The lease is held meanwhile: where Kafka takes longer than a term, two instances would
        else take turns with the same commits and get no further.
        """
        sending = asyncio.create_task(self._send(producer, commits))
        try:
            while not (await asyncio.wait({sending}, timeout=self._pause))[0]:
                await self._lease.renew()
            self.published += await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, producer: AIOKafkaProducer, commits: list[Document]) -> int:
        """How many records Kafka acknowledged: all."""
        sent: list[asyncio.Future[Any]] = []
        facts: list[tuple[Outgoing, asyncio.Future[Any]]] = []
        try:
            for out in chain.from_iterable(map(self._records, commits)):
                if out.optional and not await self._heard(producer, out.topic):
                    continue
                queued = producer.send(out.topic, out.value, key=out.key, headers=out.headers)
                sent.append(await queued)  # what was sent is cancelled on failure
                if not out.optional:
                    facts.append((out, sent[-1]))
                reached("batch-half-sent")
            await acknowledged(sent, self._patience)
            self._mark(facts)
        finally:
            for each in sent:  # after a failure nobody asks the others what became of them
                each.cancel()
        return len(sent)

    def _mark(self, facts: Iterable[tuple[Outgoing, asyncio.Future[Any]]]) -> None:
        if self._marks is None:
            return
        for out, acked in facts:
            at = acked.result()
            self._marks.published(at.topic, at.partition, at.offset, out.name)

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
            known = {} if self._marks is None else {KNOWN: self._marks.document()}
            await self._lease.renew(token=feed.token, cluster_time=feed.cluster_time, **known)
            self._saved_at = now
