"""Dispatch's reactions to wishes on a real Kafka, without the rest of dispatch."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from faststream.kafka import KafkaBroker

from services.dispatch.case import CASE
from services.dispatch.commands import CaseCommand
from services.dispatch.policies import complete, react
from services.dispatch.states import Case
from shared.clock import SystemClock
from shared.contracts.base import StoryId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.recorded import Recorded, stream_id
from shared.decider import Decider
from shared.handling import Handler
from shared.kafka import Gate, Record, broker, consume
from shared.kafka_access import KafkaAccess
from shared.keystore import KeyReader
from shared.mongo import Database
from shared.mongo_store import MongoStore
from shared.policy import Policy, Reaction
from shared.reactions import Reactions
from shared.replays import Replays
from shared.sealing import InstallationKeys
from shared.town import Town
from tests.conftest import (
    TOWNS,
    cancelled,
    new_story,
    offsets_in_kafka,
    reader,
    submitted,
    told,
    until,
)

GROUP: Final = "reactions"
SESSION_SECONDS: Final = 6.0
Handle = Callable[[Sequence[Record]], Awaitable[None]]


class Desk:
    """Dispatch's reactions to wishes, without the rest of dispatch."""

    def __init__(self, kafka: KafkaAccess, home: Database, topic: str) -> None:
        self.kafka = kafka
        self.home = home
        self.topic = topic
        self.store = MongoStore(home)
        self.asked: Counter[type[CaseCommand]] = Counter()
        self.policy: Policy[CaseCommand] = react

    def reactions(self) -> Reactions[Case, CaseCommand]:
        """As dispatch's app makes them; every command decided is counted."""

        def decide(case: Case, command: CaseCommand) -> Sequence[DispatchFact]:
            self.asked[type(command)] += 1
            return CASE.decide(case, command)

        counted = Decider(CASE.initial, decide, CASE.evolve)
        keys = KeyReader(self.home, InstallationKeys(b"m" * 32, b"i" * 32))
        handler: Handler[Case, CaseCommand, DispatchFact] = Handler(
            counted, self.store, SystemClock(), keys
        )
        return Reactions(
            self.home, handler, self._policy, TOWNS, listens_to="wish", complete=complete
        )

    def _policy(self, recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
        return self.policy(recorded, town)

    def member(
        self,
        handle: Handle,
        instance: str = "1",
        group: str = GROUP,
        gate: Gate | None = None,
    ) -> KafkaBroker:
        """A member of the group, not started."""
        kafka = broker(self.kafka, f"test-{instance}")
        consume(
            kafka,
            self.topic,
            group=self.group(group),
            instance=instance,
            session_seconds=SESSION_SECONDS,
            handle=handle,
            gate=gate,
        )
        return kafka

    @asynccontextmanager
    async def consuming(
        self, handle: Handle | None = None, *, instance: str = "1", group: str = GROUP
    ) -> AsyncIterator[KafkaBroker]:
        """A member at work, stopped with the block."""
        kafka = self.member(handle or self.reactions().on_batch, instance, group)
        await kafka.start()
        try:
            yield kafka
        finally:
            await kafka.stop()

    @asynccontextmanager
    async def replaying(
        self,
        instance: str = "1",
        reactions: Reactions[Case, CaseCommand] | None = None,
        gate: Gate | None = None,
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """A member at work that also carries out replays, as the service does."""
        reactions, gate = reactions or self.reactions(), gate or Gate()
        kafka = self.member(reactions.on_batch, instance, gate=gate)
        await kafka.start()
        job = asyncio.create_task(Replays(self.home, reactions, gate).run())
        try:
            yield job
        finally:
            await cancelled(job)
            await kafka.stop()

    def group(self, name: str = GROUP) -> str:
        return f"{self.topic}.{name}"

    async def caught_up(self, group: str = GROUP) -> None:
        """Return when the group has committed all that is in the topic."""
        async with reader(self.kafka, self.topic) as read:
            ends: Counter[int] = Counter()
            for record in await read.to_the_end():
                ends[record.partition] = max(ends[record.partition], record.offset + 1)

        async def committed() -> bool:
            return ends.items() <= (await offsets_in_kafka(self.kafka, self.group(group))).items()

        await until(committed, "everything is handled and committed")

    async def commits(self) -> int:
        return await self.store.commits.count_documents({})


def wish(story: StoryId) -> list[Recorded]:
    return told(stream_id("wish", story), [submitted(story)])


def wishes(count: int) -> list[Recorded]:
    """The submissions of so many stories."""
    return [recorded for _ in range(count) for recorded in wish(new_story())]
