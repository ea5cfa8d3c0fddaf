"""Hard case: dispatch was republished before intake, so every case comes before its wish.

That the read models come out the same is shown in tests/deploy/test_republish.py; here it is that
neither service does anything about it.
"""

import asyncio
from collections import defaultdict
from typing import Final

import pytest
from aiokafka import AIOKafkaProducer

from shared.kafka import Record
from shared.mongo import Database, Document
from shared.mongo_store import MongoStore
from shared.serving import House
from tests.conftest import new_topic, reader
from tests.hardcases.history import EACH, History, patterns
from tests.hardcases.test_long_history import Replay

pytestmark = pytest.mark.stack

FACTS: Final = 2_000
WRITTEN: Final = ("commits", "issues", "parked")


async def written(home: Database) -> dict[str, list[Document]]:
    """All that reactions may write, but for what they note as seen."""
    return {name: await home[name].find().sort("_id", 1).to_list(None) for name in WRITTEN}


def kinds(records: list[Record]) -> list[list[str]]:
    """Of each partition, the kinds of streams in the order in which they come."""
    found: dict[int, list[str]] = defaultdict(list)
    for record in records:
        stream = dict(record.headers)["ce_id"].decode()
        found[record.partition].append(stream.partition("-")[0])
    return list(found.values())


async def test_reactions_to_a_topic_with_all_cases_before_all_wishes_do_nothing(
    house: House, producer: AIOKafkaProducer
) -> None:
    history = History(await patterns(), FACTS)
    homes = {service: house.database(service) for service in EACH}
    stores = {service: MongoStore(home) for service, home in homes.items()}
    for service, store in stores.items():
        await store.prepare()
        assert await history.store(homes[service], service)
    before = {service: await written(home) for service, home in homes.items()}
    topic = await new_topic(house.kafka)
    await history.publish(producer, topic, (("dispatch",), ("intake",)))
    async with reader(house.kafka, topic) as read:
        in_order = kinds(await read.to_the_end())
    assert all({"case", "wish"} == set(each) and each == sorted(each) for each in in_order)

    replays = [Replay(homes[service], stores[service], service) for service in EACH]
    for replay, home in zip(replays, homes.values(), strict=True):
        await replay.reactions.prepare(home)
    await asyncio.gather(*(replay.of(house, topic, history.facts) for replay in replays))

    assert {service: await written(home) for service, home in homes.items()} == before
    for service, home in homes.items():
        assert before[service]["issues"] == []
        assert await home["seen"].count_documents({}) == history.stories  # it did hear them all
    for store in stores.values():
        await store.close()
