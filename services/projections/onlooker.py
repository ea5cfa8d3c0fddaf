"""How near what is read is to the topic, measured by a process that does not write it.

Another build writes it, or nobody does any more: its offsets tell, since what lacks little, or
lacks less than before, has somebody who writes.
"""

import asyncio
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from services.projections.completion import FEW
from services.projections.consumer import behind
from services.projections.readmodel import ReadModel
from shared.kafka_access import KafkaAccess

SHRINKING_SECONDS: Final = 30.0
"""So long what lacks many records is near after it last lacked fewer than before."""

log = structlog.get_logger(__name__)


class Onlooker:
    """Has a consumer of its own, in no group, from the first look on."""

    def __init__(self, kafka: KafkaAccess, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._consumer: AIOKafkaConsumer | None = None
        self._measured: tuple[str, int] | None = None
        self._shrunk_at: float | None = None
        self.near = False
        """The last judgement; it stands while Kafka or MongoDB is away."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: Any) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def look(self, model: ReadModel) -> None:
        """Measure it, and judge."""
        try:
            consumer = self._consumer or await self._connected()
            lacks = sum((await behind(consumer, self._topic, model)).values())
        except (KafkaError, PyMongoError) as failed:
            log.info("what others write cannot be measured", error=type(failed).__name__)
            return
        self._judge(model.database.name, lacks, asyncio.get_running_loop().time())

    def _judge(self, name: str, lacks: int, now: float) -> None:
        before, self._measured = self._measured, (name, lacks)
        if before is None or before[0] != name:
            self._shrunk_at = None
        elif lacks < before[1]:
            self._shrunk_at = now
        shrinks = self._shrunk_at is not None and now - self._shrunk_at <= SHRINKING_SECONDS
        self.near = lacks <= FEW or shrinks

    async def _connected(self) -> AIOKafkaConsumer:
        """It subscribes to nothing, and so fetches nothing."""
        consumer = AIOKafkaConsumer(
            **self._kafka.options(),
            client_id="projections-onlooker",
            enable_auto_commit=False,
            metadata_max_age_ms=5_000,  # as the projector: a topic made again is seen now
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        return consumer
