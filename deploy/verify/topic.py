"""What the topic of facts tells, from its beginning, each fact once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from deploy.verify.stores import Told
from services.projections.records import decoded
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded, to_wire
from shared.kafka_access import KafkaAccess

_DIGEST_BYTES: Final = 16

Versions = dict[int, bytes]
"""Version → digest of the fact."""


@dataclass
class Topic:
    """The facts of the topic by stream, as digests; those found in a store are taken out."""

    name: str
    streams: dict[str, Versions] = field(default_factory=dict)
    partitions: dict[StoryId, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)

    def add(self, recorded: Recorded, partition: int) -> None:
        """One more record."""
        versions = self.streams.setdefault(recorded.stream, {})
        digest = _digest(recorded)
        known = versions.get(recorded.version)
        if known is not None and known != digest:
            self.findings.append(f"{recorded.id} is in the topic twice, with different bodies")
        elif known is None and versions and recorded.version < max(versions):
            self.findings.append(f"{recorded.id} is in the topic after {max(versions)}")
        versions.setdefault(recorded.version, digest)
        if self.partitions.setdefault(recorded.story, partition) != partition:
            self.findings.append(f"story {recorded.story} is in more than one partition")

    def compare(self, told: Told) -> Iterator[str]:
        """What the stores tell of a story and the topic does not tell so."""
        for recorded in told.facts:
            found = self.streams.get(recorded.stream, {}).pop(recorded.version, None)
            if found is None:
                yield f"{recorded.id} is in its store and not in the topic"
            elif found != _digest(recorded):
                yield f"{recorded.id} is in the topic with another body than in its store"

    def left_over(self) -> list[str]:
        """What is in the topic and in no store."""
        return [
            f"{stream}@{version} is in the topic and in no store"
            for stream, versions in self.streams.items()
            for version in versions
        ]


async def read_topic(kafka: KafkaAccess, name: str) -> Topic:
    """Everything in the topic now. Raises KafkaError."""
    topic = Topic(name)
    if not await _is_there(kafka, name):
        topic.findings.append(f"there is no topic {name}")
        return topic
    consumer = AIOKafkaConsumer(
        name, **kafka.options(), group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions: list[TopicPartition] = sorted(consumer.assignment())
        begins = await consumer.beginning_offsets(partitions)
        topic.findings += [f"{name}:{p.partition} lacks its head" for p in partitions if begins[p]]
        ends = await consumer.end_offsets(partitions)
        topic.ends = {p.partition: ends[p] for p in partitions}
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                facts, unreadable = decoded(records)
                for partition, told in facts.items():
                    for recorded in told:
                        topic.add(recorded, partition)
                topic.findings += [
                    f"{r.topic}:{r.partition}:{r.offset} does not read: {reason}"
                    for r, reason in unreadable
                ]
    finally:
        await consumer.stop()
    return topic


async def _is_there(kafka: KafkaAccess, name: str) -> bool:
    """A consumer of a topic that is missing would look for it until it gave up on Kafka."""
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        await admin.start()
        return name in await admin.list_topics()
    finally:
        await admin.close()


def _digest(recorded: Recorded) -> bytes:
    """Of all that goes over the wire, in the form of this build."""
    key, value, headers = to_wire(recorded)
    told = blake2b(digest_size=_DIGEST_BYTES)
    for part in (
        key,
        value,
        *(text for header in sorted(headers) for text in (header[0].encode(), header[1])),
    ):
        told.update(part)
        told.update(b"\0")
    return told.digest()
