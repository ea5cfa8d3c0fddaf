"""The event store as its users see it, and its twin in memory.

A commit is what one command decided: it is stored whole or not at all. The expected version is
never a number somebody passes in: a commit can only be made from the history it follows, so a
stream has no holes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from shared.contracts.base import (
    CommandId,
    FactId,
    ProfileVersion,
    StreamId,
    SubjectId,
    TownId,
)
from shared.contracts.recorded import Recorded, fact_id
from shared.contracts.registry import AnyFact
from shared.errors import Conflict, TooLarge

FACT_LIMIT: Final = 256 * 1024
"""Bytes of one fact on the wire."""
COMMIT_LIMIT: Final = 4 * 1024 * 1024
"""Bytes of one commit in the store."""


@dataclass(frozen=True, slots=True)
class RequestSeal:
    """What was asked, as an HMAC under the key of its subject: tells a retry from a reuse."""

    subject: SubjectId
    mac: bytes


@dataclass(frozen=True, slots=True)
class Cause:
    """Where a commit comes from: which command, in which conversation, after which fact."""

    command_id: CommandId
    correlation: str
    causation: FactId | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Facts of one command; `first` is the version of the first. Made by `History.next`."""

    stream: StreamId
    first: int
    facts: tuple[AnyFact, ...]
    cause: Cause
    town: TownId
    profile: ProfileVersion
    occurred: datetime
    recorded: datetime
    request: RequestSeal | None = None

    @property
    def last(self) -> int:
        return self.first + len(self.facts) - 1

    @property
    def position(self) -> FactId:
        """What to wait for to see this commit: the id of its last fact."""
        return fact_id(self.stream, self.last)

    def recorded_facts(self) -> list[Recorded]:
        """Its facts one by one, as they go out."""
        return [
            Recorded(
                fact=fact,
                stream=self.stream,
                version=self.first + n,
                town=self.town,
                profile=self.profile,
                occurred=self.occurred,
                recorded=self.recorded,
                command_id=self.cause.command_id,
                correlation=self.cause.correlation,
                causation=self.cause.causation,
                traceparent=self.cause.traceparent,
            )
            for n, fact in enumerate(self.facts)
        ]


@dataclass(frozen=True, slots=True)
class History:
    """A stream as loaded: all its commits, in order."""

    stream: StreamId
    commits: tuple[Commit, ...] = ()

    @property
    def version(self) -> int:
        return self.commits[-1].last if self.commits else 0

    @property
    def recorded(self) -> datetime | None:
        """When the last commit was recorded."""
        return self.commits[-1].recorded if self.commits else None

    @property
    def facts(self) -> list[AnyFact]:
        return [fact for commit in self.commits for fact in commit.facts]

    def decided_by(self, command: CommandId) -> Commit | None:
        """What this command decided the first time, if it did."""
        return next((c for c in self.commits if c.cause.command_id == command), None)

    def next(
        self,
        facts: Sequence[AnyFact],
        *,
        cause: Cause,
        town: TownId,
        profile: ProfileVersion,
        occurred: datetime,
        recorded: datetime,
        request: RequestSeal | None = None,
    ) -> Commit:
        """The commit that follows this history. It is never recorded before the last one."""
        if self.commits:
            recorded = max(recorded, self.commits[-1].recorded)
        return Commit(
            self.stream,
            self.version + 1,
            tuple(facts),
            cause,
            town,
            profile,
            occurred,
            recorded,
            request,
        )


class EventStore(Protocol):
    """Keeps commits for ever, one writer at a time per stream."""

    async def load(self, stream: StreamId) -> History:
        """All commits of the stream that a majority has, in order."""
        ...

    async def decided(self, streams: Collection[StreamId]) -> set[CommandId]:
        """The commands that decided anything in these streams, without loading them."""
        ...

    async def append(self, commit: Commit) -> None:
        """Store it durably, or raise.

        Conflict: the stream has moved on, perhaps by the same command sent twice; load it and
        look. TooLarge, ValueError: it can never be stored. Overloaded: the queue is full.
        OutcomeUnknown: nobody knows yet; asking again with the same command id is safe.
        """
        ...


def check_size(commit: Commit) -> None:
    """Raise TooLarge when a fact would not fit on the wire."""
    for n, fact in enumerate(commit.facts):
        size = len(fact.model_dump_json(exclude_none=True).encode())
        if size > FACT_LIMIT:
            raise TooLarge(f"{fact_id(commit.stream, commit.first + n)} has {size} bytes")


class MemoryStore:
    """The same promises in memory, for rules and models; one process, nothing durable."""

    def __init__(self) -> None:
        self._streams: dict[StreamId, tuple[Commit, ...]] = {}

    async def load(self, stream: StreamId) -> History:
        return History(stream, self._streams.get(stream, ()))

    async def decided(self, streams: Collection[StreamId]) -> set[CommandId]:
        told = [self._streams.get(stream, ()) for stream in streams]
        return {commit.cause.command_id for commits in told for commit in commits}

    async def append(self, commit: Commit) -> None:
        check_size(commit)
        past = History(commit.stream, self._streams.get(commit.stream, ()))
        if past.version != commit.first - 1:
            raise Conflict(commit.stream)
        self._streams[commit.stream] = (*past.commits, commit)
