"""What is read ahead of its turn is what would have been read then."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from services.projections import records
from services.projections.records import ReadAhead, decoded
from shared.contracts.recorded import Recorded, Unreadable, to_wire
from shared.kafka import Record
from tests.build import CASE_FACTS, told

FACTS: Final = told(CASE_FACTS, "case")


@dataclass
class Came:
    """A record as read from Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def came(recorded: Recorded, offset: int, **changes: Any) -> Record:
    return replace(Came("facts", 3, offset, *to_wire(recorded)), **changes)


async def test_reading_ahead_changes_nothing_but_when(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [came(fact, n) for n, fact in enumerate(FACTS)]
    batch[1] = came(FACTS[1], 1, key=b"another story")
    batch[2] = came(FACTS[2], 2, value=b"{")
    at_their_turn = decoded(batch)
    ahead = ReadAhead()
    await ahead.ahead(batch[:5])
    looked = list[Record]()

    def look(record: Record) -> Recorded | Unreadable:
        looked.append(record)
        return records_read(record)

    records_read = records.read
    monkeypatch.setattr(records, "read", look)
    assert decoded(batch, ahead.read) == at_their_turn
    assert looked == batch[5:]
    assert [record.offset for record, _ in at_their_turn[1]] == [1, 2]


async def test_a_record_that_came_again_is_read_again() -> None:
    first, again = came(FACTS[0], 0), came(FACTS[1], 0)
    ahead = ReadAhead()
    await ahead.ahead([first])
    assert decoded([again], ahead.read) == decoded([again])
