"""What a partner's system does: it publishes CloudEvents on its own topic and reads its answers."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.local.installation import Installation
from shared.contracts.answers import EventAnswer, answers_topic, inbound_topic
from shared.contracts.base import PartnerId

ANSWER_SECONDS: Final = 30.0


class Unanswered(Exception):
    """No answer came to an event in time."""


class Partner:
    """A partner's two topics, for callers of any thread. Made by `partner`."""

    def __init__(self, place: Installation, name: str, source: str) -> None:
        prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
        self._kafka = place.kafka_of(PartnerId(name))
        self._inbound = prefix + inbound_topic(PartnerId(name))
        self._answers = prefix + answers_topic(PartnerId(name))
        self._source = source
        self._waiting: dict[str, asyncio.Future[EventAnswer]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def tell(
        self, id_: str, verb: str, ref: str, data: Mapping[str, Any], time: str | None
    ) -> EventAnswer:
        """Publish an event in binary mode, keyed by `ref`, and return the answer to it. Raises
        Unanswered."""
        asked = asyncio.run_coroutine_threadsafe(self._tell(id_, verb, ref, data, time), self._loop)
        return asked.result()

    def start(self) -> None:
        """Connect, and read answers from the beginning."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def stop(self) -> None:
        """Disconnect."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._producer = AIOKafkaProducer(**self._kafka.options(), acks="all")
        self._consumer = AIOKafkaConsumer(
            self._answers, **self._kafka.options(), auto_offset_reset="earliest"
        )
        await self._producer.start()
        await self._consumer.start()
        self._reading = asyncio.create_task(self._read())

    async def _stop(self) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        await self._consumer.stop()
        await self._producer.stop()

    async def _read(self) -> None:
        async for record in self._consumer:
            answer = EventAnswer.model_validate_json(record.value)
            waiting = self._waiting.get(answer.id or "")
            if waiting is not None and not waiting.done():  # an answer may be seen twice
                waiting.set_result(answer)

    async def _tell(
        self, id_: str, verb: str, ref: str, data: Mapping[str, Any], time: str | None
    ) -> EventAnswer:
        said = {"specversion": "1.0", "id": id_, "source": self._source}
        said |= {"type": f"wishgrid.{verb}.v1"} | ({} if time is None else {"time": time})
        headers = [(f"ce_{name}", text.encode()) for name, text in said.items()]
        answer = self._waiting[id_] = self._loop.create_future()
        await self._producer.send_and_wait(
            self._inbound, json.dumps(data).encode(), key=ref.encode(), headers=headers
        )
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError:
            raise Unanswered(f"no answer to {id_} in {ANSWER_SECONDS:g} s") from None
        finally:
            del self._waiting[id_]


@contextmanager
def partner(place: Installation, name: str, source: str) -> Iterator[Partner]:
    """A partner of the installation, connected as long as the context lasts."""
    made = Partner(place, name, source)
    made.start()
    try:
        yield made
    finally:
        made.stop()
