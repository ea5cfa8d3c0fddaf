"""Waiting for Kafka to acknowledge what was sent, and not for ever.

aiokafka's idempotent producer never gives a batch up while it remembers a leader for it: whoever
cannot reach Kafka any more would wait until it can.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from aiokafka.errors import KafkaTimeoutError

PATIENCE_SECONDS: Final = 30.0
"""As long as a producer waits for one request; a retry after that is not waited for."""


async def acknowledged(sent: "Iterable[asyncio.Future[Any]]", patience: float) -> None:
    """Return when all are. Raises KafkaTimeoutError when none was for `patience` seconds: Kafka
    that is slow and gets on is waited for. Raises what the first one that failed says."""
    left = set(sent)  # one await for all, never one each
    while left:
        done, left = await asyncio.wait(left, timeout=patience, return_when=asyncio.FIRST_EXCEPTION)
        if not done:
            raise KafkaTimeoutError(f"Kafka acknowledged nothing for {patience:g} s")
        for each in done:
            each.result()
