"""What intake and dispatch have in common: a store, its relay, reactions, readiness."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from shared.background import in_background
from shared.backlog import LEASES, RELAY
from shared.kafka import Gate, broker, consume, fact_producer
from shared.keystore import check_secrets
from shared.lease import Lease
from shared.marks import Marks
from shared.metrics import frozen
from shared.mongo import Database
from shared.mongo_store import MongoStore
from shared.outgoing import facts_and_answers
from shared.reactions import Reactions
from shared.read_again import read_again
from shared.relay import Relay
from shared.replays import Replays
from shared.restored import check_whole
from shared.room import MEGABYTE
from shared.serving import House, Joined, answers, register_profiles
from shared.taking_in import TAKE_IN, TakeIn
from shared.waiting import WriterArrivals
from shared.watchdog import Watch
from shared.writer_metrics import writer_metrics


class WritingService:
    """One writing service's store and what carries its facts out and others' facts in."""

    def __init__(self, house: House, name: str, own: str) -> None:
        self.house = house
        self.name = name
        self.home: Database = house.database(name)
        self.store = MongoStore(
            self.home,
            queue=house.settings.queue_commits,
            queued_bytes=house.settings.waiting_megabytes * MEGABYTE,
        )
        self.arrivals = WriterArrivals(self.home, self.store, own)
        self._seconds = house.settings.lease_seconds
        marks = Marks(house.facts)
        self.relay = Relay(
            self.store.commits,
            self._lease(RELAY),
            facts_and_answers(house.facts, house.settings.topic_prefix),
            lambda: fact_producer(house.relay_kafka, f"{name}-relay"),
            lease_seconds=self._seconds,
            marks=marks,
        )
        self._group = house.in_kafka(f"wishgrid.{name}.reactions")
        self.readers = {self._group: re.escape(house.facts)}
        """Its consumer groups, each with the pattern of its topics."""
        self.taken_in = TakeIn(
            self.home,
            self.store,
            house.kafka,
            marks,
            own,
            self._lease(TAKE_IN),
            self._read_again,
        )
        self._broker = broker(house.kafka, f"wishgrid-{name}")
        self._joined = Joined(self._broker, house.kafka)
        self._reactions: Reactions[Any, Any] | None = None
        self.also_watched: list[Watch] = []
        """Consumers of this process beside that of the reactions."""
        self.metrics = writer_metrics(
            self.home,
            self.store.group,
            self.relay,
            lambda: self._reactions,
        )

    @asynccontextmanager
    async def open(
        self, reactions: Reactions[Any, Any], *beside: Coroutine[Any, Any, None]
    ) -> AsyncIterator[None]:
        """Everything running, and what goes on `beside` it; finished in order on the way out.
        Nothing is relayed or read before the store has what the topic holds of it."""
        with ExitStack() as ending:
            for job in beside:  # also when it does not come to them
                ending.callback(job.close)
            await check_whole(self.home)
            await register_profiles(self.home, self.house.towns)
            await check_secrets(self.house.database("keys"), self.house.secrets)
            await self.store.prepare()
            await reactions.prepare(self.home)
            self._reactions = reactions
            gate = Gate()
            replays = self._listen(reactions, gate)
            watchdog = self.house.watchdog(lambda: (gate.watch, *self.also_watched))
            self.metrics.add(frozen(watchdog))
            jobs = (self.relay.run(), self._joined.run(), replays.run(), watchdog.run())
            for job in jobs:
                ending.callback(job.close)
            try:
                async with in_background(self._take_in(), *map(self._then, (*jobs, *beside))):
                    await self.taken_in.looked()
                    yield
            finally:
                await self.store.close()

    async def ready(self) -> dict[str, bool]:
        """MongoDB answers, the store is open, reactions have joined once and did not park too many,
        no fact waits for a profile or a build that knows it, and every commit reads. Kafka may be
        away later: what is accepted then goes out when it is back."""
        reactions = self._reactions
        return {
            "mongo": await answers(self.house.mongo),
            "store": self.store.shut is None,
            "reactions": self._joined.yes and (reactions is None or not reactions.breaker.fault),
            "understood": reactions is not None and reactions.lacks is None,
            "relay": self.relay.fault is None and self.taken_in.fault is None,
        }

    def _listen(self, reactions: Reactions[Any, Any], gate: Gate) -> Replays:
        """Let the broker give facts to the reactions, once it is started; what an operator asks
        of them goes by the same gate."""
        consume(
            self._broker,
            self.house.facts,
            group=self._group,
            instance=self.house.member,
            session_seconds=self.house.settings.session_timeout_seconds,
            handle=reactions.on_batch,
            gate=gate,
        )
        return Replays(self.home, reactions, gate)

    def _lease(self, name: str) -> Lease:
        return Lease(self.home[LEASES], name, self.house.settings.instance, self._seconds)

    async def _read_again(self) -> None:
        for group, pattern in self.readers.items():
            await read_again(self.house.kafka, group, pattern)

    async def _take_in(self) -> None:
        await self.taken_in.run()
        await asyncio.Event().wait()  # a job that ends would end the process

    async def _then(self, job: Coroutine[Any, Any, None]) -> None:
        """The job, once the store has what it lacked."""
        await self.taken_in.done.wait()
        await job
