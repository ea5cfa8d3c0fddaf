"""From Kafka into the read models of one generation: one poll, one MongoDB transaction.

The transaction first moves the offsets, each only if it still is what this process thinks: two
owners of a partition cannot both write, and what was written once is never written again.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaConnectionError, KafkaError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from pymongo.errors import PyMongoError

from services.projections.folding import fold_poll
from services.projections.generations import Generation
from services.projections.positions import OutOfStep, Positions, TopicChanged
from services.projections.readmodel import ReadModel
from services.projections.records import ReadAhead, decoded
from services.projections.views.registry import recipe
from shared.contracts.recorded import Recorded
from shared.errors import NotReady
from shared.kafka import Record
from shared.kafka_access import KafkaAccess
from shared.town import Towns

MOST_RECORDS: Final = 20_000
"""Fetched at once; …"""
MOST_BYTES: Final = 8 * 1024 * 1024
"""… and changed in one transaction, about."""
_TOLD_ONE_BY_ONE: Final = 50

log = structlog.get_logger(__name__)


class Projector(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """Projects `topic` into `model`, sharing its partitions with other instances."""

    def __init__(
        self,
        generation: Generation,
        model: ReadModel,
        topic: str,
        towns: Towns,
        *,
        kafka: KafkaAccess,
        instance: str,
        session_seconds: float,
    ) -> None:
        self._generation = generation
        self._model = model
        self._topic = topic
        self._towns = towns
        self._recipe = recipe(towns)
        self._kafka = kafka
        self._instance = instance
        self._session_seconds = session_seconds
        self._gate = asyncio.Lock()
        self._positions = Positions()
        self._ahead: list[Record] = []
        self._reading = ReadAhead()
        self._room = MOST_BYTES
        self._told_kafka_at = 0.0
        self._consumer: AIOKafkaConsumer | None = None
        self.joined = False
        """Whether it has joined its group once (it may have no partitions: a standby)."""
        self.fault: str | None = None
        """Why it stopped for good, if it did."""
        self.lacks: str | None = None
        """The profile a fact was recorded under that is not known here: it waits until it is."""

    async def run(self) -> None:
        """Project until cancelled. A topic that changed ends it, with the reason in `fault`."""
        consumer = await self._start()
        try:
            while True:
                try:
                    await self._poll(consumer)
                except OffsetOutOfRangeError as lost:
                    raise TopicChanged(f"{self._topic} lacks what was read of it: {lost}") from lost
                except (PyMongoError, KafkaError, OutOfStep, NotReady) as failed:
                    await self._start_over(consumer, f"{type(failed).__name__}: {failed}")
        except TopicChanged as changed:
            self.fault = str(changed)
            log.critical("projector stopped", reason=self.fault)
            await asyncio.Event().wait()
        finally:
            await consumer.stop()

    async def lag(self) -> dict[int, int]:
        """Records per partition of the topic, also of others' partitions, that the read model
        lacks. By its own offsets: what Kafka was told is a hint. Raises KafkaError, PyMongoError.
        """
        consumer = self._consumer
        if consumer is None or not (numbers := consumer.partitions_for_topic(self._topic)):
            raise KafkaConnectionError(f"{self._topic} was not reached yet")
        partitions = [TopicPartition(self._topic, number) for number in numbers]
        ends = await consumer.end_offsets(partitions)
        read = await self._model.offsets(partitions)
        return {p.partition: max(ends[p] - read.get(p, 0), 0) for p in partitions}

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the transaction in flight end; then these are no longer ours."""
        async with self._gate:
            self._positions.forget(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go to where the read model is, whatever Kafka remembers."""
        consumer = self._consumer
        while consumer is not None and (missing := set(assigned) - self._positions.next.keys()):
            try:
                await self._place(consumer, missing, check=True)
            except PyMongoError as failed:
                log.warning("offsets cannot be read yet", error=type(failed).__name__)
                await asyncio.sleep(0.5)

    async def _start(self) -> AIOKafkaConsumer:
        while True:
            self._consumer = consumer = self._new_consumer()
            consumer.subscribe([self._topic], listener=self)
            try:
                await consumer.start()
            except KafkaError as failed:
                log.warning("Kafka is away", error=f"{type(failed).__name__}: {failed}")
                self._consumer = None
                await consumer.stop()
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                await consumer.stop()
                raise
            else:
                self.joined = True
                return consumer

    def _new_consumer(self) -> AIOKafkaConsumer:
        group = self._generation.group
        return AIOKafkaConsumer(
            **self._kafka.options(),
            group_id=group,
            group_instance_id=f"{group}.{self._instance}",
            client_id=f"projector-{self._instance}",
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=int(self._session_seconds * 1000),
            rebalance_timeout_ms=60_000,
            max_poll_interval_ms=300_000,
            metadata_max_age_ms=5_000,  # a topic made again is seen now, not in five minutes
            max_partition_fetch_bytes=4 * 1024 * 1024,
            partition_assignment_strategy=(StickyPartitionAssignor,),
        )

    async def _place(
        self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], *, check: bool
    ) -> None:
        for partition in partitions:
            following, last = await self._model.offset(partition)
            consumer.seek(partition, self._positions.place(partition, following, last, check=check))

    async def _start_over(self, consumer: AIOKafkaConsumer, why: str) -> None:
        """Forget what was fetched, read all offsets again, and change less at once."""
        log.warning("poll starts over", why=why)
        self._room = max(self._room // 2, 1)
        await asyncio.sleep(0.2)
        async with self._gate:
            self._ahead = []
            try:
                await self._place(consumer, tuple(self._positions.next), check=False)
            except (PyMongoError, KafkaError) as failed:
                log.warning("offsets cannot be read yet", error=type(failed).__name__)
                await asyncio.sleep(1)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        if not self._ahead:
            fetched = await consumer.getmany(timeout_ms=100, max_records=MOST_RECORDS)
            self._ahead = list(chain.from_iterable(fetched.values()))
            self._reading.forget()
        async with self._gate:
            batch, self._ahead = self._positions.take(self._ahead, self._room)
            if not batch:
                return
            by_partition, unreadable = decoded(batch, self._reading.read)
            facts = list(chain.from_iterable(by_partition.values()))
            self._check_profiles(facts)
            stories = await self._model.stories({r.story for r in facts})
            stuck = [name for name, story in stories.items() if "stuck" in story]
            waiting = await self._model.parked(stuck)
            changes = fold_poll(by_partition, stories, waiting, self._recipe)
            moves = self._positions.moves(batch)
            written, _ = await asyncio.gather(
                self._model.write(changes, moves, unreadable),
                self._reading.ahead(self._ahead[: len(batch)]),
            )
            if not written:
                raise OutOfStep("another process moved an offset")
            self._positions.move(moves)
        self._room = min(self._room * 2, MOST_BYTES)
        _tell(facts)
        await self._tell_kafka(consumer)

    def _check_profiles(self, facts: Iterable[Recorded]) -> None:
        named = {(recorded.town, recorded.profile) for recorded in facts}
        lacking = [lack for town, profile in named if (lack := self._towns.lack(town, profile))]
        self.lacks = lacking[0] if lacking else None
        if self.lacks:
            raise NotReady(self.lacks)

    async def _tell_kafka(self, consumer: AIOKafkaConsumer) -> None:
        """Kafka's own offsets are hints for lag tools: now and then, and never in the way."""
        now = asyncio.get_running_loop().time()
        if now - self._told_kafka_at < 1:
            return
        self._told_kafka_at = now
        try:
            here = {p: OffsetAndMetadata(n, "") for p, n in self._positions.next.items()}
            await consumer.commit(here)
        except KafkaError as failed:
            log.info("Kafka was not told our offsets", error=type(failed).__name__)


def _tell(facts: Sequence[Recorded]) -> None:
    """One line per fact while it flows, one per poll when there is a backlog."""
    if len(facts) > _TOLD_ONE_BY_ONE:
        log.info("projected", facts=len(facts))
        return
    for recorded in facts:
        log.info("projected", fact=recorded.id, correlation_id=recorded.correlation)
