"""A group begins anew from the first record of each of its topics, unless it has members."""

import re
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.local.servers import Servers
from shared.read_again import read_again
from tests.conftest import new_story, offsets_in_kafka, send, whole_story

pytestmark = pytest.mark.stack


async def test_a_group_without_members_is_put_to_the_beginning(
    stack_servers: Servers, topic: str, producer: AIOKafkaProducer
) -> None:
    kafka, group = stack_servers.kafka, f"group-{uuid.uuid4().hex}"
    await send(producer, topic, whole_story(new_story())[0])
    consumer = AIOKafkaConsumer(
        topic, **kafka.options(), group_id=group, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        await consumer.getone()
        await consumer.commit()
        assert max((await offsets_in_kafka(kafka, group)).values()) > 0
        with pytest.raises(KafkaError):  # it would go on where it is
            await read_again(kafka, group, re.escape(topic))
    finally:
        await consumer.stop()
    await read_again(kafka, group, re.escape(topic))
    assert set((await offsets_in_kafka(kafka, group)).values()) == {0}
    await read_again(kafka, group, "no-such-topic")
