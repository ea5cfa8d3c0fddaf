"""The gate's way out: answers and dead letters, and whether a partner can be answered at all."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError
from faststream.kafka import KafkaBroker

from shared.kafka_access import KafkaAccess


class PartnerTopics:
    """Publishes by FastStream's broker, each record acknowledged by all in-sync replicas."""

    def __init__(self, broker: KafkaBroker, kafka: KafkaAccess) -> None:
        self._broker = broker
        self._kafka = kafka
        self._there: set[str] = set()
        self._asking = asyncio.Lock()

    async def publish(self, topic: str, key: bytes, value: bytes, headers: dict[str, str]) -> None:
        """Return once it is acknowledged. Raises KafkaError."""
        try:
            await self._broker.publish(value, topic, key=key, headers=headers)
        except UnknownTopicOrPartitionError:
            self._there.discard(topic)
            raise

    async def there(self, topic: str) -> bool:
        """Whether the topic exists; if it does, nobody is asked again. Raises KafkaError."""
        if topic in self._there:
            return True
        async with self._asking:  # one connection, however many partners have no topic
            if topic not in self._there:
                self._there = await self._topics()
        return topic in self._there

    async def _topics(self) -> set[str]:
        admin = AIOKafkaAdminClient(**self._kafka.options())
        try:
            await admin.start()
            return set(await admin.list_topics())
        finally:
            await admin.close()
