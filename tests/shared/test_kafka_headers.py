"""A header whose name is not UTF-8 stops no consumer, and nothing around it is lost."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.servers import Servers
from deploy.topics import Topic, ensure_topics
from shared.kafka import Record, broker, consume
from tests.conftest import new_topic, reader, until
from tests.partner import send_misnamed

pytestmark = pytest.mark.stack

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BAD = b"ce_\xff\xfe"


@pytest.fixture
async def partner(stack_servers: Servers) -> AsyncIterator[AIOKafkaProducer]:
    """A plain producer."""
    producer = AIOKafkaProducer(bootstrap_servers=stack_servers.kafka)
    await producer.start()
    yield producer
    await producer.stop()


@asynccontextmanager
async def hearing(kafka: str, topic: str) -> AsyncIterator[list[Record]]:
    """What a consumer of the services is given."""
    heard: list[Record] = []

    async def handle(records: Sequence[Record]) -> None:
        heard.extend(records)

    consumer = broker(kafka, "test")
    consume(consumer, topic, group=topic, instance="i", session_seconds=6, handle=handle)
    await consumer.start()
    yield heard
    await consumer.stop()


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
async def test_all_records_before_in_and_after_such_a_batch_arrive_once(
    stack_servers: Servers, partner: AIOKafkaProducer, codec: int
) -> None:
    topic = await new_topic(stack_servers.kafka, partitions=2)
    mixed = [(b"k", b"%d" % n, [(BAD if n % 3 == 1 else b"ok", b"x")]) for n in range(9)]
    for partition in (0, 1):
        await partner.send_and_wait(topic, b"before", partition=partition)
        await send_misnamed(partner, topic, mixed, partition=partition, codec=codec)
        await partner.send_and_wait(topic, b"after", partition=partition)
    async with hearing(stack_servers.kafka, topic) as heard:
        await until(lambda: len(heard) >= 22, "all of it")
    for partition in (0, 1):
        mine = [record for record in heard if record.partition == partition]
        assert [r.value for r in mine] == [b"before", *(v for _, v, _ in mixed), b"after"]
        assert mine[2].headers == (("ce_\ufffd\ufffd", b"x"),)
        assert mine[3].headers == (("ok", b"x"),)


async def test_a_header_that_names_a_topic_makes_nobody_write_there(
    stack_servers: Servers, partner: AIOKafkaProducer
) -> None:
    topic, other = await new_topic(stack_servers.kafka, 1), f"other-{id(partner)}"
    await ensure_topics(stack_servers.kafka, topics=[Topic(other, 1)])
    await partner.send_and_wait(topic, b"x", headers=[("reply_to", other.encode())])
    async with hearing(stack_servers.kafka, topic) as heard:
        await until(lambda: len(heard) == 1, "the record")
        await partner.send_and_wait(topic, b"y")
        await until(lambda: len(heard) == 2, "what comes after it")
    async with reader(stack_servers.kafka, other) as reading:
        assert await reading.to_the_end() == []


async def test_what_a_partner_took_back_is_not_heard(
    stack_servers: Servers,
) -> None:
    topic = await new_topic(stack_servers.kafka, 1)
    sender = AIOKafkaProducer(bootstrap_servers=stack_servers.kafka, transactional_id=topic)
    await sender.start()
    for value, kept in ((b"1", True), (b"2", False), (b"3", True)):
        await sender.begin_transaction()
        await sender.send_and_wait(topic, value)
        await (sender.commit_transaction() if kept else sender.abort_transaction())
    await sender.stop()
    async with hearing(stack_servers.kafka, topic) as heard:
        await until(lambda: any(record.value == b"3" for record in heard), "the last one")
    assert [record.value for record in heard] == [b"1", b"3"]
