"""After a run, what a resident wrote is found nowhere but sealed."""

import asyncio
from collections.abc import Iterator

import bson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from pymongo import MongoClient
from pymongo.cursor import Cursor

from deploy.demo.client import Client
from deploy.local.installation import Installation
from shared.access import Role
from shared.kafka_access import KafkaAccess
from tests.journeys.conftest import WISH, Person

pytestmark = pytest.mark.stack

SECRETS = {
    "title": "密文标题甲乙",
    "words": "密文诉求丙丁，楼道里有异味。",
    "name": "密文姓名戊",
    "phone": "+86 139-7777-0001",
    "address": "密文地址己2单元",
}
NOTE, RATING, ACCOUNT = "密文办理庚", "密文评价辛", "wx-account-13977770001"


def test_texts_names_phones_and_accounts_are_nowhere_in_kafka_mongodb_or_the_logs(
    place: Installation, person: Person, desk: Client, unit: Client
) -> None:
    resident = person(Role.RESIDENT, ACCOUNT)
    said = resident.submit({**WISH, **SECRETS})
    story = said["story"]
    officer = person(Role.OFFICER, "g4-officer", areas=["t3/west"])
    officer.submit({**WISH, **SECRETS})  # by phone, on a resident's behalf
    said = desk.do("accept", story, {}, said["position"])
    said = desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
    said = unit.do("report", story, {}, said["position"])
    said = unit.do("progress", story, {"note": NOTE}, said["position"])
    said = unit.do("resolve", story, {"outcome": "resolved", "note": NOTE}, said["position"])
    rating = {"resolved": True, "satisfaction": 5, "words": RATING}
    said = resident.do("rate", story, rating, said["position"])
    case = resident.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")

    assert {field: case[field] for field in SECRETS} == SECRETS  # they were really sent
    needles = [*SECRETS.values(), NOTE, RATING, ACCOUNT, "13977770001"]
    places = [*_mongo(place), *asyncio.run(_kafka(place)), *_logs(place)]
    assert sum(story.encode() in content for _, content in places) > 10  # they were really read
    found = [(w, n) for w, content in places for n in needles if n.encode() in content]
    assert found == []


def _mongo(place: Installation) -> Iterator[tuple[str, bytes]]:
    mongo: MongoClient[dict[str, object]]
    with MongoClient(place.servers.mongo) as mongo:
        for name in mongo.list_database_names():
            if name == "config":
                continue
            for collection in mongo[name].list_collection_names():
                documents: Cursor[dict[str, object]] = mongo[name][collection].find()
                for document in documents:
                    yield f"{name}.{collection}", bson.encode(document)


async def _kafka(place: Installation) -> list[tuple[str, bytes]]:
    """Every record of every topic from offset 0."""
    partitions = await _partitions(place.servers.kafka)
    consumer = AIOKafkaConsumer(**place.servers.kafka.options(), enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        read: list[tuple[str, bytes]] = []
        while any([await consumer.position(p) < ends[p] for p in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for r in batch:
                    headers = b"".join(k.encode() + (v or b"") for k, v in r.headers)
                    read.append((r.topic, (r.key or b"") + (r.value or b"") + headers))
        return read
    finally:
        await consumer.stop()


async def _partitions(kafka: KafkaAccess) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        topics = await admin.describe_topics(await admin.list_topics())
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in topics
            for partition in topic["partitions"]
        ]
    finally:
        await admin.close()


def _logs(place: Installation) -> Iterator[tuple[str, bytes]]:
    for file in (place.folder / "logs").iterdir():
        yield file.name, file.read_bytes()
