"""What the clients of a run were told: kept to be held against what the stores have."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from shared.contracts.base import CommandId, FactId
from tests.chaos.oracle import Acknowledged

MOST_VIOLATIONS: Final = 200
"""Kept word for word; all are counted."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How long somebody insisted on an answer, and when that began."""

    seconds: float = 0.0
    at: float = 0.0
    what: str = ""


@dataclass
class Ledger:
    """All of it; seconds are those of the run."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    commands: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    not_now: Counter[str] = field(default_factory=Counter)
    """Answers with 503, by code: the same was sent again."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Requests that got no answer, by why: the same was sent again."""
    reads: Counter[str] = field(default_factory=Counter)
    again: int = 0
    """Commands that were decided after they had been sent more than once."""
    longest: dict[str, Wait] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    violated: int = 0

    def acknowledge(
        self, what: str, service: str, position: FactId, command: CommandId | None, sent: int = 1
    ) -> None:
        """A definitive yes, after it was sent so many times."""
        self.acknowledged.append(Acknowledged(service, position, command))
        self.commands[what] += 1
        self.again += sent > 1

    def violation(self, what: str) -> None:
        """Something that must never be."""
        self.violated += 1
        if len(self.violations) < MOST_VIOLATIONS:
            self.violations.append(what)

    def waited(self, service: str, wait: Wait) -> None:
        """Somebody has got their answer after a while."""
        if wait.seconds > self.longest.get(service, Wait()).seconds:
            self.longest[service] = wait

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "acknowledged": {
                "total": len(self.acknowledged),
                "by_kind": dict(sorted(self.commands.items())),
            },
            "refused_by_code": dict(sorted(self.refused.items())),
            "not_now_by_code": dict(sorted(self.not_now.items())),
            "unanswered_by_cause": dict(sorted(self.unanswered.items())),
            "reads_answered": dict(sorted(self.reads.items())),
            "decided_after_being_sent_again": self.again,
            "longest_outage_seconds": {
                service: {"seconds": round(w.seconds, 2), "at": round(w.at, 2), "what": w.what}
                for service, w in sorted(self.longest.items())
            },
        }
