"""How this house speaks Kafka: topics, the producer of facts, and how a batch is consumed.

FastStream's defaults lose data (see DECISIONS.md 4); every consumer of the services goes through
`consume`, which is at least once and in order.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, ProducerClosed
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from pymongo.errors import PyMongoError

from shared.crash import reached
from shared.errors import (
    Conflict,
    IncompleteHistory,
    NotReady,
    OutcomeUnknown,
    Overloaded,
    TooManyParked,
)
from shared.kafka_access import KafkaAccess
from shared.kafka_headers import read_every_name, safe_parser
from shared.kafka_origins import Origins
from shared.kafka_record import Record as Record
from shared.mongo import told
from shared.watchdog import REBALANCE_SECONDS, Watch

FACTS: Final = "wishgrid.facts.v1"
FACTS_BEGIN: Final = "wishgrid.facts."
"""So begins the name of whatever topic facts are published into: rights go by it."""
CARE: Final = "wishgrid.care.v1"
DEAD: Final = "wishgrid.dead.v1"
"""Dead letters: what came in and could not be read, sealed under the installation's key."""
INBOUND: Final = r"wishgrid\.inbound\.[a-z0-9-]+\.v1"
"""The topics partners publish on, as a pattern; one that is made later is heard within seconds."""

INFRASTRUCTURE: Final = (
    PyMongoError,
    KafkaError,
    OSError,
    Conflict,
    OutcomeUnknown,
    Overloaded,
    NotReady,
    IncompleteHistory,
    TooManyParked,
)
"""What is no fault of the record and heals, some of it by another build: back off and do the same
again, never skip."""


_BACK_OFF_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger(__name__)


def fact_producer(kafka: KafkaAccess, client_id: str) -> AIOKafkaProducer:
    """A producer for facts: acknowledged by all in-sync replicas, idempotent, compressed."""
    return AIOKafkaProducer(
        **kafka.options(),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_batch_size=256 * 1024,
        max_request_size=1024 * 1024,
        compression_type="lz4",
        request_timeout_ms=30_000,
    )


async def abandon(producer: AIOKafkaProducer) -> None:
    """Stop a producer without sending what it still holds.

    Its own `stop` flushes: later records of a partition could go out after an earlier batch had
    failed, and while Kafka is away it would not end. Whoever sent them sends them again.
    """
    producer._message_accumulator.fail_all(ProducerClosed())
    # It raises KeyError when a batch comes back from a broker that was failed here meanwhile.
    with contextlib.suppress(KafkaError, TimeoutError, KeyError):
        await asyncio.wait_for(producer.stop(), timeout=3)
    await producer.client.close()


def broker(kafka: KafkaAccess, client_id: str) -> KafkaBroker:
    """A FastStream broker that creates no topics and survives headers that are not UTF-8.

    What it publishes itself may go out twice, so its producer is not idempotent: a fatal error of
    one that is would silence it for good, and FastStream makes no new one.
    """
    read_every_name()
    return KafkaBroker(
        kafka.servers.split(","),  # it takes a text for one server, whatever is in it
        security=kafka.security(),
        client_id=client_id,
        allow_auto_create_topics=False,
        parser=safe_parser,
        acks="all",
        metadata_max_age_ms=3_000,  # how soon a topic that matches a pattern is heard
        graceful_timeout=20.0,
        logger=None,
    )


class Gate(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """Lets the batch in flight finish and commit before its partitions are given away."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        """Held while a batch is handled; who else holds it, handles what the consumer would."""
        self.watch = Watch()
        self._held: set[int] = set()

    def holds(self, partition: int) -> bool:
        """Whether this member is given the partition; certain while `lock` is held."""
        return partition in self._held

    @asynccontextmanager
    async def handling(self) -> AsyncIterator[None]:
        """Handle a batch in the block; no rebalance and no watchdog interrupts it."""
        with self.watch.working():
            async with self.lock:
                yield

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.watch.given = False
        async with self.lock:
            reached("in-rebalance")
            self._held -= {each.partition for each in revoked}

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self._held |= {each.partition for each in assigned}
        self.watch.given = True


def consume(
    kafka: KafkaBroker,
    *topics: str,
    pattern: str | None = None,
    group: str,
    instance: str,
    session_seconds: float,
    handle: Callable[[Sequence[Record]], Awaitable[None]],
    records: int = 500,
    gate: Gate | None = None,
) -> Watch:
    """Give `handle` the records of `topics`, or of all that match `pattern`, in batches, each at
    least once, in order per partition.

    A batch is committed after `handle` returned, exactly it and nothing later. When `handle`
    raises for infrastructure's sake the same batch comes again after a pause. While it works, a
    rebalance waits. Anything else it raises is a bug: the consumer stands still and says so. What
    comes back is for a watchdog.
    """
    gate = gate or Gate()
    # What partners publish is kept for days only: there a first record tells nothing.
    origins = Origins() if pattern is None else None
    attempts = 0

    subscriber = kafka.subscriber(
        *topics,
        pattern=pattern,
        group_id=group,
        # Whoever comes back under an id of its own is given its old partitions: with a pattern,
        # topics that are gone since (aiokafka would not start), and none that are new.
        group_instance_id=f"{group}.{instance}" if pattern is None else None,
        batch=True,
        max_records=records,
        batch_timeout_ms=20,
        auto_offset_reset="earliest",
        partition_assignment_strategy=(StickyPartitionAssignor,),
        session_timeout_ms=int(session_seconds * 1000),
        rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
        isolation_level="read_committed",  # what a partner took back was never said
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,  # a header `reply_to` would have us write to any topic a partner names
        decoder=_keep_raw,
        listener=gate,
    )
    gate.watch.group, gate.watch.consumer = group, lambda: subscriber.consumer

    @subscriber
    async def on_batch(message: KafkaMessage) -> None:
        nonlocal attempts
        async with gate.handling():
            batch: tuple[Record, ...] = message.raw_message
            consumer = cast(AIOKafkaConsumer, message.consumer)
            try:
                if origins is not None:
                    batch = tuple(await origins.of_the_same(consumer, batch))
                    if not batch:
                        return
                await handle(batch)
                await consumer.commit(_spans(batch, origins))
            except (IllegalStateError, CommitFailedError) as gone:
                if isinstance(gone, CommitFailedError):
                    gate.watch.given = False
                log.info("partitions went to another member", group=group)
            except INFRASTRUCTURE as failed:
                attempts += 1
                await _again(message, attempts, told(failed), group)
            except Exception:
                # The one place that may: FastStream would swallow it and commit past the batch.
                log.exception("bug in a handler; the batch is not skipped", group=group)
                attempts += 1
                await _again(message, attempts, "bug", group)
            else:
                attempts = 0

    return gate.watch


async def _again(message: KafkaMessage, attempts: int, why: str, group: str) -> None:
    pause = _BACK_OFF_SECONDS[min(attempts, len(_BACK_OFF_SECONDS)) - 1]
    log.warning("batch will be handled again", group=group, why=why, pause_seconds=pause)
    await asyncio.sleep(pause)
    try:
        await message.nack()
    except IllegalStateError:
        log.info("partitions went to another member", group=group)


def _spans(
    batch: Sequence[Record], origins: Origins | None
) -> dict[TopicPartition, OffsetAndMetadata]:
    ends = {TopicPartition(r.topic, r.partition): r.offset + 1 for r in batch}
    return {p: OffsetAndMetadata(n, origins.known(p) if origins else "") for p, n in ends.items()}


async def _keep_raw(_: Any) -> None:
    """No decoding by FastStream: one record that does not read would block its whole batch."""
