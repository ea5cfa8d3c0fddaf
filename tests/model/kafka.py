"""A Kafka in memory: one topic of facts, its producers, and groups that share its partitions.

As the real one: a producer keeps the order within a partition and may not know what became of a
batch; a member of a group that is not heard of loses its partitions without being asked, and
goes on with what it has in hand until it notices.
"""

import asyncio
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, KafkaTimeoutError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from tests.model.hosts import Host, Strike

TOPIC: Final = "facts"
LINGER_SECONDS: Final = 0.005
BATCH: Final = 2
"""Records a producer sends at once; …"""
FETCH: Final = 5
"""… and a consumer is given at most."""
REBALANCE_SECONDS: Final = 60.0
_PATIENCE: Final = 5
"""A consumer waits so many times longer than it is asked to: nobody can tell, and it is cheap."""

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Logged:
    """A record where it lies."""

    offset: int
    partition: int
    key: bytes
    value: bytes
    headers: Headers
    topic: str = TOPIC


class Kafka:
    """What is in the topic, and how far groups have read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, partitions: int = 2) -> None:
        self.loop = loop
        self.log: list[list[Logged]] = [[] for _ in range(partitions)]
        self.committed: dict[tuple[str, int], int] = {}
        self.groups: dict[str, Group] = defaultdict(lambda: Group(self))
        self._grown = asyncio.Event()

    @property
    def records(self) -> list[Logged]:
        return [record for partition in self.log for record in partition]

    def partition_of(self, key: bytes) -> int:
        return zlib.crc32(key) % len(self.log)

    def append(self, key: bytes, value: bytes, headers: Headers) -> None:
        """One record more."""
        partition = self.partition_of(key)
        there = self.log[partition]
        there.append(Logged(len(there), partition, key, value, tuple(headers)))
        self._grown.set()
        self._grown = asyncio.Event()

    async def grown(self, seconds: float) -> None:
        """Wait until there is more, or so long."""
        waiting = asyncio.ensure_future(self._grown.wait())
        await asyncio.wait({waiting}, timeout=seconds)
        waiting.cancel()

    def rewind(self, group: str, partition: int, offset: int) -> None:
        """What an operator can do, or a commit that was lost: the group is to read again."""
        told = self.committed.get((group, partition), 0)
        self.committed[group, partition] = min(told, offset)


_Waiting = tuple[bytes, bytes, Headers, "asyncio.Future[object]"]


class Producer:
    """As much of an idempotent AIOKafkaProducer as the relay uses."""

    def __init__(self, kafka: Kafka, host: Host) -> None:
        self._kafka = kafka
        self._host = host
        self._waiting: list[_Waiting] = []
        self._flushing = False
        self._message_accumulator = self
        self.client = self

    async def start(self) -> None:
        await self._host.call("kafka.start", lambda: None, KafkaError)

    async def send(
        self, topic: str, value: bytes, *, key: bytes, headers: Headers
    ) -> "asyncio.Future[object]":
        if topic != TOPIC:
            raise NotImplementedError(topic)
        acknowledged: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, value, headers, acknowledged))
        if not self._flushing:
            self._flushing = True
            self._host.spawn(self._flush())
        return acknowledged

    def fail_all(self, why: Exception) -> None:
        """What was not sent yet is given up."""
        waiting, self._waiting = self._waiting, []
        _fail(waiting, why)

    async def stop(self) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _flush(self) -> None:
        while self._waiting:
            await asyncio.sleep(LINGER_SECONDS)
            partitions: dict[int, list[_Waiting]] = defaultdict(list)
            for each in self._waiting:
                partitions[self._kafka.partition_of(each[0])].append(each)
            self._waiting = []
            for batch in partitions.values():
                await self._send_all(batch)
        self._flushing = False

    async def _send_all(self, waiting: list[_Waiting]) -> None:
        """In order; when one batch fails, so do those after it. But for a hole."""
        while waiting:
            hole = Strike("kafka.send", "hole") in self._host.strikes
            size = 1 if hole else BATCH
            batch, waiting = waiting[:size], waiting[size:]
            try:
                await self._host.call("kafka.send", partial(self._append, batch), KafkaTimeoutError)
            except KafkaError as why:
                _fail(batch if hole else batch + waiting, why)
                waiting = waiting if hole else []
            else:
                for *_, acknowledged in batch:
                    if not acknowledged.done():
                        acknowledged.set_result(None)

    def _append(self, batch: Iterable[_Waiting]) -> None:
        for key, value, headers, _ in batch:
            self._kafka.append(key, value, headers)


def _fail(waiting: Iterable[_Waiting], why: Exception) -> None:
    for *_, acknowledged in waiting:
        if not acknowledged.done():
            acknowledged.set_exception(why)


class Group:
    """Who reads which partition."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._members: dict[str, Consumer] = {}
        self._turn = asyncio.Lock()
        self._round = 0

    def join(self, member: "Consumer") -> None:
        """It is given its share soon."""
        self._members[member.host.name] = member
        self.rebalance()

    def leave(self, member: "Consumer") -> None:
        """Its partitions go to the others."""
        if self._members.get(member.host.name) is member:
            del self._members[member.host.name]
            self.rebalance()

    def rebalance(self) -> None:
        """Give the partitions out anew, each to another member than before if there is one."""
        self._task = self._kafka.loop.create_task(self._rebalance())

    async def _rebalance(self) -> None:
        async with self._turn:
            self._round += 1
            for member in list(self._members.values()):
                if not await member.gave_up():
                    self._members.pop(member.host.name, None)
            members = [member for _, member in sorted(self._members.items())]
            for n, member in enumerate(members):
                turn = (n + self._round) % len(members)
                shares = range(turn, len(self._kafka.log), len(members))
                await member.given([TopicPartition(TOPIC, number) for number in shares])


class Consumer:
    """As much of an AIOKafkaConsumer as a reader in a group uses."""

    def __init__(self, kafka: Kafka, group: str, host: Host, *, from_committed: bool) -> None:
        self.host = host
        self._kafka = kafka
        self._group = group
        self._from_committed = from_committed
        self._assigned: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._thrown_out = False
        self._noticed = True
        self._listener: Any = None

    def subscribe(self, _: Sequence[str], *, listener: ConsumerRebalanceListener) -> None:
        self._listener = listener

    async def start(self) -> None:
        await self.host.call("kafka.start", lambda: None, KafkaError)
        self._kafka.groups[self._group].join(self)

    async def stop(self) -> None:
        if self.host.alive:
            self._kafka.groups[self._group].leave(self)

    async def getmany(
        self, *, timeout_ms: int, max_records: int
    ) -> Mapping[TopicPartition, list[Logged]]:
        fetched = await self.host.call("kafka.fetch", lambda: self._fetch(max_records), KafkaError)
        if self._thrown_out and self._noticed:
            self._thrown_out = False
            self._kafka.groups[self._group].join(self)
        self._noticed = self._thrown_out
        if not fetched:
            await self._kafka.grown(_PATIENCE * timeout_ms / 1000)
        return fetched

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition not in self._assigned:
            raise IllegalStateError(f"{partition} is not assigned")
        self._positions[partition] = offset

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        if not offsets.keys() <= self._assigned:
            raise IllegalStateError("a partition is not assigned")

        def effect() -> None:
            if self._thrown_out:
                raise CommitFailedError(self._group)
            for partition, offset in offsets.items():
                self._kafka.committed[self._group, partition.partition] = offset.offset

        await self.host.call("kafka.commit", effect, KafkaError)

    def partitions_for_topic(self, _: str) -> set[int]:
        return set(range(len(self._kafka.log)))

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {p: len(self._kafka.log[p.partition]) for p in partitions}

    async def gave_up(self) -> bool:
        """Let go of everything; False when it is not heard of, and thrown out."""
        if self.host.alive and self.host.awake.is_set():
            letting_go: asyncio.Task[Any] = self.host.spawn(
                self._listener.on_partitions_revoked(set(self._assigned))
            )
            await asyncio.wait({letting_go}, timeout=REBALANCE_SECONDS)
            if letting_go.done() and self.host.alive:
                self._assigned, self._positions = set(), {}
                return True
        self._thrown_out, self._noticed = True, False
        return False

    async def given(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these from now on."""
        self._assigned = set(partitions)
        if self._from_committed:
            committed = self._kafka.committed
            self._positions = {
                p: committed.get((self._group, p.partition), 0) for p in self._assigned
            }
        taking = self.host.spawn(self._listener.on_partitions_assigned(self._assigned))
        await asyncio.wait({taking}, timeout=REBALANCE_SECONDS)

    def _fetch(self, most: int) -> dict[TopicPartition, list[Logged]]:
        fetched: dict[TopicPartition, list[Logged]] = {}
        for partition, position in list(self._positions.items()):
            records = self._kafka.log[partition.partition][position : position + min(most, FETCH)]
            if records:
                fetched[partition] = records
                self._positions[partition] = records[-1].offset + 1
        return fetched
