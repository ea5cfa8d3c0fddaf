"""The servers started here are real: they keep what they were told and leave nothing behind."""

import asyncio
import shutil
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

from deploy.local.errors import InstallFirst
from deploy.local.mongod import mongod_program
from deploy.local.process import Process
from deploy.local.server import Server
from deploy.local.servers import Servers, servers
from deploy.topics import Topic, ensure_topics
from shared.kafka_access import KafkaAccess
from tests.deploy.gone import gone, wait_for

pytestmark = pytest.mark.stack

MAJORITY = WriteConcern(w="majority", j=True)


@pytest.fixture(scope="module")
def own() -> Iterator[Servers]:
    """Servers of this module's own, to be killed at will."""
    with servers() as running:
        yield running


async def produce(kafka: KafkaAccess, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(**kafka.options(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def consume(kafka: KafkaAccess, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(**kafka.options(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        record = await asyncio.wait_for(consumer.getone(), 30)
        assert record.value is not None
        return bytes(record.value)
    finally:
        await consumer.stop()


async def new_topic(kafka: KafkaAccess) -> str:
    (name,) = await ensure_topics(kafka, topics=[Topic(f"t-{uuid.uuid4()}", partitions=1)])
    return name


def connected(mongo: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(mongo)


def written(mongo: str, key: str) -> None:
    with connected(mongo) as client:
        client.town.get_collection("things", write_concern=MAJORITY).insert_one({"_id": key})


def read(mongo: str, key: str) -> bool:
    with connected(mongo) as client:
        return client.town.things.find_one({"_id": key}) is not None


def ours(running: Servers) -> tuple[Server, Server]:
    assert running.kafka_server is not None
    assert running.mongo_server is not None
    return running.kafka_server, running.mongo_server


async def test_a_record_comes_back(own: Servers) -> None:
    topic = await new_topic(own.kafka)
    await produce(own.kafka, topic, b"hello")
    assert await consume(own.kafka, topic) == b"hello"


async def test_a_topic_nobody_made_does_not_appear_by_being_written_to(own: Servers) -> None:
    producer = AIOKafkaProducer(**own.kafka.options(), request_timeout_ms=2000)
    await producer.start()
    try:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("nobody-made-this", b"lost")
    finally:
        await producer.stop()


def test_a_majority_write_is_read_back(own: Servers) -> None:
    written(own.mongo, "one")
    assert read(own.mongo, "one")


def test_a_transaction_that_is_aborted_leaves_nothing(own: Servers) -> None:
    with connected(own.mongo) as client, client.start_session() as session:
        with session.start_transaction(write_concern=MAJORITY):
            client.town.things.insert_one({"_id": "kept"}, session=session)
        session.start_transaction()
        client.town.things.insert_one({"_id": "dropped"}, session=session)
        session.abort_transaction()
    assert read(own.mongo, "kept")
    assert not read(own.mongo, "dropped")


async def test_kafka_keeps_its_records_when_it_is_killed(own: Servers) -> None:
    kafka, _ = ours(own)
    topic = await new_topic(own.kafka)
    await produce(own.kafka, topic, b"before")
    kafka.kill()
    assert gone(kafka.process.pid)
    await asyncio.to_thread(kafka.restart)
    assert await consume(own.kafka, topic) == b"before"
    await produce(own.kafka, topic, b"after")


def test_mongod_keeps_majority_writes_when_it_is_killed(own: Servers) -> None:
    _, mongod = ours(own)
    written(own.mongo, "before")
    mongod.restart()
    assert read(own.mongo, "before")
    written(own.mongo, "after")


async def test_a_named_folder_keeps_the_data_for_the_next_run_on_other_ports(
    tmp_path: Path,
) -> None:
    with servers(tmp_path) as first:
        pids = [each.process.pid for each in ours(first)]
        topic = await new_topic(first.kafka)
        await produce(first.kafka, topic, b"kept")
        written(first.mongo, "kept")
    assert all(gone(pid) for pid in pids)
    with servers(tmp_path) as second:
        assert await consume(second.kafka, topic) == b"kept"
        assert read(second.mongo, "kept")


def test_given_addresses_are_used_and_nothing_is_started(tmp_path: Path) -> None:
    with servers(tmp_path, kafka=KafkaAccess("there:1"), mongo="mongodb://there:2") as given:
        assert given == Servers(kafka=KafkaAccess("there:1"), mongo="mongodb://there:2")
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_ends_the_server_that_did_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = mongod_program()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mongod").symlink_to(program)
    (tools / "ldd").symlink_to(str(shutil.which("ldd")))
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(InstallFirst, match=r"^java is not on PATH"), servers(tmp_path):
        pass
    lock = tmp_path / "mongo" / "data" / "mongod.lock"
    assert lock.read_text() == "", "mongod empties its lock when it ends cleanly"


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.mark.parametrize(
    ("end", "flags", "exports"), [(signal.SIGTERM, ["--secure"], 5), (signal.SIGKILL, [], 2)]
)
def test_servers_in_the_foreground_end_with_their_runner(
    tmp_path: Path, end: signal.Signals, flags: list[str], exports: int
) -> None:
    argv = [sys.executable, "-m", "deploy.local", "--folder", str(tmp_path / "data"), *flags]
    runner = Process("runner", argv, None, tmp_path / "log", Path(__file__).parents[2])
    runner.start()
    runner.wait_until(lambda: runner.said().count("export WISHGRID_") == exports, 60)
    pids = children(runner.pid)
    assert len(pids) == 2
    if end == signal.SIGTERM:
        runner.terminate(grace=30)
        assert runner.returncode() == 0
    else:
        runner.kill()
    wait_for(lambda: all(gone(pid) for pid in pids))
