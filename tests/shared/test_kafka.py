"""What other clients may do to ours: nothing stops a consumer, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, ProducerClosed
from aiokafka.record import default_records

from deploy.local.servers import Servers
from deploy.topics import Topic, ensure_topics
from shared.kafka import Record, abandon, broker, consume, fact_producer
from shared.kafka_access import KafkaAccess
from tests.conftest import new_topic, reader, until
from tests.partner import send_misnamed

pytestmark = pytest.mark.stack

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BAD = b"ce_\xff\xfe"


@pytest.fixture
async def partner(stack_servers: Servers) -> AsyncIterator[AIOKafkaProducer]:
    """A plain producer."""
    producer = AIOKafkaProducer(**stack_servers.kafka.options())
    await producer.start()
    yield producer
    await producer.stop()


@asynccontextmanager
async def hearing(kafka: KafkaAccess, topic: str) -> AsyncIterator[list[Record]]:
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


async def test_a_batch_that_does_not_unpack_is_one_bad_record_and_costs_no_other_partition_any(
    stack_servers: Servers, partner: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brokers let pass what follows the end of a gzip stream; Python does not."""
    topic = await new_topic(stack_servers.kafka, partitions=2)
    gzip_encode = default_records.gzip_encode
    trailing: Any = lambda *said: bytes(gzip_encode(*said)) + b"garbage-garbage-"  # noqa: E731
    monkeypatch.setattr(default_records, "gzip_encode", trailing)
    await send_misnamed(partner, topic, [(b"k", b"x" * 200, [])], partition=1, codec=1)
    monkeypatch.undo()
    for n in range(60):
        await partner.send_and_wait(topic, b"%d" % n, partition=n % 2)
    async with hearing(stack_servers.kafka, topic) as heard:
        await until(lambda: len(heard) >= 61, "all of it")
    for partition in (0, 1):
        good = [
            int(r.value or b"")
            for r in heard
            if r.partition == partition and len(r.value or b"") < 3
        ]
        assert good == list(range(partition, 60, 2))
    (bad,) = [record for record in heard if len(record.value or b"") > 2]
    assert (bad.partition, bad.offset, bad.key) == (1, 0, None)


async def test_what_a_partner_took_back_is_not_heard(
    stack_servers: Servers,
) -> None:
    topic = await new_topic(stack_servers.kafka, 1)
    sender = AIOKafkaProducer(**stack_servers.kafka.options(), transactional_id=topic)
    await sender.start()
    for value, kept in ((b"1", True), (b"2", False), (b"3", True)):
        await sender.begin_transaction()
        await sender.send_and_wait(topic, value)
        await (sender.commit_transaction() if kept else sender.abort_transaction())
    await sender.stop()
    async with hearing(stack_servers.kafka, topic) as heard:
        await until(lambda: any(record.value == b"3" for record in heard), "the last one")
    assert [record.value for record in heard] == [b"1", b"3"]


async def test_a_producer_given_up_while_kafka_refuses_a_batch_ends_quietly(
    stack_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka stumbles over a batch in flight that was failed meanwhile; the relay died of it."""
    topic = await new_topic(stack_servers.kafka, 1)
    producer = fact_producer(stack_servers.kafka, "test")
    await producer.start()
    away = asyncio.Event()

    async def refused(*_: object, **__: object) -> None:
        await away.wait()
        raise KafkaConnectionError

    await producer.client.force_metadata_update()
    await producer.partitions_for(topic)
    monkeypatch.setattr(producer.client, "send", refused)
    sent = await producer.send(topic, b"x")
    await until(lambda: bool(producer._message_accumulator._pending_batches), "a batch in flight")
    ending = asyncio.create_task(abandon(producer))
    await asyncio.sleep(0)
    away.set()
    await ending
    with pytest.raises(ProducerClosed):
        await sent
