"""A store, a topic, and relays between them; and how what comes out is looked at."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer

from shared.contracts.base import FactId
from shared.contracts.recorded import Recorded, from_wire
from shared.kafka import Record, fact_producer
from shared.kafka_access import KafkaAccess
from shared.lease import Lease
from shared.mongo import Database, Document
from shared.mongo_store import MongoStore
from shared.relay import Relay
from shared.sending import PATIENCE_SECONDS
from shared.store import Commit, History
from tests.conftest import cancelled, facts_to, following, new_story, reader, whole_story

LEASE_SECONDS: Final = 1.0


class Line:
    """A store, a topic, and relays between them."""

    def __init__(self, kafka: KafkaAccess, home: Database, topic: str) -> None:
        self.kafka = kafka
        self.home = home
        self.topic = topic
        self.store = MongoStore(home)

    def relay(
        self,
        owner: str = "a",
        producer: Callable[[], AIOKafkaProducer] | None = None,
        patience: float = PATIENCE_SECONDS,
        term: float = LEASE_SECONDS,
    ) -> Relay:
        """A relay under the line's one lease."""
        lease = Lease(self.home["leases"], "relay", owner, term)
        return Relay(
            self.store.commits,
            lease,
            facts_to(self.topic),
            producer or (lambda: fact_producer(self.kafka, f"relay-{owner}")),
            lease_seconds=term,
            patience=patience,
        )

    @asynccontextmanager
    async def running(self, relay: Relay) -> AsyncIterator["asyncio.Task[None]"]:
        """The relay as a task that is ended with the block."""
        task = asyncio.create_task(relay.run())
        try:
            yield task
        finally:
            await cancelled(task)

    async def append(self, *commits: Commit) -> list[Recorded]:
        """Store them; their facts."""
        await asyncio.gather(*(self.store.append(commit) for commit in commits))
        return [recorded for commit in commits for recorded in commit.recorded_facts()]

    async def arrived(self, facts: Iterable[Recorded]) -> list[Record]:
        """The topic's records, once all these facts are among them."""
        wanted = {recorded.id for recorded in facts}
        async with reader(self.kafka, self.topic) as read:
            return await read.until(lambda records: wanted <= ids(records), "all facts arrive")

    async def saved(self) -> Document:
        """The lease with what the relay keeps in it."""
        document = await self.home["leases"].find_one({"_id": "relay"})
        return document or {}


def ce_id(record: Record) -> FactId:
    return FactId(dict(record.headers)["ce_id"].decode())


def ids(records: Iterable[Record]) -> set[FactId]:
    return {ce_id(record) for record in records}


def first_of_each(records: Iterable[Record]) -> list[Recorded]:
    """What a consumer sees that drops what it has seen: in order, each ce_id once."""
    seen: dict[FactId, Recorded] = {}
    for record in records:
        recorded = from_wire(record.value, record.headers)
        known = seen.setdefault(recorded.id, recorded)
        assert known == recorded  # the same id is the same fact
    return list(seen.values())


def assert_in_order(facts: Iterable[Recorded]) -> None:
    """Each stream begins at 1 and has no gap."""
    versions: dict[str, list[int]] = defaultdict(list)
    for recorded in facts:
        versions[recorded.stream].append(recorded.version)
    for stream, seen in versions.items():
        assert seen == list(range(1, len(seen) + 1)), stream


def stories(count: int) -> list[list[Commit]]:
    """For each story one commit after the other, of one or two facts."""
    told = []
    for _ in range(count):
        wish, case = whole_story(new_story())
        for facts in (wish, case):
            history = History(facts[0].stream)
            for at in range(0, len(facts), 2):
                commit = following(history, *(r.fact for r in facts[at : at + 2]))
                history = History(history.stream, (*history.commits, commit))
            told.append(list(history.commits))
    return told
