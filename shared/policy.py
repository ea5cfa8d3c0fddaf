"""A policy: what one service does about a fact of another. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from shared.contracts.base import StreamId
from shared.contracts.recorded import Recorded
from shared.profile import Profile
from shared.town import Town

S = TypeVar("S")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Reaction(Generic[C]):
    """What a policy, by its name, wants done to one stream because of one fact."""

    policy: str
    stream: StreamId
    command: C


Complete = Callable[[S, C, Profile, datetime], C]
"""Fills in what a command needs from the state, the profile in force and the time. Pure."""

Policy = Callable[[Recorded, Town], tuple[Reaction[C], ...]]
"""At most one reaction per target stream."""
