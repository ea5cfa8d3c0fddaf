"""A consumer that stands still is told from one that has nothing to do, or is doing it."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from pymongo.errors import AutoReconnect

from deploy.local.servers import Servers
from shared import watchdog
from shared.kafka import Record, broker, consume
from shared.kafka_access import KafkaAccess
from shared.watchdog import Stuck, Watch, Watchdog
from tests.conftest import cancelled, new_topic, offsets_in_kafka, until

pytestmark = pytest.mark.stack

PATIENCE = 2.0
ENOUGH_LOOKS = 10
"""More than it would take."""
NOBODY = KafkaAccess("127.0.0.1:1")


@dataclass
class Watched:
    """One consumer, and a watchdog that looks after it."""

    watch: Watch
    dog: "asyncio.Task[None]"
    looks: Counter[str] = field(default_factory=Counter)
    heard: list[Record] = field(default_factory=list)

    @property
    def consumer(self) -> AIOKafkaConsumer:
        consumer = self.watch.consumer()
        assert consumer is not None
        return consumer

    async def is_left_alone(self) -> None:
        """For longer than the watchdog has patience."""
        seen = self.looks["all"]
        await until(
            lambda: self.dog.done() or self.looks["all"] > seen + ENOUGH_LOOKS, "looks", 120
        )
        assert not self.dog.done()


@asynccontextmanager
async def watched(
    kafka: KafkaAccess,
    topic: str,
    *,
    asks: KafkaAccess | None = None,
    instance: str = "1",
    handled: Callable[[], Any] = lambda: None,
) -> AsyncIterator[Watched]:
    """`asks`: the Kafka that the watchdog asks, another one than the consumer's."""
    looks: Counter[str] = Counter()
    heard: list[Record] = []

    async def handle(records: Sequence[Record]) -> None:
        heard.extend(records)
        if (wait := handled()) is not None:
            await wait

    def seen() -> list[Watch]:
        looks["all"] += 1
        return [watch]

    member = broker(kafka, f"test-{instance}")
    watch = consume(member, topic, group=topic, instance=instance, session_seconds=6, handle=handle)
    dog = asyncio.create_task(Watchdog(asks or kafka, PATIENCE, seen).run())
    await member.start()
    try:
        yield Watched(watch, dog, looks, heard)
    finally:
        await cancelled(dog)
        await asyncio.wait([asyncio.create_task(member.stop())], timeout=10)


async def paused(consumer: AIOKafkaConsumer) -> None:
    consumer.pause(*consumer.assignment())


async def fetches_no_more(consumer: AIOKafkaConsumer) -> None:
    fetcher = consumer._fetcher
    for each in (fetcher._fetch_task, *fetcher._pending_tasks):  # one may be under way
        await cancelled(each)


async def has_no_coordinator(consumer: AIOKafkaConsumer) -> None:
    await cancelled(consumer._coordinator._coordination_task)


@pytest.mark.parametrize("stuck", [paused, fetches_no_more, has_no_coordinator])
async def test_a_consumer_that_reads_nothing_of_what_is_there_is_stuck(
    stack_servers: Servers,
    topic: str,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
    stuck: Callable[..., Any],
) -> None:
    monkeypatch.setattr(watchdog, "REBALANCE_SECONDS", 2.0)
    async with asyncio.timeout(120), watched(stack_servers.kafka, topic) as one:
        await producer.send_and_wait(topic, b"1")
        await until(lambda: len(one.heard) == 1, "the first record", 60)
        await stuck(one.consumer)
        while not one.dog.done():  # what was under way may still be read
            await producer.send_and_wait(topic, b"more")
            await asyncio.wait([one.dog], timeout=0.5)
        with pytest.raises(Stuck, match=topic):
            await one.dog


async def test_a_member_that_its_group_never_gives_anything_is_stuck(
    stack_servers: Servers, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def joins_for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(watchdog, "REBALANCE_SECONDS", 2.0)
    monkeypatch.setattr(GroupCoordinator, "_do_rejoin_group", joins_for_ever)
    kafka = broker(stack_servers.kafka, "test")
    watch = consume(
        kafka, topic, group=topic, instance="1", session_seconds=6, handle=lambda _: never()
    )
    starting = asyncio.create_task(kafka.start())
    dog = Watchdog(stack_servers.kafka, PATIENCE, lambda: [watch])
    with pytest.raises(Stuck):
        await asyncio.wait_for(dog.run(), timeout=60)
    await cancelled(starting)
    consumer = watch.consumer()
    assert consumer is not None
    await cancelled(consumer._coordinator._coordination_task)
    await kafka.stop()


async def never() -> None:
    """Nothing is handled."""


async def test_a_batch_that_takes_long_or_waits_for_mongodb_is_left_alone(
    stack_servers: Servers, topic: str, producer: AIOKafkaProducer
) -> None:
    slow, away = asyncio.Event(), [True]

    def handled() -> Any:
        if away[0]:
            raise AutoReconnect("MongoDB is away")
        return slow.wait()

    async with watched(stack_servers.kafka, topic, handled=handled) as one:
        await producer.send_and_wait(topic, b"1")
        await until(lambda: len(one.heard) > 1, "a second try", 60)
        await one.is_left_alone()
        tries, away[0] = len(one.heard), False
        await until(lambda: len(one.heard) > tries, "a try that takes long", 60)
        await producer.send_and_wait(topic, b"2")  # there is more to read meanwhile
        await one.is_left_alone()
        slow.set()
        await until(lambda: one.heard[-1].value == b"2", "the next record", 60)


async def test_nothing_to_read_nothing_of_ones_own_and_no_kafka_to_ask_are_no_reasons(
    stack_servers: Servers, topic: str, producer: AIOKafkaProducer
) -> None:
    transactions = AIOKafkaProducer(**stack_servers.kafka.options(), transactional_id=topic)
    await transactions.start()
    async with transactions.transaction():  # its end is a record nobody is given
        await transactions.send_and_wait(topic, b"1", partition=0)
    await transactions.begin_transaction()
    await transactions.send_and_wait(topic, b"taken back", partition=0)
    await transactions.abort_transaction()
    await transactions.stop()
    async with watched(stack_servers.kafka, topic) as one:
        await until(lambda: len(one.heard) == 1, "what was said", 60)
        await one.is_left_alone()
    async with watched(stack_servers.kafka, topic, asks=NOBODY, instance="2") as one:
        await until(lambda: one.watch.given, "its partitions", 60)
        await paused(one.consumer)
        await producer.send_and_wait(topic, b"2")
        await one.is_left_alone()


async def test_a_standby_without_partitions_is_left_alone_while_others_are_behind(
    stack_servers: Servers, producer: AIOKafkaProducer
) -> None:
    topic = await new_topic(stack_servers.kafka, partitions=1)
    held = asyncio.Event()
    async with (
        watched(stack_servers.kafka, topic, handled=held.wait) as one,
        watched(stack_servers.kafka, topic, instance="2", handled=held.wait) as other,
    ):
        await until(lambda: one.watch.given and other.watch.given, "both are in", 90)
        await producer.send_and_wait(topic, b"1")
        await until(lambda: bool(one.heard or other.heard), "a batch in hand", 60)
        idle = other if one.heard else one
        await producer.send_and_wait(topic, b"2")
        await idle.is_left_alone()
        held.set()


async def test_kafka_that_hangs_is_no_reason_and_its_readers_go_on_when_it_is_back(
    stack_servers: Servers,
    topic: str,
    producer: AIOKafkaProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "_ASK_SECONDS", 0.5)
    monkeypatch.setattr(watchdog, "REBALANCE_SECONDS", 2.0)
    (server,) = stack_servers.kafka_servers
    async with asyncio.timeout(240), watched(stack_servers.kafka, topic) as one:
        await producer.send_and_wait(topic, b"1")

        async def committed() -> bool:  # until then it is at work
            return 1 in (await offsets_in_kafka(stack_servers.kafka, topic)).values()

        await until(committed, "the first record", 60)
        server.process.signal(signal.SIGSTOP)
        try:
            await one.is_left_alone()
        finally:
            server.process.signal(signal.SIGCONT)
        await producer.send_and_wait(topic, b"2")
        await until(lambda: b"2" in {each.value for each in one.heard}, "it reads on", 120)
        assert not one.dog.done()
