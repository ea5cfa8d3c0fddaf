"""Two services whose facts reach each other: whatever is delivered again appends nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import UpdateOne

from services.dispatch import policies as of_dispatch
from services.dispatch.case import CASE
from services.dispatch.commands import CaseCommand
from services.dispatch.states import Case
from services.dispatch.states import Closed as ClosedCase
from services.intake import policies as of_intake
from services.intake.commands import Submit, WishCommand
from services.intake.wish import WISH, Wish
from services.intake.wish import Closed as ClosedWish
from shared.contracts.base import Code, StoryId, StreamId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.intake import IntakeFact
from shared.contracts.recorded import Recorded, stream_id, to_wire
from shared.errors import Refused
from shared.handling import Handler, Order, Prepared, command_id
from shared.kafka import Record
from shared.mongo import Database
from shared.policy import Complete, Policy
from shared.profile import Profile
from shared.reactions import Reactions
from shared.store import Cause, Commit, EventStore, History, MemoryStore
from shared.town import Towns
from tests.build import (
    APPEAL,
    DRAINS,
    HAZARD,
    LIGHTS,
    OTHER_STORY,
    STORY,
    HandClock,
    KeyRing,
    a_town,
    kind,
    profile,
    submitted,
)
from tests.dispatch.scenes import (
    ACCEPT,
    CONTACT,
    DECLINE,
    ORDER_REWORK,
    REFER,
    VERIFY,
    assist,
    dispatch,
    give_back,
    redirect,
    report_in,
    report_progress,
    resolve,
)
from tests.intake.scenes import (
    ARRIVAL,
    PROGRESS,
    SETTLE_ELSEWHERE,
    SUPPLEMENT,
    WITHDRAW,
    rate,
)
from tests.samples import SETTLED
from tests.spec import tried

CHECKED, BOTH = Code("event"), Code("dispute")
KINDS = {
    APPEAL: kind(rated=True),
    HAZARD: kind(rated=False),
    CHECKED: {**kind(rated=False), "verification_asked": True},
    BOTH: {**kind(rated=True), "verification_asked": True},
}
PLACE = a_town(profile(kinds=KINDS))
"""A town where a rating, a verification, both or neither may follow a resolution."""


@dataclass(frozen=True)
class Found:
    """What a MongoDB cursor gives."""

    documents: list[dict[str, Any]]

    async def to_list(self, _: int | None) -> list[dict[str, Any]]:
        return self.documents


@dataclass
class Collection:
    """As much of a MongoDB collection as reactions use."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    def with_options(self, **_: Any) -> "Collection":
        return self

    async def distinct(self, key: str, where: Mapping[str, Any]) -> list[Any]:
        stories = where["story"]["$in"]
        return [d[key] for d in self.documents.values() if d["story"] in stories]

    def find(self, where: Mapping[str, Any], _: Mapping[str, Any]) -> "Found":
        stories = where["story"]["$in"]
        return Found([d for d in self.documents.values() if d["story"] in stories])

    async def delete_one(self, where: Mapping[str, Any]) -> None:
        self.documents.pop(where["_id"], None)

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
            self.dispatch, of_dispatch.react, "wish", complete=of_dispatch.complete
        )
        self.to_intake = self._reactions(self.intake, of_intake.react, "case")
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
            Towns({PLACE.id: PLACE}),
            listens_to=listens_to,
            complete=complete,
        )

    async def ask(self, story: StoryId, command: WishCommand | CaseCommand) -> None:
        """Put a command to its stream, under a key of its own; a rule may say no."""
        self.asked += 1
        self.clock.at += timedelta(minutes=10)
        name = command_id("a person", str(self.asked))
        ours = isinstance(command, get_args(WishCommand))
        stream = stream_id("wish" if ours else "case", story)

        async def prepare(_: object, __: Profile, ___: datetime) -> Prepared[Any]:
            return Prepared(command)

        handler: Handler[Any, Any, Any] = self.intake if ours else self.dispatch
        try:
            await handler.handle(Order(stream, PLACE, Cause(name, "c"), prepare))
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


def submit(kind: Code, *, settled: bool = False) -> Submit:
    said = submitted(kind).model_copy(update={"settled_on_spot": SETTLED if settled else None})
    return Submit(**{name: value for name, value in said if name != "type"})


UNITS = st.sampled_from([DRAINS, LIGHTS])
STEPS: st.SearchStrategy[WishCommand | CaseCommand] = st.one_of(
    st.sampled_from([ACCEPT, DECLINE, REFER, CONTACT, VERIFY, ORDER_REWORK]),
    st.builds(dispatch, UNITS),
    st.builds(assist, UNITS),
    st.builds(redirect, UNITS),
    st.builds(report_in, UNITS),
    st.builds(report_progress, UNITS),
    st.builds(give_back, UNITS),
    st.builds(resolve, UNITS, rating=st.booleans(), check=st.booleans()),
    st.builds(rate, solved=st.booleans(), satisfaction=st.integers(1, 5)),
    st.sampled_from([SUPPLEMENT, WITHDRAW, SETTLE_ELSEWHERE, ARRIVAL, PROGRESS]),
)
DELIVERIES = st.tuples(st.sampled_from(["wish", "case"]), st.integers(1, 3))
STORIES = st.sampled_from([STORY, OTHER_STORY])
Steps = list[tuple[StoryId, WishCommand | CaseCommand]]


def straight(story: StoryId, *, solved: bool) -> Steps:
    """One round of a story as a town would have it."""
    steps: list[WishCommand | CaseCommand] = [
        ACCEPT,
        dispatch(),
        report_in(),
        resolve(),
        rate(solved=solved, satisfaction=3),
    ]
    return [(story, step) for step in steps]


def roundabout(story: StoryId) -> Steps:
    """A story with everything that may get in the way, to its withdrawal."""
    steps: list[WishCommand | CaseCommand] = [
        ARRIVAL,  # nobody was named: the partner is told so
        ACCEPT,
        dispatch(),
        CONTACT,
        give_back(),
        dispatch(LIGHTS),
        redirect(DRAINS),
        assist(),
        ARRIVAL,
        ARRIVAL,  # so it is
        PROGRESS,
        SUPPLEMENT,
        resolve(check=True),
        ORDER_REWORK,
        resolve(check=True),
        VERIFY,
        rate(solved=False),
        dispatch(LIGHTS),
        WITHDRAW,
        PROGRESS,  # too late
    ]
    return [(story, step) for step in steps]


async def played(first: Submit, steps: Steps) -> Town:
    """The town once all that was asked has come to rest, step by step."""
    town = Town()
    await town.ask(STORY, first)
    await town.settle()
    for story, step in steps:
        await town.ask(story, step)
        await town.settle()
    return town


async def ends_of(town: Town) -> list[tuple[bool, bool]]:
    """Of each story: whether its wish, and whether its case, is closed."""
    histories = await town.histories()
    ends = []
    for story in (STORY, OTHER_STORY):
        wish = WISH.fold(cast("Any", histories[stream_id("wish", story)].facts))
        case = CASE.fold(cast("Any", histories[stream_id("case", story)].facts))
        ends.append((isinstance(wish, ClosedWish), isinstance(case, ClosedCase)))
    return ends


async def test_a_story_that_is_reopened_once_ends_written_off_in_both_streams() -> None:
    rounds = [*straight(STORY, solved=False), *straight(STORY, solved=True)]
    town = await played(submit(APPEAL), rounds)
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
    check_causes(town)


def check_causes(town: Town) -> None:
    """Every reaction names the fact that caused it, and when that occurred."""
    by_id = {recorded.id: recorded for recorded in town.topic()}
    for recorded in town.topic():
        if recorded.fact.by.startswith("policy:"):
            assert recorded.causation in by_id
            assert recorded.occurred == by_id[recorded.causation].occurred
            policy = recorded.fact.by.removeprefix("policy:")
            assert recorded.command_id == command_id(recorded.causation, policy, recorded.stream)


async def test_a_story_with_all_that_may_get_in_the_way_answers_every_report_it_got() -> None:
    town = await played(submit(BOTH), roundabout(STORY))
    assert [r.fact.type.removesuffix(".v1") for r in town.cases.facts] == [
        "case-opened",
        "report-refused",
        "case-accepted",
        "case-dispatched",
        "resident-contacted",
        "assignment-returned",
        "case-dispatched",
        "case-redirected",
        "case-dispatched",
        "unit-reported",
        "report-noted",
        "progress-reported",
        "case-resolved",
        "rework-ordered",
        "case-resolved",
        "resolution-verified",
        "case-reopened",
        "case-dispatched",
        "case-closed",
        "report-refused",
    ]
    reports = [r for r in town.wishes.facts if "report-received" in r.fact.type]
    answers = [r for r in town.cases.facts if getattr(r.fact, "request", None) is not None]
    assert [r.causation for r in answers] == [r.id for r in reports]
    assert (await ends_of(town))[0] == (True, True)
    assert not town.issues.documents
    assert not town.parked.documents
    check_causes(town)


@pytest.mark.parametrize(
    ("of", "last"),
    [
        (APPEAL, "case-resolved.v1"),
        (HAZARD, "case-closed.v1"),
        (CHECKED, "case-resolved.v1"),
        (BOTH, "case-resolved.v1"),
    ],
)
async def test_what_was_settled_on_the_spot_is_one_commit_and_its_end_is_noted(
    of: Code, last: str
) -> None:
    town = await played(submit(of, settled=True), [])
    (commit,) = town.cases.commits
    assert commit.facts[-1].type == last
    invited = [r for r in town.wishes.facts if r.fact.type == "rating-invited.v1"]
    assert len(invited) == (1 if of == APPEAL else 0)
    before = await town.histories()
    await town.hear(town.topic())
    assert await town.histories() == before


@tried(60)
@given(
    st.sampled_from(sorted(KINDS)),
    st.booleans(),
    st.lists(st.one_of(DELIVERIES, st.tuples(STORIES, STEPS)), max_size=30),
    st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
async def test_replaying_all_facts_appends_nothing(
    of: Code, settled: bool, happened: list[tuple[Any, Any]], restarts: list[float]
) -> None:
    town = Town()
    for story in (STORY, OTHER_STORY):
        await town.ask(story, submit(of, settled=settled and story == OTHER_STORY))
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
    for wish_is_closed, case_is_closed in await ends_of(town):
        assert wish_is_closed == case_is_closed
    assert not town.issues.documents


@tried(25)
@given(st.permutations(range(60)))
async def test_even_facts_in_any_order_append_nothing_once_they_were_heard(
    order: list[int],
) -> None:
    town = await played(submit(BOTH), roundabout(STORY))
    before = await town.histories()
    topic = town.topic()
    assert len(topic) <= len(order)
    await town.hear([topic[n] for n in order if n < len(topic)])
    assert await town.histories() == before
