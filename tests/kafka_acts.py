"""What somebody may try to do in Kafka: it is done, or forbidden; anything else is an error."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from shared.kafka_access import KafkaAccess

SECONDS = 30.0
TOPIC_AUTHORIZATION_FAILED = 29


class Forbidden(Exception):
    """The broker knows who it is, and says no."""


async def write(kafka: KafkaAccess, topic: str, **how: Any) -> None:
    """Publish one record, acknowledged."""
    producer = AIOKafkaProducer(**kafka.options(), acks="all", **how)
    try:
        await producer.start()
        await asyncio.wait_for(producer.send_and_wait(topic, b"x", key=b"k"), SECONDS)
    except TopicAuthorizationFailedError as no:
        raise Forbidden from no
    finally:
        await producer.stop()


async def write_in_transaction(kafka: KafkaAccess, topic: str, transaction: str) -> None:
    """Publish one record in a transaction of this name."""
    producer = AIOKafkaProducer(**kafka.options(), transactional_id=transaction)
    try:
        await producer.start()
        async with producer.transaction():
            await asyncio.wait_for(producer.send_and_wait(topic, b"x"), SECONDS)
    except (TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed) as no:
        raise Forbidden from no
    finally:
        await producer.stop()


async def read(kafka: KafkaAccess, topic: str, group: str | None = None) -> None:
    """Read until there is a record, in a group or without one."""
    consumer = AIOKafkaConsumer(
        topic,
        **kafka.options(),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        await asyncio.wait_for(consumer.getone(), SECONDS)
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError) as no:
        raise Forbidden from no
    finally:
        await consumer.stop()


async def make_topic(kafka: KafkaAccess, name: str) -> None:
    """Make a topic, or find it there."""
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        await admin.start()
        answer = await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()
    (result,) = answer.to_object()["topic_errors"]
    if result["error_code"] == TOPIC_AUTHORIZATION_FAILED:
        raise Forbidden(result["error_message"])
    assert result["error_code"] == 0, result
