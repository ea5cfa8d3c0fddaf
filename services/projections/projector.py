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
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition
from pymongo.errors import PyMongoError

from services.projections.consumer import behind, new_consumer, tell_kafka, what_is_lost
from services.projections.folding import Changes, fold_poll
from services.projections.generations import Generation, NotOurs
from services.projections.positions import Move, OutOfStep, Positions, TopicChanged
from services.projections.readmodel import ReadModel
from services.projections.records import ReadAhead, decoded, lacking, tell
from services.projections.touching import MOST_TOUCHED, fold_touched
from shared.breaker import MOST, Breaker
from shared.crash import reached
from shared.errors import NotReady, TooManyParked
from shared.kafka import Record
from shared.kafka_access import KafkaAccess
from shared.mongo import told
from shared.parking import story_by_key
from shared.town import Towns
from shared.watchdog import Watch

MOST_RECORDS: Final = 20_000
"""Fetched at once; …"""
MOST_BYTES: Final = 8 * 1024 * 1024
"""… and changed in one transaction, about."""
TOUCHED_SECONDS: Final = 1.0

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
        most_parked: int = MOST,
    ) -> None:
        self._generation = generation
        self._model = model
        self._topic = topic
        self._towns = towns
        self.recipe = generation.build.recipe
        self._member = (kafka, generation.group, instance, session_seconds)
        self._gate = asyncio.Lock()
        self._positions = Positions()
        self._ahead: list[Record] = []
        self._reading = ReadAhead()
        self._room = MOST_BYTES
        self._told_kafka_at = self._looked_at = 0.0
        self._consumer: AIOKafkaConsumer | None = None
        self._leaves: NotOurs | None = None
        self.watch = Watch(generation.group, lambda: None if self.fault else self._consumer)
        self.breaker = Breaker(generation.roll.views, generation.name, instance, most_parked)
        self.joined = False
        """Whether it has joined its group once (it may have no partitions: a standby)."""
        self.fault: str | None = None
        """Why it stopped for good, if it did."""
        self.lacks: str | None = None
        """The profile a fact was recorded under that is not known here: it waits until it is."""

    async def run(self) -> None:
        """Project until cancelled, or until the generation is not ours to write any more. A topic
        that changed, or too many that would be parked, end it with the reason in `fault`."""
        consumer = await self._start()
        try:
            while True:
                try:
                    if self._leaves is not None:
                        raise self._leaves
                    await self._poll(consumer)
                except OffsetOutOfRangeError as lost:
                    raise TopicChanged(what_is_lost(self._topic, lost)) from None
                except KafkaError as failed:  # what can be read, the watchdog asks for itself
                    await self._start_over(consumer, f"{type(failed).__name__}: {failed}")
                except (PyMongoError, OutOfStep, NotReady) as failed:
                    with self.watch.working():
                        await self._start_over(consumer, told(failed))
        except NotOurs as why:
            log.warning("projector leaves", generation=self._generation.name, why=str(why))
        except TopicChanged as changed:
            self.fault = str(changed)
            log.critical("projector stopped", reason=self.fault)
            await asyncio.Event().wait()
        except TooManyParked as why:
            self.fault = str(why)
            await self.breaker.stand_for_ever(self.fault)
        finally:
            await consumer.stop()

    async def lag(self, model: ReadModel | None = None) -> dict[int, int]:
        """Records per partition of the topic, others' too, that its read model lacks, or `model`.
        By its own offsets: what Kafka was told is a hint. Raises KafkaError, PyMongoError."""
        return await behind(self._consumer, self._topic, model or self._model)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the transaction in flight end; then these are no longer ours."""
        self.watch.given = False
        async with self._gate:
            reached("in-rebalance")
            self._positions.forget(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go to where the read model is, whatever Kafka remembers."""
        self.watch.given = True
        with self.watch.busy():
            await self._go_to(assigned)

    async def _go_to(self, assigned: Iterable[TopicPartition]) -> None:
        consumer = self._consumer
        while consumer is not None and (missing := set(assigned) - self._positions.next.keys()):
            try:
                await self._place(consumer, missing, check=True)
            except PyMongoError as failed:
                log.warning("offsets cannot be read yet", error=type(failed).__name__)
                await asyncio.sleep(0.5)
            except NotOurs as why:  # aiokafka would swallow it
                self._leaves = why
                return

    async def _start(self) -> AIOKafkaConsumer:
        while True:
            self._consumer = consumer = new_consumer(*self._member)
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

    async def _place(
        self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], *, check: bool
    ) -> None:
        await self._generation.check()  # else one that was dropped would begin again
        for partition in partitions:
            stands = await self._model.offset(partition)
            consumer.seek(partition, self._positions.place(partition, stands, check=check))

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
        with self.watch.working() if self._ahead else self.watch.busy():
            await self._take_up(consumer)

    async def _take_up(self, consumer: AIOKafkaConsumer) -> None:
        async with self._gate:
            await self._fold_touched()
            batch, self._ahead = self._positions.take(self._ahead, self._room)
            if not batch:
                return
            by_partition, unreadable = decoded(batch, self._reading.read)
            facts = list(chain.from_iterable(by_partition.values()))
            self.lacks = lacking(self._towns, facts)
            if self.lacks:
                raise NotReady(self.lacks)
            stories = await self._model.stories({r.story for r in facts})
            stuck = [name for name, story in stories.items() if "stuck" in story]
            waiting = await self._model.parked(stuck)
            changes = fold_poll(by_partition, stories, waiting, self.recipe)
            await asyncio.gather(
                self._write(changes, self._positions.moves(batch), unreadable),
                self._reading.ahead(self._ahead[: len(batch)]),
            )
        self._room = min(self._room * 2, MOST_BYTES)
        tell(facts)
        await self._tell_kafka(consumer)

    async def _fold_touched(self) -> None:
        """Fold some stories again that somebody touched; looked for about once a second."""
        now = asyncio.get_running_loop().time()
        ours = {partition.partition for partition in self._positions.next}
        if not ours or now - self._looked_at < TOUCHED_SECONDS:
            return
        touched = await self._model.touched(ours, MOST_TOUCHED)
        if touched:
            changes = await fold_touched(self._model, touched, self.recipe)
            await self._write(
                changes, self._positions.touches({t["partition"] for t in touched}), ()
            )
            log.info("folded again", stories=len(touched))
        if len(touched) < MOST_TOUCHED:
            self._looked_at = now

    async def _write(
        self,
        changes: Changes,
        moves: dict[TopicPartition, Move],
        unreadable: Sequence[tuple[Record, str]],
    ) -> None:
        unread = {story_by_key(record): why for record, why in unreadable}
        window = self.breaker.window.after([*changes.stood.values(), *unread.values()])
        if not await self._model.write(changes, moves, unreadable, self._generation.check):
            raise OutOfStep("another process moved an offset")
        self._positions.move(moves)
        self.breaker.window = window
        await self.breaker.went_on()

    async def _tell_kafka(self, consumer: AIOKafkaConsumer) -> None:
        """Kafka's own offsets are hints for lag tools: now and then, and never in the way."""
        if (now := asyncio.get_running_loop().time()) - self._told_kafka_at < 1:
            return
        self._told_kafka_at = now
        if not await tell_kafka(consumer, self._positions.next):
            self.watch.given = False
