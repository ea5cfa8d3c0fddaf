"""Where rules meet storage: load, decide, append, and again when somebody was faster."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Generic, Literal, Protocol, TypeVar, cast

from shared.clock import Clock
from shared.contracts.base import CommandId, FactId, StreamId, SubjectId
from shared.contracts.recorded import fact_id
from shared.contracts.registry import AnyFact, UnknownFact
from shared.crash import reached
from shared.decider import Decider
from shared.errors import Conflict, IncompleteHistory, KeyMissing, Refused, Stale
from shared.profile import Profile
from shared.sealing import Sealer
from shared.store import Cause, Commit, EventStore, History
from shared.town import Town

ATTEMPTS: Final = 10
_COMMANDS: Final = uuid.UUID("6b1f6c0e-7f0b-5f6e-9a0c-3c1d5a7e2b10")

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

S = TypeVar("S")
C = TypeVar("C")
F = TypeVar("F")


def command_id(*parts: str) -> CommandId:
    """The id of a command, derived from what it is made of; the same parts, the same id."""
    return CommandId(str(uuid.uuid5(_COMMANDS, "\0".join(parts))))


@dataclass(frozen=True, slots=True)
class Prepared(Generic[C]):
    """A command ready to be decided. `sealer` is its subject's, None for a reaction."""

    command: C
    sealer: Sealer | None = None


@dataclass(frozen=True, slots=True)
class Order(Generic[S, C]):
    """What somebody asks of a stream.

    `prepare(state, profile, now)` makes the command from the state, the profile in force and
    the time it will be recorded at; it seals texts, and may raise Refused. `request` is the
    plaintext asked for, of which only an HMAC is kept. `opens`: the stream is most likely new,
    so it is not loaded first. `expected` is the version the caller saw, if it says so.
    `strict`: a claim out of order is refused, else it is moved to where it can have been.
    """

    stream: StreamId
    town: Town
    cause: Cause
    prepare: Callable[[S, Profile, datetime], Awaitable[Prepared[C]]]
    occurred: datetime | None = None
    request: bytes | None = None
    opens: bool = False
    expected: int | None = None
    strict: bool = True


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of an order; `position` is what to wait for to see it. `before`: this is the
    first answer, given again."""

    position: FactId
    recorded: datetime | None
    said: Literal["decided", "already-so"]
    before: bool = field(default=False, compare=False)


class Sealers(Protocol):
    """Finds the sealer of a subject, or raises KeyMissing."""

    async def sealer(self, subject: SubjectId) -> Sealer: ...


class Handler(Generic[S, C, F]):
    """Handles orders for one kind of stream."""

    def __init__(
        self, decider: Decider[S, C, F], store: EventStore, clock: Clock, keys: Sealers
    ) -> None:
        self._decider = decider
        self._store = store
        self._clock = clock
        self._keys = keys

    async def handle(self, order: Order[S, C]) -> Handled:
        """Decide and store. Raises Refused, Conflict (kept losing races), TooLarge, Overloaded
        or OutcomeUnknown.

        A command that was decided before gets its first answer, whatever happened since; the
        same id with another request is refused as `key-reused`.
        """
        loaded = not order.opens
        history = await self._store.load(order.stream) if loaded else History(order.stream)
        for attempt in range(1, ATTEMPTS + 1):
            if earlier := await self._decided_before(order, history):
                return earlier
            try:
                commit = await self._decide(order, history)
                if commit is None:
                    return Handled(fact_id(order.stream, history.version), None, "already-so")
                reached("decided")
                await self._store.append(commit)
            except (Refused, KeyMissing):
                if loaded:
                    raise
            except Stale:
                raise
            except Conflict:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(random.uniform(0, 0.005 * attempt))
            else:
                return Handled(commit.position, commit.recorded, "decided")
            history, loaded = await self._store.load(order.stream), True
        raise Conflict(order.stream)

    async def rehearse(self, order: Order[S, C]) -> Handled:
        """What `handle` would answer now. Stores nothing, if `prepare` does not; `recorded` is
        when it would have been. Raises Refused, KeyMissing."""
        history = await self._store.load(order.stream)
        if earlier := await self._decided_before(order, history):
            return earlier
        commit = await self._decide(order, history)
        if commit is None:
            return Handled(fact_id(order.stream, history.version), None, "already-so")
        return Handled(commit.position, commit.recorded, "decided")

    async def decided(self, streams: Collection[StreamId]) -> set[CommandId]:
        """The commands that decided anything in these streams: to handle one of them again would
        give its first answer."""
        return await self._store.decided(streams)

    async def state(self, stream: StreamId) -> S:
        """The state of a stream now."""
        return self._fold(await self._store.load(stream))

    def _fold(self, history: History) -> S:
        return self._decider.fold(cast("F", fact) for fact in _known(history))

    async def _decide(self, order: Order[S, C], history: History) -> Commit | None:
        if order.expected is not None and order.expected != history.version:
            raise Stale(f"the stream is at version {history.version}, not {order.expected}")
        state = self._fold(history)
        now = max(self._clock.now(), history.recorded or _LONG_AGO)
        profile = order.town.profile_at(now)
        prepared = await order.prepare(state, profile, now)
        occurred = _in_order(order, history, now)
        facts = self._decider.decide(state, prepared.command)
        if not facts:
            return None
        seal = None
        if order.request is not None and prepared.sealer is not None:
            seal = prepared.sealer.request(order.request)
        return history.next(
            cast("list[AnyFact]", facts),
            cause=order.cause,
            town=order.town.id,
            profile=profile.version,
            occurred=occurred,
            recorded=now,
            request=seal,
        )

    async def _decided_before(self, order: Order[S, C], history: History) -> Handled | None:
        earlier = history.decided_by(order.cause.command_id)
        if earlier is None:
            return None
        await self._check_same_request(order, earlier)
        return Handled(earlier.position, earlier.recorded, "decided", before=True)

    async def _check_same_request(self, order: Order[S, C], earlier: Commit) -> None:
        if order.request is None or earlier.request is None:
            return
        try:
            sealer = await self._keys.sealer(earlier.request.subject)
        except KeyMissing:
            return  # erased: the id alone decides
        if sealer.request(order.request) != earlier.request:
            raise Refused(
                "key-reused", "this Idempotency-Key was used for another request", field="key"
            )


def _in_order(order: Order[S, C], history: History, now: datetime) -> datetime:
    """When it occurred. What somebody claims cannot lie before what it is about; reactions claim
    nothing. Raises Refused."""
    occurred = order.occurred or now
    if order.request is None or not history.commits:
        return min(occurred, now)
    first = history.commits[0].occurred
    if order.strict and occurred < first:
        detail = "it lies before the submission"
        raise Refused("occurred-before-submission", detail, field="occurred")
    return min(max(occurred, first), now)


def _known(history: History) -> Iterator[AnyFact]:
    """The facts; a type this build does not know in its own stream stops it."""
    for version, fact in enumerate(history.facts, start=1):
        if isinstance(fact, UnknownFact):
            raise IncompleteHistory(
                fact_id(history.stream, version), f"unknown fact type {fact.type!r}"
            )
        yield fact
