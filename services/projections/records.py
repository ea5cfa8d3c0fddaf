"""What the records of the topic say: facts, or why they are none."""

from collections.abc import Iterable

from shared.contracts.recorded import Recorded, Unreadable, from_wire
from shared.kafka import Record


def decoded(
    batch: Iterable[Record],
) -> tuple[dict[int, list[Recorded]], list[tuple[Record, str]]]:
    """The facts by partition, and the records that are none, with the reason.

    A record under another key than its story is none: it may lie in a partition whose owner does
    not own the story.
    """
    facts: dict[int, list[Recorded]] = {}
    unreadable: list[tuple[Record, str]] = []
    for record in batch:
        try:
            recorded = from_wire(record.value, record.headers)
            if record.key != recorded.story.encode():
                raise Unreadable(f"the key is not the story of {recorded.id}")
        except Unreadable as wrong:
            unreadable.append((record, str(wrong)))
        else:
            facts.setdefault(record.partition, []).append(recorded)
    return facts, unreadable
