"""How far the relay is behind, told by the store and the lease: on any instance, without Kafka."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bson import Timestamp

from deploy.local.servers import Servers
from shared.backlog import LEASES, RELAY, unpublished_seconds
from shared.kafka import fact_producer
from shared.kafka_access import KafkaAccess
from shared.lease import Lease
from shared.mongo import ChangeFeed, Database
from shared.mongo_store import COMMITS, MongoStore
from shared.relay import Relay
from tests.conftest import cancelled, facts_to, until, wish_commit

pytestmark = pytest.mark.stack

NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def relaying(home: Database, kafka: KafkaAccess, topic: str) -> AsyncIterator[Relay]:
    """A relay at work between the store and the topic."""
    relay = Relay(
        home[COMMITS],
        Lease(home[LEASES], RELAY, "a", 1.0),
        facts_to(topic),
        lambda: fact_producer(kafka, "relay-of-the-test"),
        lease_seconds=1.0,
    )
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await cancelled(task)


@pytest.fixture
async def store(home: Database) -> AsyncIterator[MongoStore]:
    store = MongoStore(home)
    await store.prepare()
    yield store
    await store.close()


async def append(store: MongoStore, count: int) -> None:
    await asyncio.gather(*(store.append(wish_commit()) for _ in range(count)))


async def aged(home: Database) -> None:
    """Make all that is stored an hour older: time is a value."""
    hour_ago = Timestamp(int(time.time()) - 3600, 1)
    await home[COMMITS].update_many({}, {"$set": {"ts": hour_ago}})


async def test_a_store_without_commits_is_not_behind(home: Database, store: MongoStore) -> None:
    assert await unpublished_seconds(home) == 0


async def test_before_any_relay_ran_the_oldest_commit_is_what_waits(
    home: Database, store: MongoStore
) -> None:
    await append(store, 3)
    await aged(home)
    await append(store, 3)
    assert 3590 < await unpublished_seconds(home) < 3660


async def test_what_was_there_before_the_first_start_and_what_came_after_is_published(
    home: Database, store: MongoStore, stack_servers: Servers, topic: str
) -> None:
    await append(store, 20)
    await aged(home)

    async def nothing_waits() -> bool:
        return await unpublished_seconds(home) == 0

    async with relaying(home, stack_servers.kafka, topic) as relay:
        await until(nothing_waits, "what was there is published")
        await append(store, 20)
        await until(lambda: relay.published >= 40, "what came is published")
        await until(nothing_waits, "and known to be")
    assert await unpublished_seconds(home) == 0  # nobody leads, and nothing waits


async def test_without_kafka_the_age_grows_and_a_relay_that_tries_does_not_hide_it(
    home: Database, store: MongoStore, stack_servers: Servers, topic: str
) -> None:
    async with relaying(home, stack_servers.kafka, topic) as relay:
        await append(store, 5)
        await until(lambda: relay.published == 5, "all is out")
    await append(store, 1)
    first = await unpublished_seconds(home)

    async def older() -> bool:
        return await unpublished_seconds(home) > first + 1.5

    async with relaying(home, KafkaAccess(NOBODY), topic):
        await until(older, "the age grows while a relay tries in vain")
    await append(store, 1)
    assert await unpublished_seconds(home) > first + 1.5  # the oldest counts, not the last


async def test_the_mark_of_a_long_backlog_is_where_the_feed_is_not_what_time_it_is(
    home: Database, store: MongoStore
) -> None:
    """It was the time of the server's answer: after a long time without Kafka, the first batch
    made all the rest look published, and a relay that then lost its token passed over it."""
    feed = ChangeFeed(store.commits, batch=2)
    await feed.open(None)
    for _ in range(6):
        await append(store, 1)
    stamps = [d["ts"] async for d in store.commits.find().sort("ts", 1)]
    given = 0
    try:
        while given < len(stamps):
            given += len(await feed.next())
            assert feed.cluster_time is not None
            assert sum(stamp <= feed.cluster_time for stamp in stamps) == given
    finally:
        await feed.close()
