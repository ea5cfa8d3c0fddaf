"""The twins of mongod and Kafka keep the promises of the real ones: those the house builds on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import bson
import pytest
from aiokafka import AIOKafkaProducer
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from deploy.local.servers import Servers
from shared.contracts.recorded import from_wire, to_wire
from shared.kafka import Record
from shared.lease import Lease, Lost
from shared.mongo import ChangeFeed, Database, transaction
from shared.mongo_store import MongoStore
from shared.relay import MARGIN_SECONDS
from shared.store import History
from tests.conftest import following, new_story, reader, submitted, whole_story, wish_commit
from tests.model.documents import matches, updated
from tests.model.hosts import Host
from tests.model.kafka import TOPIC, Kafka, Producer
from tests.model.mongo_client import database
from tests.model.mongod import Mongod

stack = pytest.mark.stack
Published = tuple[str, AIOKafkaProducer, Callable[[], Awaitable[list[Record]]]]
"""A topic, a producer, and what gives all records of the topic."""
EITHER: Final = ["twin", pytest.param("real", marks=stack)]


@pytest.fixture
async def twin() -> Database:
    """A database of the twin."""
    loop = asyncio.get_running_loop()
    return database(Mongod(loop), Host("test", loop), "test")


@pytest.fixture(params=EITHER)
def there(request: pytest.FixtureRequest) -> Database:
    """Each database in turn."""
    found: Database = request.getfixturevalue("home" if request.param == "real" else "twin")
    return found


def raw(name: str) -> RawBSONDocument:
    return RawBSONDocument(bson.encode({"_id": name}))


async def all_in(there: Database, name: str) -> list[dict[str, Any]]:
    return await there[name].find({}).sort("_id", 1).to_list(None)


async def test_a_name_is_taken_once(there: Database) -> None:
    await there["docs"].insert_one({"_id": "a", "n": 1})
    with pytest.raises(DuplicateKeyError):
        await there["docs"].insert_one({"_id": "a", "n": 2})
    assert await there["docs"].find_one({"_id": "a"}) == {"_id": "a", "n": 1}


async def test_of_many_inserts_each_has_its_own_outcome(there: Database) -> None:
    await there["docs"].insert_one({"_id": "b"})
    with pytest.raises(BulkWriteError) as failed:
        await there["docs"].insert_many([raw("a"), raw("b"), raw("c")], ordered=False)
    errors = [(e["index"], e["code"]) for e in failed.value.details["writeErrors"]]
    assert (errors, failed.value.details["writeConcernErrors"]) == ([(1, 11000)], [])
    assert [d["_id"] for d in await all_in(there, "docs")] == ["a", "b", "c"]


async def test_what_is_expected_and_not_so_is_not_changed(there: Database) -> None:
    await there["docs"].insert_one({"_id": "a", "next": 3})
    for expected, matched in ((2, 0), (3, 1), (3, 0)):
        write = UpdateOne({"_id": "a", "next": expected}, {"$set": {"next": 4}})
        assert (await there["docs"].bulk_write([write], ordered=False)).matched_count == matched
    assert await all_in(there, "docs") == [{"_id": "a", "next": 4}]


async def test_updates_make_what_is_missing_and_leave_the_rest(there: Database) -> None:
    docs = there["docs"]
    await docs.update_one({"_id": "a"}, {"$setOnInsert": {"n": 1}}, upsert=True)
    await docs.update_one({"_id": "a"}, {"$setOnInsert": {"n": 2}}, upsert=True)
    await docs.bulk_write(
        [
            UpdateOne({"_id": "a"}, {"$max": {"seen": 5}}, upsert=True),
            UpdateOne({"_id": "b"}, {"$max": {"seen": 2}}, upsert=True),
            ReplaceOne({"_id": "c"}, {"n": 3}, upsert=True),
            DeleteOne({"_id": "d"}),
        ],
        ordered=False,
    )
    await docs.update_one({"_id": "a"}, {"$inc": {"n": 1}, "$max": {"seen": 4}})
    expected = [{"_id": "a", "n": 2, "seen": 5}, {"_id": "b", "seen": 2}, {"_id": "c", "n": 3}]
    assert await all_in(there, "docs") == expected
    assert set(await docs.distinct("n", {"_id": {"$in": ["a", "c"]}})) == {2, 3}
    assert await docs.count_documents({"seen": {"$exists": True}}) == 2


async def test_a_transaction_writes_all_or_nothing_and_is_seen_when_it_is_over(
    there: Database,
) -> None:
    docs = there["docs"]
    await docs.insert_one({"_id": "a", "n": 1})
    async with transaction(there.client) as session:
        await docs.update_one({"_id": "a"}, {"$set": {"n": 2}}, session=session)
        assert (await docs.find_one({"_id": "a"}, session=session) or {})["n"] == 2
        assert (await docs.find_one({"_id": "a"}) or {})["n"] == 1
    assert (await docs.find_one({"_id": "a"}) or {})["n"] == 2

    async def taken() -> None:
        async with transaction(there.client) as session:
            await docs.update_one({"_id": "a"}, {"$set": {"n": 3}}, session=session)
            await docs.bulk_write([InsertOne({"_id": "a"})], ordered=False, session=session)

    with pytest.raises(BulkWriteError):
        await taken()
    async with transaction(there.client) as session:
        await docs.update_one({"_id": "a"}, {"$set": {"n": 4}}, session=session)
        await session.abort_transaction()
    assert await all_in(there, "docs") == [{"_id": "a", "n": 2}]


async def conflicts(write: Callable[[], Awaitable[Any]]) -> None:
    with pytest.raises(OperationFailure) as conflict:
        await write()
    assert conflict.value.code == 112


async def test_of_two_transactions_on_one_document_the_first_wins(there: Database) -> None:
    docs = there["docs"]
    await docs.insert_one({"_id": "a", "n": 1})

    async def both_open() -> None:
        async with transaction(there.client) as one, transaction(there.client) as other:
            await docs.update_one({"_id": "a"}, {"$set": {"n": 2}}, session=one)
            await docs.update_one({"_id": "a"}, {"$set": {"n": 3}}, session=other)

    async def begun_before() -> None:
        async with transaction(there.client) as session:
            await docs.find_one({"_id": "a"}, session=session)
            await docs.update_one({"_id": "a"}, {"$set": {"n": 4}})
            await docs.update_one({"_id": "a"}, {"$set": {"n": 5}}, session=session)

    await conflicts(both_open)
    await conflicts(begun_before)
    assert await all_in(there, "docs") == [{"_id": "a", "n": 4}]


async def test_a_transaction_begins_with_its_first_call(there: Database) -> None:
    docs = there["docs"]
    await docs.insert_one({"_id": "a", "n": 1})
    async with transaction(there.client) as session:
        await docs.update_one({"_id": "a"}, {"$set": {"n": 2}})
        await docs.update_one({"_id": "a"}, {"$inc": {"n": 1}}, session=session)
    assert await all_in(there, "docs") == [{"_id": "a", "n": 3}]


async def test_a_feed_tells_commits_in_their_order_and_goes_on_after_its_token(
    there: Database,
) -> None:
    store = MongoStore(there)
    await store.prepare()
    feed = ChangeFeed(store.commits, wait_ms=50)
    await feed.open(None)
    first, second, third = wish_commit(), wish_commit(), wish_commit()
    heard: list[str] = []
    for commit in (first, second):
        await store.append(commit)
    while len(heard) < 2:
        heard += [d["stream"] for d in await feed.next()]
    token, since = feed.token, feed.cluster_time
    await store.append(third)
    await feed.close()
    again = ChangeFeed(store.commits, wait_ms=50)
    await again.open(token)
    while len(heard) < 3:
        heard += [d["stream"] for d in await again.next()]
    assert heard == [first.stream, second.stream, third.stream]
    await again.close()
    assert since is not None
    margin = Timestamp(since.time - MARGIN_SECONDS, 0)  # a stamp may be before its change's time
    scanned = store.commits.find({"ts": {"$gte": margin}}).sort("ts", 1)
    assert [d["stream"] async for d in scanned] == heard


async def test_a_lease_has_one_holder_and_its_epoch_grows(there: Database) -> None:
    one, other = (Lease(there["leases"], "relay", owner, 60) for owner in ("a", "b"))
    assert (await one.take() or {})["epoch"] == 1
    assert await other.take() is None
    await one.renew(token={"_data": "$x"})
    await one.release()
    assert (await other.take() or {})["token"] == {"_data": "$x"}
    assert other.epoch == 2
    with pytest.raises(Lost):
        await one.renew()


async def test_a_store_over_either_answers_the_same(there: Database) -> None:
    store, story = MongoStore(there), new_story()
    commit = wish_commit(story)
    await store.append(commit)
    loaded = await store.load(commit.stream)
    assert loaded == History(commit.stream, (commit,))
    await store.append(following(loaded, submitted(story)))
    assert (await store.load(commit.stream)).version == 2


@pytest.fixture
async def in_twin() -> Published:
    """A producer of the twin of Kafka."""
    loop = asyncio.get_running_loop()
    kafka = Kafka(loop)

    async def records() -> list[Record]:
        return cast("list[Record]", kafka.records)

    return TOPIC, cast("Any", Producer(kafka, Host("test", loop))), records


@pytest.fixture
async def in_kafka(stack_servers: Servers, topic: str, producer: AIOKafkaProducer) -> Published:
    """A producer of the real one."""

    async def records() -> list[Record]:
        async with reader(stack_servers.kafka, topic) as read:
            return await read.to_the_end()

    return topic, producer, records


@pytest.fixture(params=EITHER)
def published(request: pytest.FixtureRequest) -> Published:
    """Each Kafka in turn."""
    found: Published = request.getfixturevalue("in_kafka" if request.param == "real" else "in_twin")
    return found


async def test_records_of_one_key_lie_in_one_partition_in_the_order_they_were_sent(
    published: Published,
) -> None:
    topic, producer, records = published
    stories = [whole_story(new_story()) for _ in range(3)]
    facts = [recorded for wish, case in stories for recorded in (*wish, *case)]
    sent = []
    for recorded in facts:
        key, value, headers = to_wire(recorded)
        sent.append(await producer.send(topic, value, key=key, headers=headers))
    await asyncio.gather(*sent)
    there = await records()
    for wish, case in stories:
        key = wish[0].story.encode()
        mine = [record for record in there if record.key == key]
        assert [from_wire(r.value, r.headers) for r in mine] == [*wish, *case]
        assert len({record.partition for record in mine}) == 1
        assert sorted(r.offset for r in mine) == [r.offset for r in mine]


async def test_a_twin_raises_on_what_it_does_not_know(twin: Database) -> None:
    now = Mongod(asyncio.get_running_loop()).now
    with pytest.raises(NotImplementedError):
        matches({"_id": 1}, {"_id": {"$regex": "a"}}, now)
    with pytest.raises(NotImplementedError):
        updated({"_id": 1}, 1, {"$push": {"a": 1}}, now)
    with pytest.raises(NotImplementedError):
        await twin.command({"ping": 1})
    with pytest.raises(AttributeError):
        getattr(twin["docs"], "aggregate")  # noqa: B009  # the twin has none
