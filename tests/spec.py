"""Rules as sentences: `given(CASE, *facts).when(command).then(*facts)` or `.refused(code)`."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import pytest
from hypothesis import HealthCheck, settings

from shared.decider import Decider
from shared.errors import Refused

S = TypeVar("S")
C = TypeVar("C")
F = TypeVar("F")


@dataclass(frozen=True)
class Asked(Generic[S, C, F]):
    """A command put to the state that some facts made."""

    decider: Decider[S, C, F]
    state: S
    command: C

    def then(self, *facts: F) -> None:
        """Exactly these facts follow; the same command asked again then adds none."""
        self.then_each_time(*facts)
        after = self.decider.evolve
        state = self.state
        for fact in facts:
            state = after(state, fact)
        assert facts_or_none(self.decider, state, self.command) == []

    def then_each_time(self, *facts: F) -> None:
        """Exactly these facts follow, and would follow again."""
        assert list(self.decider.decide(self.state, self.command)) == list(facts)

    def refused(self, code: str, field: str | None = None) -> None:
        """A rule says no, under this code."""
        with pytest.raises(Refused) as refusal:
            self.decider.decide(self.state, self.command)
        assert (refusal.value.code, refusal.value.field) == (code, field)


@dataclass(frozen=True)
class Given(Generic[S, C, F]):
    """A stream in which some facts are recorded."""

    decider: Decider[S, C, F]
    facts: tuple[F, ...]

    def when(self, command: C) -> Asked[S, C, F]:
        return Asked(self.decider, self.decider.fold(self.facts), command)


def given(decider: Decider[S, C, F], *facts: F) -> Given[S, C, F]:
    """The stream as it stands before the command."""
    return Given(decider, facts)


def facts_or_none(decider: Decider[S, C, F], state: S, command: C) -> list[F]:
    """What follows; nothing when a rule says no."""
    try:
        return list(decider.decide(state, command))
    except Refused:
        return []


def tried(examples: int) -> settings:
    """That many examples of a property, however busy the machine is."""
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
