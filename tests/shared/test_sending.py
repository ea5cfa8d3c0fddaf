"""Waiting for acknowledgements: as long as Kafka gets on, and no longer."""

import asyncio

import pytest
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from shared.sending import acknowledged

Sent = asyncio.Future[object]


async def test_kafka_that_is_slow_and_gets_on_is_waited_for() -> None:
    loop = asyncio.get_running_loop()
    sent: list[Sent] = [loop.create_future() for _ in range(6)]
    for n, each in enumerate(sent, start=1):
        loop.call_later(n * 0.1, each.set_result, None)
    await acknowledged(sent, patience=0.25)
    assert all(each.done() for each in sent)


async def test_kafka_that_stands_still_is_given_up() -> None:
    loop = asyncio.get_running_loop()
    sent: list[Sent] = [loop.create_future() for _ in range(6)]
    sent[0].set_result(None)
    with pytest.raises(KafkaTimeoutError, match=r"acknowledged nothing for 0\.05 s"):
        await asyncio.wait_for(acknowledged(sent, patience=0.05), 10)


async def test_one_that_failed_is_told_at_once() -> None:
    loop = asyncio.get_running_loop()
    sent: list[Sent] = [loop.create_future() for _ in range(6)]
    loop.call_soon(sent[4].set_exception, MessageSizeTooLargeError("too large"))
    with pytest.raises(MessageSizeTooLargeError):
        await asyncio.wait_for(acknowledged(sent, patience=60), 10)


async def test_nothing_sent_is_nothing_to_wait_for() -> None:
    await acknowledged([], patience=60)
