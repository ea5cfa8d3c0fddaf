"""The projector's way of reading Kafka: its offsets live in MongoDB, a replica keeps its place."""

from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    KafkaError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from services.projections.readmodel import ReadModel
from shared.kafka_access import KafkaAccess
from shared.watchdog import REBALANCE_SECONDS

log = structlog.get_logger(__name__)


def new_consumer(
    kafka: KafkaAccess, group: str, instance: str, session_seconds: float
) -> AIOKafkaConsumer:
    """A member of the group; `instance` is unique among live ones and kept over restarts."""
    return AIOKafkaConsumer(
        **kafka.options(),
        group_id=group,
        group_instance_id=f"{group}.{instance}",
        client_id=f"projector-{instance}",
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=int(session_seconds * 1000),
        rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
        max_poll_interval_ms=300_000,
        metadata_max_age_ms=5_000,  # a topic made again is seen now, not in five minutes
        max_partition_fetch_bytes=4 * 1024 * 1024,
        partition_assignment_strategy=(StickyPartitionAssignor,),
    )


async def tell_kafka(consumer: AIOKafkaConsumer, stands: Mapping[TopicPartition, int]) -> bool:
    """Kafka's own offsets are hints for lag tools. Whether the group still knows this member."""
    try:
        await consumer.commit({p: OffsetAndMetadata(n, "") for p, n in stands.items()})
    except KafkaError as failed:
        log.info("Kafka was not told our offsets", error=type(failed).__name__)
        return not isinstance(failed, CommitFailedError)
    return True


async def behind(consumer: AIOKafkaConsumer | None, topic: str, model: ReadModel) -> dict[int, int]:
    """Records per partition of the topic that the read model lacks. Raises KafkaError,
    PyMongoError."""
    if consumer is None or not (numbers := consumer.partitions_for_topic(topic)):
        raise KafkaConnectionError(f"{topic} was not reached yet")
    partitions = [TopicPartition(topic, number) for number in numbers]
    ends = await consumer.end_offsets(partitions)
    read = await model.offsets(partitions)
    return {p.partition: max(ends[p] - read.get(p, 0), 0) for p in partitions}


def what_is_lost(topic: str, lost: OffsetOutOfRangeError) -> str:
    """One sentence about a topic that has no longer what comes next."""
    begins = 0 in lost.args[0].values()
    what = "its beginning, republish the stores into a new topic" if begins else "what was read"
    return f"{topic} lacks {what}: {lost}"
