"""Commits put together again from facts as they come from a topic. No I/O.

The facts of a commit follow each other in their stream and have one command. That a commit is
whole is not said on the wire: it is when its stream goes on with another command, and when so
many other records of its partition have passed that its relay must have sent the rest before.
"""

from dataclasses import dataclass, field
from typing import Final

from shared.contracts.base import StreamId
from shared.contracts.recorded import Recorded
from shared.store import Cause, Commit

APART: Final = 5_000
"""So many records of a partition may lie between two facts of a commit: a relay sends them one
after the other, but others write there too."""


@dataclass(slots=True)
class _Open:
    since: int
    facts: list[Recorded]


@dataclass(slots=True)
class Gathering:
    """The commits of one partition, given out in the order in which each stream tells them."""

    apart: int = APART
    _records: int = 0
    _open: dict[StreamId, _Open] = field(default_factory=dict)

    def passed(self, records: int = 1) -> list[Commit]:
        """So many records came by; the commits that are whole because of that."""
        self._records += records
        whole = []
        # In the order in which they were begun: the oldest is first.
        while self._open:
            stream, oldest = next(iter(self._open.items()))
            if self._records - oldest.since <= self.apart:
                break
            whole.append(commit_of(self._open.pop(stream).facts))
        return whole

    def add(self, recorded: Recorded) -> list[Commit]:
        """One more fact; the commit before it in its stream, if that is whole now."""
        begun = self._open.get(recorded.stream)
        if begun is not None and _goes_on(begun.facts, recorded):
            begun.facts.append(recorded)
            return []
        whole = [] if begun is None else [commit_of(self._open.pop(recorded.stream).facts)]
        self._open[recorded.stream] = _Open(self._records, [recorded])
        return whole

    def rest(self) -> list[Commit]:
        """Nothing more comes."""
        rest = [commit_of(begun.facts) for begun in self._open.values()]
        self._open.clear()
        return rest


def commit_of(facts: list[Recorded]) -> Commit:
    """The commit that these facts were. What its caller had asked for in plaintext is not on the
    wire: from now on the command's id alone tells a retry."""
    first = facts[0]
    cause = Cause(first.command_id, first.correlation, first.causation, first.traceparent)
    return Commit(
        first.stream,
        first.version,
        tuple(recorded.fact for recorded in facts),
        cause,
        first.town,
        first.profile,
        first.occurred,
        first.recorded,
    )


def _goes_on(facts: list[Recorded], recorded: Recorded) -> bool:
    last = facts[-1]
    return recorded.version == last.version + 1 and recorded.command_id == last.command_id
