"""Two services whose facts reach each other: whatever is delivered again appends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from pymongo import UpdateOne

from services.dispatch import policies as dispatch
from services.dispatch.case import CASE
from services.dispatch.commands import (
    Accept,
    CaseCommand,
    Dispatch,
    ReportIn,
    ReportProgress,
    Resolve,
)
from services.dispatch.states import Case
from services.intake import policies as intake
from services.intake.wish import WISH, Rate, Submit, Wish, WishCommand
from shared.contracts.base import Code, StoryId, StreamId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.intake import IntakeFact
from shared.contracts.recorded import Recorded, stream_id, to_wire
from shared.errors import Refused
from shared.handling import Handler, Order, Prepared, command_id
from shared.kafka import Record
from shared.mongo import Database
from shared.policy import Complete, Policy
from shared.reactions import Reactions
from shared.store import Cause, Commit, EventStore, History, MemoryStore
from shared.town import Profile
from tests.build import (
    APPEAL,
    COMMUNITY,
    CREW,
    DRAINS,
    DUE,
    HAZARD,
    LIGHTS,
    OTHER_STORY,
    RESIDENT_ACTOR,
    STORY,
    HandClock,
    KeyRing,
    a_town,
    sealed,
    some_towns,
    submitted,
)
from tests.spec import tried


@dataclass
class Collection:
    """As much of a MongoDB collection as reactions use."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def with_options(self, **_: Any) -> "Collection":
        return self

    async def distinct(self, key: str, where: Mapping[str, Any]) -> list[Any]:
        stories = where["story"]["$in"]
        return [d[key] for d in self.documents.values() if d["story"] in stories]

    async def update_one(self, where: Mapping[str, Any], change: Any, *, upsert: bool) -> None:
        self.documents.setdefault(where["_id"], {**where, **change["$setOnInsert"]})

    async def bulk_write(self, writes: Sequence[UpdateOne], *, ordered: bool) -> None:
        """What was seen is a hint for waiting; nothing here waits."""


@dataclass(frozen=True)
class Sent:
    """A fact as a Kafka record."""

    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    topic: str = "facts"
    partition: int = 0


class Journal(MemoryStore):
    """A store that remembers the order in which commits were made, as a relay sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Commit] = []

    async def append(self, commit: Commit) -> None:
        before = await self.load(commit.stream)
        await super().append(commit)
        if await self.load(commit.stream) != before:
            self.commits.append(commit)

    @property
    def facts(self) -> list[Recorded]:
        return [recorded for commit in self.commits for recorded in commit.recorded_facts()]


class Town:
    """Intake and dispatch of one town; `deliver` carries facts from one to the other."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.wishes, self.cases = Journal(), Journal()
        self.issues, self.parked = Collection(), Collection()
        self.asked = 0
        keys = KeyRing()
        self.intake = Handler[Wish, WishCommand, IntakeFact](WISH, self.wishes, self.clock, keys)
        self.dispatch = Handler[Case, CaseCommand, DispatchFact](CASE, self.cases, self.clock, keys)
        self.to_dispatch = self._reactions(
            self.dispatch, dispatch.react, "wish", complete=dispatch.complete
        )
        self.to_intake = self._reactions(self.intake, intake.react, "case")
        self.heard = {"wish": 0, "case": 0}

    def _reactions(
        self,
        handler: Handler[Any, Any, Any],
        policy: Policy[Any],
        listens_to: str,
        complete: Complete[Any, Any] | None = None,
    ) -> Reactions[Any, Any]:
        database = {"issues": self.issues, "parked": self.parked, "seen": Collection()}
        return Reactions(
            cast("Database", database),
            handler,
            policy,
            some_towns(),
            listens_to=listens_to,
            complete=complete,
        )

    async def ask(self, story: StoryId, command: WishCommand | CaseCommand) -> None:
        """Put a command to its stream, under a key of its own; a rule may say no."""
        self.asked += 1
        self.clock.at += timedelta(minutes=10)
        name = command_id("a person", str(self.asked))
        ours = isinstance(command, Submit | Rate)
        stream = stream_id("wish" if ours else "case", story)

        async def prepare(_: object, __: Profile, ___: datetime) -> Prepared[Any]:
            return Prepared(command)

        handler: Handler[Any, Any, Any] = self.intake if ours else self.dispatch
        try:
            await handler.handle(Order(stream, a_town(), Cause(name, "c"), prepare))
        except Refused:
            return

    async def deliver(self, kind: str, most: int | None = None) -> None:
        """The next facts of one service, in order, to the other's policy."""
        heard = self.heard[kind]
        facts = (self.wishes if kind == "wish" else self.cases).facts[heard:][:most]
        self.heard[kind] = heard + len(facts)
        await self.hear(facts)

    async def settle(self) -> None:
        """Deliver until nobody has anything more to say."""
        while any(self.heard[k] < len(j.facts) for k, j in self._journals()):
            await self.deliver("wish")
            await self.deliver("case")

    async def hear(self, facts: Sequence[Recorded]) -> None:
        """Both services read the one topic."""
        records: list[Record] = []
        for n, recorded in enumerate(facts):
            key, value, headers = to_wire(recorded)
            records.append(cast("Record", Sent(n, key, value, headers)))
        await self.to_dispatch.on_batch(records)
        await self.to_intake.on_batch(records)

    def topic(self) -> list[Recorded]:
        return [recorded for _, journal in self._journals() for recorded in journal.facts]

    async def histories(self) -> dict[StreamId, History]:
        stores: dict[str, EventStore] = dict(self._journals())
        streams = [stream_id(k, s) for k in stores for s in (STORY, OTHER_STORY)]
        return {s: await stores[s.partition("-")[0]].load(s) for s in streams}

    def _journals(self) -> tuple[tuple[str, Journal], ...]:
        return (("wish", self.wishes), ("case", self.cases))


def submit(kind: Code) -> Submit:
    return Submit(**{name: value for name, value in submitted(kind) if name != "type"})


UNITS = st.sampled_from([DRAINS, LIGHTS])
STEPS = st.one_of(
    st.just(Accept(by=COMMUNITY, due=DUE)),
    st.builds(Dispatch, by=st.just(COMMUNITY), unit=UNITS),
    st.builds(ReportIn, by=st.just(CREW), unit=UNITS),
    st.builds(ReportProgress, by=st.just(CREW), unit=UNITS, note=st.just(sealed())),
    st.builds(
        Resolve,
        by=st.just(CREW),
        unit=UNITS,
        outcome=st.just(Code("resolved")),
        note=st.just(sealed()),
        rating_asked=st.booleans(),
    ),
    st.builds(
        Rate, by=st.just(RESIDENT_ACTOR), resolved=st.booleans(), satisfaction=st.integers(1, 5)
    ),
)
DELIVERIES = st.tuples(st.sampled_from(["wish", "case"]), st.integers(1, 3))
STORIES = st.sampled_from([STORY, OTHER_STORY])


def straight(story: StoryId, *, solved: bool) -> list[tuple[StoryId, WishCommand | CaseCommand]]:
    """One round of a story as a town would have it."""
    steps: list[WishCommand | CaseCommand] = [
        Accept(by=COMMUNITY, due=DUE),
        Dispatch(by=COMMUNITY, unit=DRAINS),
        ReportIn(by=CREW, unit=DRAINS),
        Resolve(by=CREW, unit=DRAINS, outcome=Code("resolved"), note=sealed(), rating_asked=True),
        Rate(by=RESIDENT_ACTOR, resolved=solved, satisfaction=3),
    ]
    return [(story, step) for step in steps]


async def test_a_story_that_is_reopened_once_ends_written_off_in_both_streams() -> None:
    town = Town()
    await town.ask(STORY, submit(APPEAL))
    await town.settle()
    for solved in (False, True):
        for story, step in straight(STORY, solved=solved):
            await town.ask(story, step)
            await town.settle()
    assert [r.fact.type for r in town.cases.facts][-5:] == [
        "case-reopened.v1",
        "case-dispatched.v1",
        "unit-reported.v1",
        "case-resolved.v1",
        "case-closed.v1",
    ]
    assert [r.fact.type for r in town.wishes.facts] == [
        "wish-submitted.v1",
        *("case-stand-noted.v1", "rating-invited.v1", "wish-rated.v1", "case-stand-noted.v1") * 2,
    ]
    assert not town.issues.documents
    by_id = {recorded.id: recorded for recorded in town.topic()}
    for recorded in town.topic():  # every reaction names the fact that caused it
        if recorded.fact.by.startswith("policy:"):
            assert recorded.causation in by_id
            assert recorded.occurred == by_id[recorded.causation].occurred
            policy = recorded.fact.by.removeprefix("policy:")
            assert recorded.command_id == command_id(recorded.causation, policy, recorded.stream)


@tried(40)
@given(
    st.sampled_from([APPEAL, HAZARD]),
    st.lists(st.one_of(DELIVERIES, st.tuples(STORIES, STEPS)), max_size=30),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
async def test_replaying_all_facts_appends_nothing(
    kind: Code, happened: list[tuple[Any, Any]], restarts: list[float]
) -> None:
    town = Town()
    for story in (STORY, OTHER_STORY):
        await town.ask(story, submit(kind))
    await town.settle()
    for who, what in [*straight(STORY, solved=False)[:4], *happened]:
        await (town.deliver(who, what) if who in town.heard else town.ask(who, what))
    await town.settle()
    before = await town.histories()
    topic = town.topic()
    await town.hear(topic)
    await town.hear([recorded for recorded in topic for _ in range(2)])
    for start in restarts:  # a consumer that died goes back to some earlier offset
        await town.hear(topic[int(start * len(topic)) :])
    assert await town.histories() == before
    assert not town.parked.documents


@tried(25)
@given(st.permutations(range(40)))
async def test_even_facts_in_any_order_append_nothing_once_they_were_heard(
    order: list[int],
) -> None:
    town = Town()
    await town.ask(STORY, submit(APPEAL))
    await town.settle()
    for solved in (False, True):
        for story, step in straight(STORY, solved=solved):
            await town.ask(story, step)
            await town.settle()
    before = await town.histories()
    topic = town.topic()
    await town.hear([topic[n] for n in order if n < len(topic)])
    assert await town.histories() == before
