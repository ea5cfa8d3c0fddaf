"""What a partner publishes: CloudEvents as Kafka records, whole and broken."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.structs import ConsumerRecord

from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import EventId, EventSource, PartnerId
from shared.kafka import Record
from shared.kafka_headers import read_every_name

PARTNER: Final = PartnerId("ping-an-key")
SOURCE: Final = EventSource("/ping-an-key/officers")
INBOUND: Final = inbound_topic(PARTNER)
ANSWERS: Final = answers_topic(PARTNER)
MATTER: Final = {"kind": "event", "category": "order", "area": "t3/west/g2", "words": "占道经营"}
UNIT: Final = "police-post"

Headers = Sequence[tuple[str, bytes]]


def attributes(id_: str = "e-1", verb: str = "wish-submitted", **more: str) -> dict[str, str]:
    """The attributes of an event of ours, some of them otherwise."""
    said = {"specversion": "1.0", "id": id_, "source": SOURCE, "type": f"wishgrid.{verb}.v1"}
    return {**said, **more}


def binary(id_: str = "e-1", verb: str = "wish-submitted", **more: str) -> list[tuple[str, bytes]]:
    """The same as headers."""
    return [(f"ce_{name}", text.encode()) for name, text in attributes(id_, verb, **more).items()]


def structured(data: object, id_: str = "e-1", verb: str = "wish-submitted", **more: Any) -> bytes:
    """The same as an envelope around the data."""
    return orjson.dumps({**attributes(id_, verb), "data": data, **more})


def data(said: Mapping[str, Any]) -> bytes:
    """What an event says, as its value."""
    return orjson.dumps(said)


def wish(ref: str, **more: Any) -> bytes:
    """A matter under the partner's own reference."""
    return data({"ref": ref, **MATTER, **more})


def report(ref: str, **more: Any) -> bytes:
    """A unit reports in."""
    return data({"ref": ref, "unit": UNIT, **more})


def record(
    value: bytes | None,
    headers: Headers,
    offset: int = 0,
    *,
    key: bytes | None = b"k",
    partition: int = 0,
    topic: str = INBOUND,
) -> Record:
    """A record as aiokafka reads it."""
    sizes = (len(key or b""), len(value or b""))
    read: Record = ConsumerRecord(
        topic, partition, offset, 0, 0, key, value, None, *sizes, tuple(headers)
    )
    return read


def about(answers: Sequence[Record]) -> dict[EventId, set[tuple[str, bytes]]]:
    """What was answered to each event, as (ce_id, body): a set, for it may be seen twice."""
    said: dict[EventId, set[tuple[str, bytes]]] = {}
    for answer in answers:
        body = orjson.loads(answer.value or b"")
        name = EventId(body.get("id") or body["place"])
        ce_id = dict(answer.headers)["ce_id"].decode()
        said.setdefault(name, set()).add((ce_id, answer.value or b""))
    return said


class _Name(str):
    """A name of a header that goes out as other bytes."""

    def __new__(cls, raw: bytes) -> "_Name":
        made = super().__new__(cls, "name")
        made._raw = raw
        return made

    _raw: bytes

    def encode(self, *_: Any) -> bytes:
        return self._raw


async def send_misnamed(
    producer: AIOKafkaProducer,
    topic: str,
    records: Sequence[tuple[bytes | None, bytes | None, Sequence[tuple[bytes, bytes]]]],
    *,
    partition: int = 0,
    codec: int = 0,
) -> Any:
    """Publish (key, value, headers) in one batch, with names of headers that need not be UTF-8:
    other clients allow what aiokafka's producer does not. `codec` is Kafka's number of it."""
    read_every_name()  # or this process could not look at the topic any more
    batch = producer.create_batch()
    batch._builder = _DefaultRecordBatchBuilderPy(2, codec, False, -1, -1, -1, 1_000_000)
    for key, value, headers in records:
        named = [(_Name(name), text) for name, text in headers]
        batch.append(timestamp=1, key=key, value=value, headers=named)
    return await (await producer.send_batch(batch, topic, partition=partition))
