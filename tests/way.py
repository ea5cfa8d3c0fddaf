"""The way of one producer to Kafka, which a test can cut: all others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Literal, cast

from aiokafka import AIOKafkaProducer
from aiokafka.structs import BrokerMetadata

from shared.kafka import fact_producer
from shared.kafka_access import KafkaAccess

Cut = Literal["refused", "silent"]


class Way:
    """A door on loopback through which Kafka is reached until it is cut."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._kafka = kafka
        host, _, port = kafka.servers.split(",")[0].rpartition(":")
        self._there = (host, int(port))
        self._open = asyncio.Event()
        self._open.set()
        self._through: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Way"]:
        """The door, closed with the block."""
        self._server = await asyncio.start_server(self._enter, "127.0.0.1", 0)
        try:
            yield self
        finally:
            await self.cut("refused")

    async def cut(self, how: Cut) -> None:
        """Nothing gets through any more: refused as by a firewall, or silent as in a black hole."""
        self._open.clear()
        if how == "refused" and self._server is not None:
            self._server.close()
            for each in self._through:
                each.cancel()
            await asyncio.gather(*self._through, return_exceptions=True)
            for writer in self._writers:
                writer.close()

    def producer(self, name: str) -> AIOKafkaProducer:
        """One whose every connection goes through the door, whatever Kafka says where it is."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        producer = fact_producer(replace(self._kafka, servers=f"127.0.0.1:{port}"), name)
        cluster = producer.client.cluster
        known = cluster.broker_metadata

        def through_the_door(node: Any) -> BrokerMetadata | None:
            broker: BrokerMetadata | None = known(node)
            return broker and broker._replace(host="127.0.0.1", port=port)

        cluster.broker_metadata = through_the_door
        return producer

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._through.add(cast("asyncio.Task[None]", asyncio.current_task()))
        await self._open.wait()
        kafka_reader, kafka_writer = await asyncio.open_connection(*self._there)
        self._writers.add(kafka_writer)
        for source, sink in ((reader, kafka_writer), (kafka_reader, writer)):
            self._through.add(asyncio.create_task(self._carry(source, sink)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1 << 16):
            await self._open.wait()
            sink.write(data)
        sink.close()
