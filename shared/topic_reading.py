"""A topic of facts read once, from marks or from its beginning to where it ends now."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError
from aiokafka.structs import TopicPartition

from shared.contracts.recorded import Recorded, Unreadable, from_wire
from shared.kafka import Record
from shared.kafka_access import KafkaAccess
from shared.marks import Mark

_STALLED_SECONDS: Final = 30.0
_AT_ONCE: Final = 1_000

log = structlog.get_logger(__name__)


class TopicReading:
    """An async context, entered once Kafka says where the topic ends. Raises KafkaError or
    OSError."""

    def __init__(self, kafka: KafkaAccess, topic: str) -> None:
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            **kafka.options(), auto_offset_reset="earliest", enable_auto_commit=False
        )
        self._ends: dict[TopicPartition, int] = {}
        self._unchecked: dict[TopicPartition, Mark] = {}
        self.marks: dict[int, Mark] = {}
        """Where reading ended, by partition; what holds no record has none."""

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            if self._topic not in await self._consumer.topics():
                raise UnknownTopicOrPartitionError(f"there is no topic {self._topic}")
            self._consumer.subscribe([self._topic])
            self._ends = await self._consumer.end_offsets(await self._partitions())
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        why: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()

    async def _partitions(self) -> list[TopicPartition]:
        """All of the topic; the consumer learns them a moment after it was told to."""
        while True:
            if partitions := list(self._consumer.assignment()):
                return partitions
            await asyncio.sleep(0.02)

    async def batches(
        self, marks: Mapping[int, Mark], own: str
    ) -> AsyncIterator[tuple[int, int, list[Recorded]]]:
        """From the marks on: the partition, how many records came, and the facts among them whose
        streams are of kind `own`. A mark that this topic does not bear out is not believed."""
        self._begin(marks)
        last = asyncio.get_running_loop().time()
        while await self._unread():
            for partition, records in (
                await self._consumer.getmany(timeout_ms=500, max_records=_AT_ONCE)
            ).items():
                last = asyncio.get_running_loop().time()
                new = self._new(partition, records)
                if new:
                    yield partition.partition, len(new), self._facts(partition.partition, new, own)
            if asyncio.get_running_loop().time() - last > _STALLED_SECONDS:
                raise KafkaTimeoutError(f"nothing of {self._topic} came for a while")

    def _begin(self, marks: Mapping[int, Mark]) -> None:
        self.marks, self._unchecked = {}, {}
        for partition, end in self._ends.items():
            mark = marks.get(partition.partition)
            if mark is None or mark.next > end:
                self._consumer.seek(partition, 0)
                continue
            self._unchecked[partition] = mark
            self._consumer.seek(partition, mark.next - 1)

    async def _unread(self) -> bool:
        return any([await self._consumer.position(p) < end for p, end in self._ends.items()])

    def _new(self, partition: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
        """Those after the mark. Where the record before it is another one, all are to be read."""
        mark = self._unchecked.pop(partition, None)
        if mark is None:
            return records
        first = records[0]
        if first.offset != mark.next - 1 or _ce_id(first) != mark.last:
            log.warning("a mark is not borne out", topic=self._topic, partition=partition.partition)
            self._consumer.seek(partition, 0)
            return ()
        self.marks[partition.partition] = mark
        return records[1:]

    def _facts(self, partition: int, records: Sequence[Record], own: str) -> list[Recorded]:
        ours = (record for record in records if _ce_id(record).startswith(f"{own}-"))
        found = [fact for record in ours if (fact := _read(record)) is not None]
        before = self.marks.get(partition)
        mine = found[-1].id if found else before.own if before else None
        self.marks[partition] = Mark(records[-1].offset + 1, _ce_id(records[-1]), mine)
        return found


def _ce_id(record: Record) -> str:
    found = next((value for name, value in record.headers if name == "ce_id"), None)
    return (found or b"").decode("utf-8", "replace")


def _read(record: Record) -> Recorded | None:
    """The fact. What does not read is none of ours, or its stream will show a hole."""
    try:
        recorded = from_wire(record.value, record.headers)
    except Unreadable as wrong:
        place = f"{record.topic}:{record.partition}:{record.offset}"
        log.warning("a record that does not read is passed over", place=place, why=str(wrong))
        return None
    return recorded if record.key == recorded.story.encode() else None
