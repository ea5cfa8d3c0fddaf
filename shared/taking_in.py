"""Before a writing service serves: what of its own facts does the topic hold that its store lacks?

A store that was restored, or lost its last seconds, is behind the topic. Whoever served it as it
is would write other facts under versions that are taken. So the store is shut until the topic was
compared from its mark on (`shared/marks.py`), and takes in what it lacks, with all that the wire
says of it. Then its readers read again: what they had caused may be gone too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from shared.backlog import LEASES, RELAY
from shared.comparing import Apart, Comparison
from shared.kafka import INFRASTRUCTURE
from shared.kafka_access import KafkaAccess
from shared.lease import Lease, Lost
from shared.marks import Mark, Marks, marks_in
from shared.mongo import Database
from shared.mongo_store import MongoStore
from shared.restored import forget_restored, is_restored, note_restored
from shared.topic_reading import TopicReading

TAKE_IN: Final = "take-in"
"""The lease of the one instance that writes what is lacking."""
FIRST_LOOK_SECONDS: Final = 5.0
"""So long a service waits for Kafka before it serves a store of which nothing says that it is
behind."""
_SHUT: Final = "the topic has not been compared with the store yet"

log = structlog.get_logger(__name__)


class TakeIn:
    """Compares the store of one service with the topic, once per process."""

    def __init__(
        self,
        home: Database,
        store: MongoStore,
        kafka: KafkaAccess,
        marks: Marks,
        own: str,
        lease: Lease,
        again: Callable[[], Awaitable[None]],
    ) -> None:
        """`store` is what the service serves: shut until then. `own` is the kind of its streams;
        `again` lets its readers read from the beginning."""
        self._home = home
        self._served = store
        self._store = MongoStore(home)
        self._comparison = Comparison(self._store, own)
        self._kafka = kafka
        self._marks = marks
        self._lease = lease
        self._again = again
        self.fault: str | None = None
        """Why it stands still, if it does."""
        self.done = asyncio.Event()
        store.shut = _SHUT

    async def run(self) -> None:
        """Until the store has all that the topic had when it was asked; for ever shut if the two
        cannot be brought together."""
        while not self.done.is_set():
            try:
                await self._compare()
            except Apart as wrong:
                await self._stand_still(str(wrong))
                return
            except (*INFRASTRUCTURE, Lost) as away:
                why = f"{type(away).__name__}: {away}"
                log.warning("the topic cannot be compared with the store", why=why)
                await self._meanwhile()
                await asyncio.sleep(1)

    async def looked(self) -> None:
        """Return once the store is open or cannot be; after some seconds in any case."""
        deadline = asyncio.get_running_loop().time() + 2 * FIRST_LOOK_SECONDS
        while self._served.shut is not None and self.fault is None:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.02)

    async def _compare(self) -> None:
        patience = asyncio.create_task(self._lose_patience())
        try:
            async with TopicReading(self._kafka, self._marks.topic) as reading:
                patience.cancel()
                if await self._behind(reading):
                    self._served.shut = _SHUT
                    await self._take_in(reading)
                self._marks.by_partition = reading.marks
        finally:
            patience.cancel()
            await asyncio.gather(patience, return_exceptions=True)
        self._served.shut = None
        self.done.set()

    async def _lose_patience(self) -> None:
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        await self._meanwhile()

    async def _behind(self, reading: TopicReading) -> bool:
        if await is_restored(self._home):
            return True
        return await self._comparison.behind(reading, await self._kept_marks())

    async def _kept_marks(self) -> dict[int, Mark]:
        return marks_in(await self._home[LEASES].find_one({"_id": RELAY}), self._marks.topic)

    async def _take_in(self, reading: TopicReading) -> None:
        """As the only instance that does. Raises Lost, Apart and what infrastructure raises."""
        await self._its_turn()
        try:
            if await self._behind(reading):  # nobody else has done it meanwhile
                await note_restored(self._home)
                marks = await self._kept_marks()
                await self._comparison.take_in(reading, marks, self._lease.renew)
                await self._let_readers_begin_anew()
                await forget_restored(self._home)
        finally:
            await self._store.close()
            await self._lease.release()
        log.warning("the store has what it lacked", taken_in=self._comparison.taken)

    async def _its_turn(self) -> None:
        while True:
            if await self._lease.take() is not None:
                return
            await asyncio.sleep(0.2)

    async def _let_readers_begin_anew(self) -> None:
        """They cannot while a process of before still reads, or is not given up yet."""
        while True:
            await self._lease.renew()
            try:
                await self._again()
            except KafkaError as failed:
                log.warning("readers cannot begin anew yet", error=type(failed).__name__)
                await asyncio.sleep(1)
            else:
                await self._lease.renew()
                return

    async def _meanwhile(self) -> None:
        """Kafka is away. What is accepted goes out later, if nothing says that the store is
        behind; where something does, serving it would be a guess."""
        try:
            if await is_restored(self._home):
                self._served.shut = "it was restored: Kafka must be asked what it lacks first"
            else:
                self._served.shut = None
        except PyMongoError as away:
            log.warning("the store does not answer", error=type(away).__name__)

    async def _stand_still(self, why: str) -> None:
        self.fault = self._served.shut = why
        log.critical("store and topic are apart; nothing is served or relayed", reason=why)
        try:
            await note_restored(self._home, why)
        except PyMongoError as away:
            log.warning("the store does not answer", error=type(away).__name__)
