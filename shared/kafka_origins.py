"""Whether a topic of facts is still the one whose offsets a group committed.

An offset is a number alone: in a topic that was deleted and made again it would skip all that lies
before it. A topic of facts is kept for ever, so the time of a partition's first record tells it
from another of the same name. That goes into every commit; where it differs, reading begins anew,
which appends nothing that is there.
"""

from collections.abc import Collection, Sequence

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from shared.kafka_record import Record

log = structlog.get_logger(__name__)


class Origins:
    """When the first record of each partition was written, as text."""

    def __init__(self) -> None:
        self._known: dict[TopicPartition, str] = {}

    def known(self, partition: TopicPartition) -> str:
        """To be committed with an offset; empty where nobody has looked yet."""
        return self._known.get(partition, "")

    async def of_the_same(
        self, consumer: AIOKafkaConsumer, batch: Sequence[Record]
    ) -> Sequence[Record]:
        """The batch without the records of partitions that begin otherwise than when they were
        read last: of those the first record comes next. Asked for every batch and all partitions
        that are ours, one request: after the last batch nobody would look. Raises KafkaError."""
        others = await self._look(consumer, consumer.assignment())
        return [r for r in batch if TopicPartition(r.topic, r.partition) not in others]

    async def _look(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
    ) -> set[TopicPartition]:
        said = await self._said(consumer, partitions)
        others = set()
        for partition, first in (
            await consumer.offsets_for_times(dict.fromkeys(partitions, 0))
        ).items():
            if first is None:  # emptied just now: Kafka will say that our place is none
                continue
            origin = str(first.timestamp)
            if (before := said.get(partition)) and before != origin:
                log.error("the topic was made again; it is read from its beginning", of=partition)
                consumer.seek(partition, first.offset)
                others.add(partition)
            self._known[partition] = origin
        return others

    async def _said(
        self, consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
    ) -> dict[TopicPartition, str]:
        """What was known here, else what whoever read before committed."""
        new = [partition for partition in partitions if partition not in self._known]
        # aiokafka's public `committed` gives the number without what was committed beside it.
        committed = await consumer._coordinator.fetch_committed_offsets(new) if new else {}
        return {p: each.metadata for p, each in committed.items()} | self._known
