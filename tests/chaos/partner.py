"""A partner's system: it publishes on its topic until each event is answered, and reads answers.

An event is sent again while no answer came. Its answer may be seen twice, another one never.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.local.installation import Installation
from shared.contracts.answers import EventAnswer
from shared.contracts.base import StreamId
from shared.contracts.recorded import kind_of
from shared.handling import command_id
from tests.chaos.insisting import Closing, Desk, GivenUp
from tests.chaos.ledger import Wait
from tests.partner import ANSWERS, INBOUND, PARTNER, SOURCE, Headers, binary

SEND_AGAIN_SECONDS: Final = 10.0
_STORES: Final = {"wish": "intake", "case": "dispatch"}


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is published, any number of times."""

    id: str
    verb: str
    key: str
    value: bytes

    @property
    def headers(self) -> Headers:
        return binary(self.id, self.verb)


@dataclass
class _Answered:
    """What was said of one event; `said` is set once anything was."""

    said: asyncio.Event = field(default_factory=asyncio.Event)
    answer: tuple[str, bytes] | None = None


class Partner:
    """Its two topics. To be run beside those who `tell` by it."""

    def __init__(self, place: Installation, desk: Desk) -> None:
        prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
        self._kafka = place.servers.kafka
        self._inbound, self._answers = prefix + INBOUND, prefix + ANSWERS
        self._desk = desk
        self._told: dict[str, _Answered] = {}
        self._read_to: dict[TopicPartition, int] = {}
        self._producer = AIOKafkaProducer(**self._kafka.options(), acks="all")

    async def tell(self, event: Event) -> EventAnswer:
        """Publish it until it is answered; the answer. Raises GivenUp, Closing."""
        if self._desk.closing.is_set():
            raise Closing
        waiting = self._told.setdefault(event.id, _Answered())
        began, sent = self._desk.now(), 0
        while waiting.answer is None:
            if self._desk.forgotten(began):
                self._desk.ledger.violation(f"the gate never answered {event.id}")
                raise GivenUp
            sent += await self._send(event)
            try:
                await asyncio.wait_for(waiting.said.wait(), SEND_AGAIN_SECONDS)
            except TimeoutError:
                self._desk.ledger.unanswered["gate no answer"] += 1
        if sent > 1 or self._desk.now() - began > 1:
            self._desk.ledger.waited("gate", Wait(self._desk.now() - began, began, event.verb))
        return self._acknowledged(event, waiting.answer[1], sent)

    async def tell_again(self, event: Event) -> None:
        """The same event once more: it changes nothing, and nobody answers it otherwise."""
        await self._send(event)

    async def run(self) -> None:
        """Read answers until cancelled; from where it was when Kafka went away."""
        await self._producer.start()
        try:
            while True:
                consumer = AIOKafkaConsumer(
                    self._answers, **self._kafka.options(), auto_offset_reset="earliest"
                )
                try:
                    await consumer.start()
                    await self._read(consumer)
                except (KafkaError, OSError):
                    await asyncio.sleep(0.5)
                finally:
                    await consumer.stop()
        finally:
            await self._producer.stop()

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        for partition in consumer.assignment() & self._read_to.keys():
            consumer.seek(partition, self._read_to[partition])
        while True:
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    self._hear(dict(record.headers)["ce_id"].decode(), record.value)
                self._read_to[partition] = records[-1].offset + 1

    def _hear(self, ce_id: str, body: bytes) -> None:
        answer = EventAnswer.model_validate_json(body)
        told = self._told.get(answer.id or "")
        if told is None:
            self._desk.ledger.violation(f"an answer to {answer.id}, which nobody sent")
        elif told.answer is None:
            told.answer = (ce_id, body)
            told.said.set()
        elif told.answer != (ce_id, body):
            one, other = told.answer[1].decode(), body.decode()
            self._desk.ledger.violation(f"{answer.id} was answered {one} and {other}")

    async def _send(self, event: Event) -> int:
        """1 when Kafka acknowledged it; while it cannot be reached nothing is told."""
        try:
            await self._producer.send_and_wait(
                self._inbound, event.value, key=event.key.encode(), headers=event.headers
            )
        except (KafkaError, OSError) as failed:
            self._desk.ledger.unanswered[f"kafka {type(failed).__name__}"] += 1
            return 0
        return 1

    def _acknowledged(self, event: Event, body: bytes, sent: int) -> EventAnswer:
        answer, ledger = EventAnswer.model_validate_json(body), self._desk.ledger
        if answer.said == "refused":
            ledger.refused[f"gate {answer.code}"] += 1
        elif answer.position is not None:
            kind = kind_of(StreamId(answer.position.rpartition("@")[0]))
            mine = command_id("inbound", PARTNER, SOURCE, event.id) if kind == "wish" else None
            ledger.acknowledge(f"event {event.verb}", _STORES[kind], answer.position, mine, sent)
        return answer
