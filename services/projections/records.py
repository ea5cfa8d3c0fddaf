"""What the records of the topic say: facts, or why they are none."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from shared.contracts.recorded import Recorded, Unreadable, from_wire
from shared.kafka import Record
from shared.town import Towns

_AT_A_TIME: Final = 50
_TOLD_ONE_BY_ONE: Final = 50

log = structlog.get_logger(__name__)

Read = Recorded | Unreadable

log = structlog.get_logger(__name__)


def read(record: Record) -> Read:
    """The fact, or what is wrong.

    A record under another key than its story is none: it may lie in a partition whose owner does
    not own the story.
    """
    try:
        recorded = from_wire(record.value, record.headers)
    except Unreadable as wrong:
        return wrong
    if record.key != recorded.story.encode():
        return Unreadable(f"the key is not the story of {recorded.id}")
    return recorded


def decoded(
    batch: Iterable[Record], read: Callable[[Record], Read] = read
) -> tuple[dict[int, list[Recorded]], list[tuple[Record, str]]]:
    """The facts by partition, and the records that are none, with the reason."""
    facts: dict[int, list[Recorded]] = {}
    unreadable: list[tuple[Record, str]] = []
    for record in batch:
        match read(record):
            case Unreadable() as wrong:
                unreadable.append((record, str(wrong)))
            case Recorded() as recorded:
                facts.setdefault(record.partition, []).append(recorded)
    return facts, unreadable


class ReadAhead:
    """Reads records before their turn: the next poll's while one waits for the store."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Record, Read]] = {}

    async def ahead(self, records: Sequence[Record]) -> None:
        """Read these, a few at a time, so that whoever waits goes on in between."""
        for n, record in enumerate(records):
            if n % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            self._read[id(record)] = (record, read(record))

    def read(self, record: Record) -> Read:
        """What this very record says, whether it was read before or not."""
        kept = self._read.pop(id(record), None)
        return read(record) if kept is None else kept[1]

    def forget(self) -> None:
        """Others will come."""
        self._read.clear()


def lacking(towns: Towns, facts: Iterable[Recorded]) -> str | None:
    """The profile of one of these facts that is not known here, None where all are."""
    named = {(recorded.town, recorded.profile) for recorded in facts}
    return next((lack for town, profile in named if (lack := towns.lack(town, profile))), None)


def tell(facts: Sequence[Recorded]) -> None:
    """One line per fact while it flows, one per poll when there is a backlog."""
    if len(facts) > _TOLD_ONE_BY_ONE:
        log.info("projected", facts=len(facts))
        return
    for recorded in facts:
        log.info("projected", fact=recorded.id, correlation_id=recorded.correlation)
