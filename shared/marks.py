"""Up to where a topic of facts is known to hold nothing of ours that our store lacks.

The relay keeps it in its lease. A mark is believed only while the topic still has the record it
names, and the store the fact: after a restore, or in a topic made again, it proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

KNOWN: Final = "known"
"""The field of the relay's lease: `{topic, marks: {partition: {next, last, own}}}`."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`next` is the first offset nobody has looked at; `last` the ce_id of the record before it,
    `own` that of the last fact of ours before it."""

    next: int
    last: str
    own: str | None


class Marks:
    """The marks of one topic, by partition."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.by_partition: dict[int, Mark] = {}

    def published(self, topic: str, partition: int, offset: int, fact: str) -> None:
        """A fact of our store was acknowledged there; the same topic's alone are kept."""
        before = self.by_partition.get(partition)
        if topic == self.topic and offset >= 0 and (before is None or before.next <= offset):
            self.by_partition[partition] = Mark(offset + 1, fact, fact)

    def document(self) -> dict[str, Any]:
        """As the lease keeps them."""
        marks = {
            str(partition): {"next": mark.next, "last": mark.last, "own": mark.own}
            for partition, mark in self.by_partition.items()
        }
        return {"topic": self.topic, "marks": marks}


def marks_in(lease: Mapping[str, Any] | None, topic: str) -> dict[int, Mark]:
    """The marks of `topic` in a relay's lease; none where it has none, or those of another."""
    known = (lease or {}).get(KNOWN)
    if known is None or known["topic"] != topic:
        return {}
    return {
        int(partition): Mark(mark["next"], mark["last"], mark["own"])
        for partition, mark in known["marks"].items()
    }
