"""A decider: what may happen to one stream, and what is true after it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

S = TypeVar("S")
C = TypeVar("C")
F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Decider(Generic[S, C, F]):
    """Three pure parts. No clock, no I/O, no randomness: all that arrives in the command.

    `decide(state, command)` gives the facts that follow, `[]` when it already is so, and raises
    `Refused` when a rule says no. `evolve(state, fact)` never refuses: what happened, happened.
    """

    initial: S
    decide: Callable[[S, C], Sequence[F]]
    evolve: Callable[[S, F], S]

    def fold(self, facts: Iterable[F]) -> S:
        """The state after `facts`."""
        return reduce(self.evolve, facts, self.initial)
