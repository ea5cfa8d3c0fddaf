"""A partner's system as the journeys need it: it publishes what it likes and reads its answers."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from deploy.local.installation import Installation
from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import EventId, PartnerId
from tests.conftest import reader
from tests.partner import PARTNER, Headers, about


class Sender:
    """Publishes on a partner's topic of an installation, and reads what came of it."""

    def __init__(
        self, place: Installation, producer: AIOKafkaProducer, partner: PartnerId = PARTNER
    ) -> None:
        prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
        self.producer = producer
        self._inbound = inbound_topic(partner)
        self.topic = prefix + self._inbound
        self._answers = prefix + answers_topic(partner)
        self._kafka = place.servers.kafka

    async def send(
        self,
        value: bytes | None,
        headers: Headers,
        key: bytes | None = b"k",
        partition: int | None = None,
    ) -> str:
        """Return its place once it is acknowledged."""
        sent = await self.producer.send_and_wait(
            self.topic, value, key=key, headers=headers, partition=partition
        )
        return f"{self._inbound}:{sent.partition}:{sent.offset}"

    async def answered(self, ids: Collection[str]) -> dict[EventId, set[tuple[str, bytes]]]:
        """All answers there are, once each of these events has one."""
        wanted = {EventId(id_) for id_ in ids}
        async with reader(self._kafka, self._answers) as reading:
            what = f"an answer to each of {len(wanted)} events"
            await reading.until(lambda records: wanted <= about(records).keys(), what)
            return about(await reading.to_the_end())

    async def answer(self, id_: str) -> dict[str, Any]:
        """The one answer to an event."""
        ((_, body),) = (await self.answered([id_]))[EventId(id_)]
        answer: dict[str, Any] = orjson.loads(body)
        return answer


@asynccontextmanager
async def sender(place: Installation, partner: PartnerId = PARTNER) -> AsyncIterator[Sender]:
    """A partner of an installation."""
    producer = AIOKafkaProducer(
        **place.servers.kafka.options(), acks="all", max_request_size=2_000_000
    )
    await producer.start()
    try:
        yield Sender(place, producer, partner)
    finally:
        await producer.stop()


async def program(argv: Sequence[str | bytes], text: bytes) -> None:
    """Run somebody else's client with this as its input; it must end with 0."""
    running = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(running.communicate(text), timeout=60)
    assert running.returncode == 0, said.decode(errors="replace")
