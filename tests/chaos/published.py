"""What Kafka holds of facts and answers, beside what the relays make of the stores."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.lag import Installation
from shared.contracts.answers import answers_topic
from shared.contracts.base import PartnerId
from shared.kafka import Record
from shared.kafka_access import KafkaAccess
from shared.outgoing import Outgoing, facts_and_answers
from shared.store import Commit

_ANSWERS: Final = answers_topic(PartnerId(""))[: -len(".v1")]


@dataclass
class Published:
    """The records of the topics of facts and of answers by their `ce_id`, as digests."""

    facts: str
    topic_prefix: str
    topics: set[str] = field(default_factory=set)
    whole: dict[tuple[str, str], set[bytes]] = field(default_factory=dict)
    """Digests of key, value and headers."""
    said: dict[tuple[str, str], set[bytes]] = field(default_factory=dict)
    """Digests of the values of answers: what the gate says again, it says at another time."""
    answers: set[bytes] = field(default_factory=set)
    """The answers themselves, as the topics hold them."""
    answered: set[tuple[str, str]] = field(default_factory=set)
    """(source, id) of every event that was answered, and ("", place) where those did not read."""
    again: int = 0
    """Records that say again what another said before."""

    def add(self, record: Record) -> None:
        """One more record."""
        name = next((v.decode("utf-8", "replace") for k, v in record.headers if k == "ce_id"), "")
        here = (record.topic, name)
        self.again += here in self.whole
        whole = _digest(record.key, record.value, record.headers)
        self.whole.setdefault(here, set()).add(whole)
        if record.topic == self.facts:
            return
        body = orjson.loads(record.value or b"{}")
        self.said.setdefault(here, set()).add(_digest(record.key, record.value, ()))
        self.answers.add(record.value or b"")
        self.answered.add((body.get("source", ""), body.get("id") or body.get("place", "")))
        if body.get("place"):
            self.answered.add(("", body["place"]))

    def not_as_stored(self, commits: Iterable[Commit]) -> Iterator[str]:
        """Every record that a relay makes of these commits is there, and each time byte for byte
        as it makes it."""
        outlet = facts_and_answers(self.facts, self.topic_prefix)
        for commit in commits:
            for recorded in commit.recorded_facts():
                for out in outlet(recorded):
                    yield from self._not_so(recorded.id, out)

    def said_otherwise(self) -> Iterator[str]:
        """One answer has one wording, however often it is told."""
        for (topic, name), bodies in self.said.items():
            if len(bodies) > 1:
                yield f"answer {name} is in {topic} with {len(bodies)} different bodies"

    def _not_so(self, fact: str, out: Outgoing) -> Iterator[str]:
        name = dict(out.headers)["ce_id"].decode()
        found = self.whole.get((out.topic, name))
        if found is None:
            if out.topic in self.topics - {self.facts}:  # `findings` tells of facts
                yield f"{name} is not in {out.topic}, though {fact} is stored"
        elif found != {_digest(out.key, out.value, out.headers)}:
            yield f"{name} is in {out.topic} otherwise than its relay makes it of {fact}"


async def read_published(place: Installation) -> Published:
    """Everything in the topics of facts and answers now. Raises KafkaError."""
    told = Published(place.topic_prefix + place.facts, place.topic_prefix)
    there = await topics_of(place.kafka, place.topic_prefix + _ANSWERS)
    told.topics = {*there, *await topics_of(place.kafka, told.facts)}
    async for record in records_of(place.kafka, sorted(told.topics)):
        told.add(record)
    return told


async def topics_of(kafka: KafkaAccess, beginning: str) -> list[str]:
    """The topics whose names begin so."""
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        await admin.start()
        return [name for name in await admin.list_topics() if name.startswith(beginning)]
    finally:
        await admin.close()


async def records_of(kafka: KafkaAccess, topics: Sequence[str]) -> AsyncIterator[Record]:
    """All records of these topics now, in order per partition. Raises KafkaError."""
    if not topics:
        return
    consumer = AIOKafkaConsumer(
        *topics, **kafka.options(), group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


def _digest(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> bytes:
    parts = [key, value, *(part for name, text in headers for part in (name.encode(), text))]
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()
