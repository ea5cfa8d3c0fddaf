"""Replay: how fast a service reads a topic into all its views, against Quix Streams' MongoDBSink.

Both read the same topic on the same Kafka into the same mongod, each from the start of its
process until its last record is durable. The sink copies records into one collection; we fold
them into stories, a timeline, lists and numbers.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from pymongo import MongoClient

from deploy.demo.client import Client
from deploy.local.installation import installation
from deploy.local.process import Process
from deploy.local.servers import Servers
from deploy.topics import Topic, ensure_topics
from shared.access import Role
from shared.contracts.recorded import to_wire
from shared.kafka import FACTS, fact_producer
from shared.kafka_access import KafkaAccess
from tests.bench.facts import FACTS_PER_STORY, history, town
from tests.bench.machine import ROOT, cpu_seconds
from tests.bench.rounds import Round

SECONDS: Final = 900.0
SINK: Final = Path(__file__).with_name("quix_sink.py")
SINK_SETTINGS: Final = {"method": "UpdateOne", "commit-every": "10000"}


class Replay:
    """One topic of facts, and both ways to read it."""

    def __init__(self, servers: Servers, folder: Path, python: Path, facts: int) -> None:
        self._servers = servers
        self._folder = folder
        self._python = python
        self._facts = facts
        self._name = f"replay{uuid.uuid4().hex[:8]}"

    def prepare(self) -> None:
        """Fill the topic."""
        asyncio.run(_fill(self._servers.kafka, f"{self._name}.", self._facts))

    def ours(self) -> Round:
        """Start a projections process on empty read models; it is done when all is read."""
        database = f"{self._name}_{uuid.uuid4().hex[:8]}"
        folder = self._folder / database
        start = time.perf_counter()
        mongod = self._mongod_seconds()
        with installation(
            self._servers,
            folder,
            name=self._name,
            services=["projections"],
            settings={"WISHGRID_DATABASE_PREFIX": database},
        ) as place:
            process = next(place.instances()).process
            process.wait_until(lambda: _projected(process) >= self._facts, SECONDS)
            seconds = time.perf_counter() - start
            spent = cpu_seconds(process.pid)
            mongod = self._mongod_seconds() - mongod
            self._check(Client(place, Role.OVERSEER, "bench", town().id, [town().id]))
        self._drop(database)
        return Round(self._facts / seconds, spent, {"mongod_cpu_seconds": round(mongod, 2)})

    def peer(self) -> Round:
        """Start the sink on an empty collection."""
        database = f"{self._name}_quix_{uuid.uuid4().hex[:8]}"
        argv = [str(self._python), str(SINK)]
        for name, value in {
            **SINK_SETTINGS,
            "kafka": self._servers.kafka.servers,
            "mongo-port": self._servers.mongo.partition("/?")[0].rpartition(":")[2],
            "database": database,
            "topic": f"{self._name}.{FACTS}",
            "group": database,
            "records": str(self._facts),
        }.items():
            argv += [f"--{name}", value]
        process = Process("sink", argv, None, self._folder / f"{database}.log", ROOT)
        mongod = self._mongod_seconds()
        start = time.perf_counter()
        process.start()
        try:
            process.wait_until(lambda: "\ndone" in f"\n{process.said()}", SECONDS)
            seconds = time.perf_counter() - start
            spent = cpu_seconds(process.pid)
            mongod = self._mongod_seconds() - mongod
        finally:
            process.terminate()
        with MongoClient[dict[str, Any]](self._servers.mongo) as client:
            found = client[database]["facts"].count_documents({})
        if found != self._facts:
            raise RuntimeError(f"the sink copied {found} of {self._facts} records")
        self._drop(database)
        return Round(self._facts / seconds, spent, {"mongod_cpu_seconds": round(mongod, 2)})

    def _check(self, reader: Client) -> None:
        """The report must count every story: a figure for half the work is none."""
        report = reader.get(
            "/v1/report", area=town().id, **{"from": "2026-03-02", "to": "2027-12-31"}
        )
        reader.close()
        received = report["numbers"]["received"]["count"]
        if received < self._facts // FACTS_PER_STORY:
            raise RuntimeError(f"the report counts {received} cases")

    def _mongod_seconds(self) -> float:
        server = self._servers.mongo_server
        return 0.0 if server is None else cpu_seconds(server.process.pid)

    def _drop(self, prefix: str) -> None:
        with MongoClient[dict[str, Any]](self._servers.mongo) as client:
            for name in client.list_database_names():
                if name.startswith(prefix):
                    client.drop_database(name)


def _projected(process: Process) -> int:
    """How many facts it says it has projected."""
    lines = (json.loads(line) for line in process.said().splitlines() if '"projected"' in line)
    return sum(line.get("facts", 1) for line in lines)


async def _fill(kafka: KafkaAccess, prefix: str, facts: int) -> None:
    await ensure_topics(kafka, prefix=prefix, topics=[Topic(FACTS)])
    producer = fact_producer(kafka, "bench")
    await producer.start()
    for part in _parts(facts):
        await asyncio.gather(*[await _sent(producer, prefix + FACTS, each) for each in part])
    await producer.stop()


def _parts(facts: int, size: int = 5000) -> Iterator[list[Any]]:
    part = []
    for recorded in history(facts):
        part.append(recorded)
        if len(part) == size:
            yield part
            part = []
    yield part


async def _sent(producer: AIOKafkaProducer, topic: str, recorded: Any) -> Any:
    key, value, headers = to_wire(recorded)
    at = int(recorded.recorded.timestamp() * 1000)
    return await producer.send(topic, value=value, key=key, headers=headers, timestamp_ms=at)
