"""A relay as a process of its own that stops itself with a batch in its hands.

`python -m tests.hardcases.relay_process KAFKA MONGO DATABASE TOPIC OWNER WHERE`: told by SIGUSR1,
it stops itself (SIGSTOP) once, in its next batch, and goes on by SIGCONT. WHERE is

- `sending`: the first record is in Kafka, the others are to be written to the socket next;
- `saving`: all of it is in Kafka, the token is to be saved next.
"""

import asyncio
import os
import signal
import sys
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.protocol.produce import ProduceRequest

import shared.relay
from shared import log
from shared.crash import Point, reached
from shared.kafka import fact_producer
from shared.kafka_access import KafkaAccess
from shared.mongo import connect, database
from tests.conftest import cancelled
from tests.shared.line import Line

TERM_SECONDS: Final = 2.0
ARMED: Final = "armed, it stops itself in its next batch"


class Stop:
    """What stops this process, once it is armed."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._armed = self._begun = False

    def arm(self) -> None:
        self._armed = True
        print(ARMED, flush=True)

    def at(self, point: Point) -> None:
        """In place of the relay's crash points."""
        if self._armed and self._where == "saving":
            if point == "committed-before-publish":
                self._begun = True  # a batch that began after it was armed
            elif point == "published-before-token" and self._begun:
                self._now()
        reached(point)

    def watch(self, producer: AIOKafkaProducer) -> AIOKafkaProducer:
        """Let the first record of a batch reach Kafka, and stop before the others do."""
        add, write = producer.send, producer.client.send

        async def send(*args: Any, **said: Any) -> "asyncio.Future[Any]":
            sent: asyncio.Future[Any] = await add(*args, **said)
            if self._armed and self._where == "sending" and not self._begun:
                await asyncio.wait([sent])
                self._begun = True
            return sent

        async def written(node: Any, request: Any, **said: Any) -> Any:
            if self._begun and self._where == "sending" and isinstance(request, ProduceRequest):
                self._now()
            return await write(node, request, **said)

        producer.send, producer.client.send = send, written
        return producer

    def _now(self) -> None:
        self._armed = self._begun = False
        os.kill(os.getpid(), signal.SIGSTOP)


async def main(kafka: str, mongo: str, name: str, topic: str, owner: str, where: str) -> None:
    """Relay until SIGTERM; the lease is then released."""
    log.configure("relay", owner)
    client = connect(mongo)
    stop, asked_to_end = Stop(where), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked_to_end.set)
    loop.add_signal_handler(signal.SIGUSR1, stop.arm)
    shared.relay.reached = stop.at  # type: ignore[attr-defined]  # no other way into it
    line = Line(KafkaAccess(kafka), database(client, name), topic)

    def producer() -> AIOKafkaProducer:
        return stop.watch(fact_producer(line.kafka, f"relay-{owner}"))

    relay = line.relay(owner, producer, term=TERM_SECONDS)
    relaying = asyncio.create_task(relay.run())
    await asked_to_end.wait()
    await cancelled(relaying)
    client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
