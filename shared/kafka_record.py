"""A record as it is read from Kafka."""

from collections.abc import Sequence
from typing import Protocol


class Record(Protocol):
    """aiokafka's own class carries no types."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
