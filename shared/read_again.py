"""A consumer group that is to read its topics from their beginning once more."""

import re

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from shared.kafka_access import KafkaAccess


async def read_again(kafka: KafkaAccess, group: str, pattern: str) -> None:
    """Put the group before the first record of all topics that match. Raises KafkaError, also
    while the group has members: they would go on where they are."""
    partitions = await _partitions(kafka, re.compile(pattern))
    if not partitions:
        return
    consumer = AIOKafkaConsumer(**kafka.options(), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.commit({each: OffsetAndMetadata(0, "") for each in partitions})
    finally:
        await consumer.stop()


async def _partitions(kafka: KafkaAccess, pattern: re.Pattern[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        await admin.start()
        names = [name for name in await admin.list_topics() if pattern.fullmatch(name)]
        described = await admin.describe_topics(names) if names else []
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in described
            for partition in topic["partitions"]
        ]
    finally:
        await admin.close()
