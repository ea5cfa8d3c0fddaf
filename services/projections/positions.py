"""Where a projector stands in each partition, and what of the records comes next. No I/O."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from aiokafka.structs import TopicPartition

from shared.kafka import Record

_FACT_BYTES: Final = 1200
"""What a fact changes beside its own bytes: its timeline entry and its share of the story, of the
lines and of a sheet of numbers. A poll touches at most one or two sheets per story, most of
them more than once; one is 150 bytes per day and kind, 4 KB when every day of a month has some."""


class OutOfStep(Exception):
    """What Kafka gave is not what comes next by our offsets: read them again."""


class TopicChanged(Exception):
    """The topic is not the one these read models were made from."""


class Move(NamedTuple):
    """What a transaction does to the offsets of a partition: it expects two numbers and moves one
    of them on, so that whoever read before it must read again."""

    expected: int
    following: int
    last: str | None
    """The ce_id of the record before `following`."""
    touches: int | None = 0
    """How often the partition was written to without a record of the topic: expected too."""

    @property
    def by_records(self) -> bool:
        return self.following > self.expected


class Positions:
    """The next offset of each partition that is ours."""

    def __init__(self) -> None:
        self.next: dict[TopicPartition, int] = {}
        self._touches: dict[TopicPartition, int | None] = {}
        self._unchecked: dict[TopicPartition, str | None] = {}

    def place(self, partition: TopicPartition, stands: Move, *, check: bool) -> int:
        """Where to seek to: what follows, or the record before it, whose ce_id must be the last.
        A check that was asked for stays due until it was made."""
        following, last = stands.following, stands.last
        self.next[partition] = following
        self._touches[partition] = stands.touches
        if following == 0 or not (check or partition in self._unchecked):
            self._unchecked.pop(partition, None)
            return following
        self._unchecked[partition] = last
        return following - 1

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These are no longer ours."""
        for partition in partitions:
            self.next.pop(partition, None)
            self._touches.pop(partition, None)
            self._unchecked.pop(partition, None)

    def take(self, records: Sequence[Record], room: int) -> tuple[list[Record], list[Record]]:
        """As many records as change about `room` bytes, at least one, and the rest.

        Raises OutOfStep when an offset is not the next one, TopicChanged when the record before
        the first is not the one that was read when the read model was written.
        """
        batch: list[Record] = []
        following = dict(self.next)
        for n, record in enumerate(records):
            partition = TopicPartition(record.topic, record.partition)
            expected = following.get(partition)
            if expected is None:  # no longer ours
                continue
            if partition in self._unchecked and record.offset == expected - 1:
                _check(record, self._unchecked.pop(partition))
                continue
            if record.offset != expected or partition in self._unchecked:
                raise OutOfStep(f"{partition} gave {record.offset} where {expected} follows")
            room -= 2 * len(record.value or b"") + _FACT_BYTES
            if room < 0 and batch:
                return batch, list(records[n:])
            batch.append(record)
            following[partition] = record.offset + 1
        return batch, []

    def moves(self, batch: Iterable[Record]) -> dict[TopicPartition, Move]:
        """What writing the batch does."""
        last = {TopicPartition(r.topic, r.partition): r for r in batch}
        return {
            p: Move(self.next[p], r.offset + 1, ce_id(r), self._touches[p]) for p, r in last.items()
        }

    def touches(self, partitions: Collection[int]) -> dict[TopicPartition, Move]:
        """What writing to these partitions does when no record came."""
        return {
            p: Move(following, following, None, self._touches[p])
            for p, following in self.next.items()
            if p.partition in partitions
        }

    def move(self, moves: dict[TopicPartition, Move]) -> None:
        """It was written."""
        for partition, move in moves.items():
            self.next[partition] = move.following
            if not move.by_records:
                self._touches[partition] = (move.touches or 0) + 1


def ce_id(record: Record) -> str | None:
    """The fact id in the record's headers, if it has one."""
    found = next((value for name, value in record.headers if name == "ce_id"), None)
    return None if found is None else found.decode("utf-8", "replace")


def _check(record: Record, expected: str | None) -> None:
    if ce_id(record) != expected:
        place = f"{record.topic}:{record.partition}:{record.offset}"
        raise TopicChanged(
            f"{place} holds {ce_id(record)}, the read model was made from {expected}: "
            f"the topic was made again; rebuild into a new generation"
        )
