"""Ends a process one of whose consumers is stuck: it has something to read, and reads nothing.

After a rebalance or a broker's restart a consumer may stand still for ever, without an error. What
is handled, or waits for MongoDB, is no such thing, nor is a topic where nothing comes, a member
without partitions, or Kafka that is away: whether there is anything to read, Kafka is asked by a
client made for the question, for the consumer's own may be what hangs.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from shared.kafka_access import KafkaAccess

REBALANCE_SECONDS: Final = 60.0
"""So long a group waits for a member that still handles a batch; others have no partitions then."""
_LOOKS: Final = 6
"""So many times in a watchdog's patience it looks; …"""
_ASK_SECONDS: Final = 10.0
"""… and so long it waits for Kafka."""

log = structlog.get_logger(__name__)


class Stuck(Exception):
    """A consumer stands still though there is something to read. Start the process again."""


class _Stand(NamedTuple):
    """Where a consumer stands; what gets on does not stand so twice."""

    turns: int
    given: bool
    positions: frozenset[tuple[TopicPartition, int | None]]


class Watch:
    """What one consumer is about, as those who run it know."""

    def __init__(
        self, group: str = "", consumer: Callable[[], AIOKafkaConsumer | None] = lambda: None
    ) -> None:
        self.group = group
        self.consumer = consumer
        self.given = False
        """Whether its group has said which partitions are its own, if any, since it lost them."""
        self.turns = 0
        """How often it has begun to handle something, or has begun again."""
        self._busy = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Work that takes as long as it takes: nobody is shot for it."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    @contextmanager
    def working(self) -> Iterator[None]:
        """The same, and it gets on by it, or begins again."""
        self.turns += 1
        with self.busy():
            yield

    async def stand(self) -> _Stand | None:
        """Where it stands; None where it is at work, or is not to read anything at all."""
        consumer = self.consumer()
        if self._busy or consumer is None or not consumer.subscription():
            return None
        positions = {p: await _position(consumer, p) for p in consumer.assignment()}
        return _Stand(self.turns, self.given, frozenset(positions.items()))


class Watchdog:
    """Looks after consumers until one is stuck for `seconds`."""

    def __init__(
        self, kafka: KafkaAccess, seconds: float, watched: Callable[[], Iterable[Watch]]
    ) -> None:
        self._kafka = kafka
        self._seconds = seconds
        self._pause = seconds / _LOOKS
        self._watched = watched
        self._stood: dict[Watch, tuple[_Stand, float]] = {}

    async def run(self) -> None:
        """Look on until cancelled. Raises Stuck."""
        while True:
            await asyncio.sleep(self._pause)
            watched = list(self._watched())
            for gone in self._stood.keys() - set(watched):
                del self._stood[gone]
            for watch in watched:
                await self._look(watch)

    def frozen(self) -> dict[str, float]:
        """By group, for how many seconds a consumer has had something to read and read nothing."""
        stood = {watch: seconds for watch, (_, seconds) in self._stood.items()}
        return {watch.group: stood.get(watch, 0.0) for watch in self._watched()}

    async def _look(self, watch: Watch) -> None:
        stand = await watch.stand()
        if stand is None or not await self._more(watch, stand):
            self._stood.pop(watch, None)
            return
        # Told by looks, not by a clock: the process itself may have been stopped for a while.
        stood, seconds = self._stood.get(watch, (stand, -self._pause))
        seconds = seconds + self._pause if stood == stand else 0.0
        self._stood[watch] = stand, seconds
        if seconds >= self._seconds + (0 if stand.given else REBALANCE_SECONDS):
            log.critical("a consumer is stuck", group=watch.group, seconds=round(seconds))
            raise Stuck(f"the consumer of {watch.group} has read nothing for {seconds:.0f} s")

    async def _more(self, watch: Watch, stand: _Stand) -> bool:
        """Whether there is something for it: records, or, before it is given any partitions, a
        group to be in. Kafka that does not say has nothing for anybody."""
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                if not stand.given:
                    return await self._has_group(watch.group)
                positions = dict(stand.positions)
                ends = await self._ends(positions)
        except (KafkaError, OSError, TimeoutError):
            return False
        return any(end > (positions[p] or 0) for p, end in ends.items())

    async def _ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        if not (wanted := list(partitions)):
            return {}
        asking = AIOKafkaConsumer(**self._kafka.options(), isolation_level="read_committed")
        try:
            await asking.start()
            ends: dict[TopicPartition, int] = await asking.end_offsets(wanted)
            return ends
        finally:
            await asking.stop()

    async def _has_group(self, group: str) -> bool:
        admin = AIOKafkaAdminClient(**self._kafka.options())
        try:
            await admin.start()
            await admin.find_coordinator(group)
        finally:
            await admin.close()
        return True


async def _position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """None while it has none; asking for one would wait for it."""
    try:
        return int(await asyncio.wait_for(consumer.position(partition), timeout=1))
    except (KafkaError, IllegalStateError, TimeoutError):
        return None
