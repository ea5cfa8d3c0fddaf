"""Facts of the other service become commands here: at least once, never twice in effect.

A policy is pure: `(fact, town) -> reactions`, at most one per target stream. The command id is
derived from fact, policy and target, so replaying the whole topic appends nothing. What a rule
refuses is kept in `issues` and, but for what came too early, not judged again; what raises or does
not read parks its story in `parked`, with all that follows in it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import structlog
from pymongo import UpdateOne
from structlog.contextvars import bound_contextvars

from shared.breaker import MOST, Breaker
from shared.contracts.base import CommandId, StoryId, StreamId
from shared.contracts.recorded import Recorded, Unreadable, from_wire, kind_of
from shared.contracts.registry import UnknownFact
from shared.crash import reached
from shared.errors import NotReady, Refused, TooManyParked
from shared.handling import Handler, Order, Prepared, command_id
from shared.issues import ISSUES, Issues
from shared.kafka import INFRASTRUCTURE, Record
from shared.mongo import Database
from shared.parking import BEHIND, UNREADABLE, Parked, Waiting, story_by_key
from shared.policy import Complete, Policy, Reaction
from shared.profile import Profile
from shared.store import Cause
from shared.town import Town, Towns

AT_ONCE: Final = 64
"""Stories of one batch that are handled concurrently, so that their appends share a journal."""

ASKED_TOGETHER: Final = 8
"""Streams of one batch from which on it is asked beforehand what was decided in them."""

S = TypeVar("S")
C = TypeVar("C")

_Came = tuple[Record, Recorded | str]
"""A record and its fact, or why it does not read."""

log = structlog.get_logger(__name__)


class Reactions(Generic[S, C]):
    """Reacts to the facts of streams of kind `listens_to` with commands for `handler`."""

    def __init__(
        self,
        database: Database,
        handler: Handler[S, C, Any],
        policy: Policy[C],
        towns: Towns,
        *,
        listens_to: str,
        complete: Complete[S, C] | None = None,
        instance: str = "",
        most_parked: int = MOST,
    ) -> None:
        self._handler = handler
        self._policy = policy
        self._towns = towns
        self._complete = complete
        self._kind = listens_to
        self.lacks: str | None = None
        """What this build or installation lacks to understand a fact; it waits until that is
        there: a profile, or a type of fact that a newer build records."""
        self._issues = Issues(database)
        self._parked = Parked(database)
        self._seen = database["seen"]
        self.breaker = Breaker(database, "reactions", instance, most_parked)

    async def prepare(self, database: Database) -> None:
        """Make the indexes, and remember whether they stood still."""
        for name in ("parked", ISSUES):
            await database[name].create_index([("story", 1)])
        await self.breaker.begin()

    async def on_batch(self, records: Sequence[Record]) -> None:
        """React to a batch. Returns when everything is stored, refused or parked. Raises
        TooManyParked, and from then on at once."""
        try:
            if self.breaker.fault is not None:
                raise TooManyParked(self.breaker.fault)
            await self._on_batch(records)
        except TooManyParked as why:
            await self.breaker.stand(str(why))
            raise
        await self.breaker.went_on()

    async def _on_batch(self, records: Sequence[Record]) -> None:
        stories = self._by_story(records)
        if not stories:
            return
        parked = await self._parked.stories(stories)
        judged = await self._issues.judged(stories) | await self._decided(stories)
        room = asyncio.Semaphore(AT_ONCE)

        async def react(story: StoryId, facts: list[_Came]) -> int:
            async with room:
                return await self._react_to_story(facts, story in parked, judged)

        done = await asyncio.gather(
            *(react(s, f) for s, f in stories.items()), return_exceptions=True
        )
        self.lacks = next((str(result) for result in done if isinstance(result, NotReady)), None)
        seen: dict[StoryId, int] = {}
        for story, result in zip(stories, done, strict=True):
            if isinstance(result, BaseException):
                raise result
            seen[story] = result
        well = sum(map(bool, done))
        self.breaker.window = self.breaker.window.after([None] * well)
        await self._note_seen({story: version for story, version in seen.items() if version})

    async def waiting(self, story: StoryId) -> list[Waiting]:
        """What is parked of a story, in the order in which it is to be handled."""
        return await self._parked.of(story)

    async def on_parked(self, waiting: Sequence[Waiting]) -> tuple[int, str | None]:
        """React to what waits of one story, each let go when it is done: how many, and why the
        next one still fails. Only for who reads the story's partition and holds its gate."""
        judged = await self._issues.judged({w.recorded.story for w in waiting if w.recorded})
        for handled, each in enumerate(waiting):
            recorded = each.recorded
            if recorded is None:
                await self._parked.still(each, each.wrong)
                return handled, each.wrong
            if kind_of(recorded.stream) == self._kind:
                if (reason := await self._bug(recorded, judged)) is not None:
                    await self._parked.still(each, reason)
                    return handled, reason
                await self._note_seen({recorded.story: recorded.version})
            await self._parked.let_go(each)
        return len(waiting), None

    async def _decided(self, stories: Mapping[StoryId, Sequence[_Came]]) -> set[str]:
        """The reactions of a batch that were decided when their facts came before. In a topic that
        is read again they are most: one question, where each would load its stream."""
        facts = [
            fact for came in stories.values() for _, fact in came if isinstance(fact, Recorded)
        ]
        streams = {stream for fact in facts for stream in self._targets(fact)}
        if len(streams) < ASKED_TOGETHER:
            return set()
        return set(await self._handler.decided(streams))

    def _targets(self, recorded: Recorded) -> list[StreamId]:
        if self._towns.lack(recorded.town, recorded.profile):
            return []
        try:
            reactions = self._policy(recorded, self._towns[recorded.town])
        except Exception:  # it is raised again, and told, when its turn comes
            return []
        return [reaction.stream for reaction in reactions]

    def _by_story(self, records: Sequence[Record]) -> dict[StoryId, list[_Came]]:
        stories: dict[StoryId, list[_Came]] = defaultdict(list)
        for record in records:
            try:
                recorded = from_wire(record.value, record.headers)
            except Unreadable as wrong:
                stories[story_by_key(record)].append((record, f"{UNREADABLE}: {wrong}"))
                continue
            if kind_of(recorded.stream) == self._kind:
                stories[recorded.story].append((record, recorded))
        return stories

    async def _react_to_story(self, came: list[_Came], parked: bool, judged: set[str]) -> int:
        """Sequential within a story: what parks it takes all that follow along, nothing before.

        Gives the last version taken in, 0 for none.
        """
        seen = 0
        for record, fact in came:
            if isinstance(fact, str):
                await self._park(record, None, fact, newly=not parked)
            elif (reason := BEHIND if parked else await self._bug(fact, judged)) is not None:
                await self._park(record, fact, reason, newly=not parked)
            else:
                seen = max(seen, fact.version)
                reached("batch-half-reacted")
                continue
            parked = True
        return seen

    async def _park(
        self, record: Record, recorded: Recorded | None, reason: str, *, newly: bool
    ) -> None:
        if newly:
            self.breaker.window = self.breaker.window.after([reason])
        await self._parked.park(record, recorded, reason)

    async def _bug(self, recorded: Recorded, judged: set[str]) -> str | None:
        """React; what a rule raised, if it did."""
        with bound_contextvars(correlation_id=recorded.correlation, fact=recorded.id):
            try:
                await self._react(recorded, judged)
            except INFRASTRUCTURE:
                raise
            except Exception as bug:  # rules are pure: it would raise for ever
                log.exception("a policy raised; the story is parked")
                return f"{type(bug).__name__}: {bug}"
        return None

    async def _react(self, recorded: Recorded, judged: set[str]) -> None:
        if lack := self._towns.lack(recorded.town, recorded.profile):
            raise NotReady(lack)
        if isinstance(recorded.fact, UnknownFact):
            raise NotReady(
                f"{recorded.id} is a {recorded.fact.type}, which this build does not know"
            )
        town = self._towns[recorded.town]
        for reaction in self._policy(recorded, town):
            name = command_id(recorded.id, reaction.policy, reaction.stream)
            if name in judged:
                continue
            try:
                outcome = await self._handler.handle(self._order(recorded, reaction, name, town))
                await self._issues.decided(name)
                log.info("reacted", policy=reaction.policy, said=outcome.said)
            except Refused as refusal:
                await self._issues.note(recorded, reaction, name, refusal)
                judged.add(name)

    def _order(
        self, recorded: Recorded, reaction: Reaction[C], name: CommandId, town: Town
    ) -> Order[S, C]:
        async def prepare(state: S, profile: Profile, now: datetime) -> Prepared[C]:
            if self._complete is None:
                return Prepared(reaction.command)
            return Prepared(self._complete(state, reaction.command, profile, now))

        cause = Cause(name, recorded.correlation, recorded.id, recorded.traceparent)
        return Order(reaction.stream, town, cause, prepare, occurred=recorded.occurred)

    async def _note_seen(self, stories: dict[StoryId, int]) -> None:
        if stories:
            await self._seen.bulk_write(
                [
                    UpdateOne({"_id": story}, {"$max": {self._kind: version}}, upsert=True)
                    for story, version in stories.items()
                ],
                ordered=False,
            )
