"""An order is decided once: a retry gets its first answer, a race is judged again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.contracts.base import StreamId, SubjectId
from shared.contracts.dispatch import CaseAccepted, DispatchFact
from shared.contracts.registry import UnknownFact
from shared.decider import Decider
from shared.errors import Conflict, IncompleteHistory, KeyMissing, Refused, TooLarge
from shared.handling import ATTEMPTS, Handled, Handler, Order, Prepared, command_id
from shared.profile import Profile
from shared.sealing import Sealer
from shared.store import Cause, Commit, History, MemoryStore
from shared.town import Town
from tests.build import (
    CASE_STREAM,
    COMMUNITY,
    DUE,
    NOW,
    POLICY,
    HandClock,
    KeyRing,
    a_town,
    profile,
)


@dataclass(frozen=True)
class Accept:
    """Accept until `due`; the same again is already so; `limit` dates may be set at most."""

    due: datetime
    limit: int = 9


def decide(dues: tuple[datetime, ...], command: Accept) -> list[DispatchFact]:
    if dues and dues[-1] == command.due:
        return []
    if len(dues) >= command.limit:
        raise Refused("too-many")
    return [CaseAccepted(by=COMMUNITY, due=command.due)]


def evolve(dues: tuple[datetime, ...], fact: DispatchFact) -> tuple[datetime, ...]:
    return (*dues, fact.due) if isinstance(fact, CaseAccepted) else dues


DUES: Decider[tuple[datetime, ...], Accept, DispatchFact] = Decider((), decide, evolve)
Dues = Order[tuple[datetime, ...], Accept]


class Racing(MemoryStore):
    """A store where, while there are `rivals`, one of them writes just before us."""

    def __init__(self) -> None:
        super().__init__()
        self.rivals: list[Callable[[], Awaitable[Handled]]] = []
        self.running = False
        self.loads = 0

    async def load(self, stream: StreamId) -> History:
        self.loads += 1
        return await super().load(stream)

    async def append(self, commit: Commit) -> None:
        if self.rivals and not self.running:
            self.running = True
            await self.rivals.pop(0)()
            self.running = False
        await super().append(commit)


@dataclass
class Desk:
    """A handler with everything around it."""

    store: Racing = field(default_factory=Racing)
    clock: HandClock = field(default_factory=HandClock)
    keys: KeyRing = field(default_factory=KeyRing)

    def __post_init__(self) -> None:
        self.handler = Handler(DUES, self.store, self.clock, self.keys)
        self.sealer: Sealer | None = self.keys.make("resident-1")

    def order(self, key: str, days: int = 0, *, limit: int = 9, **changes: Any) -> Dues:
        """An order under `key` to accept until `days` later."""
        command = Accept(DUE + timedelta(days=days), limit)

        async def prepare(_: object, __: Profile, ___: datetime) -> Prepared[Accept]:
            return Prepared(command, self.sealer)

        order: Dues = Order(
            CASE_STREAM,
            a_town(),
            Cause(command_id(key), "c"),
            prepare,
            request=f"until {days}".encode(),
        )
        return replace(order, **changes)

    async def do(self, key: str, days: int = 0, **changes: Any) -> Handled:
        return await self.handler.handle(self.order(key, days, **changes))

    async def version(self) -> int:
        return (await self.store.load(CASE_STREAM)).version


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_what_is_decided_is_stored_and_answered_with_its_position(desk: Desk) -> None:
    outcome = await desk.do("k1")
    assert outcome == Handled(outcome.position, NOW, "decided")
    assert outcome.position == f"{CASE_STREAM}@1"
    (commit,) = (await desk.store.load(CASE_STREAM)).commits
    assert (commit.occurred, commit.recorded) == (NOW, NOW)
    assert (commit.town, commit.profile) == ("t3", profile().version)
    assert await desk.handler.state(CASE_STREAM) == (DUE,)


async def test_a_retry_gets_its_first_answer_after_the_stream_has_moved_on(desk: Desk) -> None:
    first = await desk.do("k1")
    await desk.do("k2", 1)
    desk.clock.at += timedelta(days=3)
    assert await desk.do("k1") == first
    assert await desk.version() == 2


async def test_a_retry_gets_its_first_answer_even_where_a_rule_would_now_refuse(desk: Desk) -> None:
    first = await desk.do("k1", limit=1)
    await desk.do("k2", 1)
    assert await desk.do("k1", limit=1) == first


async def test_a_rehearsal_answers_as_the_deed_would_and_stores_nothing(desk: Desk) -> None:
    rehearsed = await desk.handler.rehearse(desk.order("k1"))
    assert await desk.version() == 0
    done = await desk.do("k1")
    assert done == rehearsed
    assert (done.before, rehearsed.before) == (False, False)
    again = await desk.handler.rehearse(desk.order("k1"))
    assert (again, again.before) == (done, True)
    assert (await desk.do("k1")).before
    assert (await desk.handler.rehearse(desk.order("k2"))).said == "already-so"
    with pytest.raises(Refused, match="another request"):
        await desk.handler.rehearse(desk.order("k1", 1))
    assert await desk.version() == 1


async def test_the_same_key_for_another_request_is_refused(desk: Desk) -> None:
    await desk.do("k1")
    with pytest.raises(Refused) as refusal:
        await desk.do("k1", 1)
    assert (refusal.value.code, refusal.value.field) == ("key-reused", "key")
    assert await desk.version() == 1


async def test_once_the_key_of_the_subject_is_erased_the_id_alone_decides(desk: Desk) -> None:
    first = await desk.do("k1")
    desk.keys.sealers.clear()
    assert await desk.do("k1", 1) == first


async def test_a_reaction_brings_no_request_and_its_id_alone_decides(desk: Desk) -> None:
    desk.sealer = None
    first = await desk.do("k1", request=None)
    assert await desk.do("k1", 1, request=None) == first


async def test_a_commit_keeps_what_was_asked_as_a_seal_only(desk: Desk) -> None:
    await desk.do("k1")
    (commit,) = (await desk.store.load(CASE_STREAM)).commits
    assert commit.request is not None
    assert commit.request.subject == SubjectId("resident-1")
    assert b"until" not in commit.request.mac


async def test_what_is_already_so_is_said_and_stores_nothing(desk: Desk) -> None:
    await desk.do("k1")
    outcome = await desk.do("k2")
    assert (outcome.said, outcome.position, outcome.recorded) == (
        "already-so",
        f"{CASE_STREAM}@1",
        None,
    )
    assert await desk.version() == 1


async def test_a_refusal_stores_nothing_and_is_judged_anew_under_the_same_key(desk: Desk) -> None:
    await desk.do("k1")
    with pytest.raises(Refused, match="too-many"):
        await desk.do("k2", 1, limit=1)
    assert await desk.version() == 1
    assert (await desk.do("k2", 1, limit=2)).said == "decided"


async def test_an_expected_version_must_be_the_one_there_is(desk: Desk) -> None:
    await desk.do("k1")
    for wrong in (0, 2):
        with pytest.raises(Conflict):
            await desk.do("k2", 1, expected=wrong)
    assert (await desk.do("k2", 1, expected=1)).said == "decided"


async def test_a_retry_with_an_expected_version_still_gets_its_first_answer(desk: Desk) -> None:
    await desk.do("k1")
    first = await desk.do("k2", 1, expected=1)
    assert await desk.do("k2", 1, expected=1) == first


async def test_recorded_is_never_before_the_streams_last_even_when_the_clock_goes_back(
    desk: Desk,
) -> None:
    await desk.do("k1")
    desk.clock.at = NOW - timedelta(hours=1)
    outcome = await desk.do("k2", 1)
    assert outcome.recorded == NOW
    assert (await desk.store.load(CASE_STREAM)).commits[-1].recorded == NOW


async def test_what_is_claimed_to_have_occurred_is_kept_beside_what_was_recorded(
    desk: Desk,
) -> None:
    yesterday = NOW - timedelta(days=1)
    await desk.do("k1", occurred=yesterday)
    (commit,) = (await desk.store.load(CASE_STREAM)).commits
    assert (commit.occurred, commit.recorded) == (yesterday, NOW)


async def test_nothing_is_claimed_to_have_occurred_before_what_it_is_about(desk: Desk) -> None:
    await desk.do("k1")
    early = NOW - timedelta(seconds=1)
    with pytest.raises(Refused) as refusal:
        await desk.do("k2", 1, occurred=early)
    assert (refusal.value.code, refusal.value.field) == ("occurred-before-submission", "occurred")
    assert await desk.version() == 1
    await desk.do("k3", 1, occurred=NOW)
    await desk.do("k4", 2, occurred=early, request=None)  # a reaction claims nothing
    await desk.do("k5", 3, occurred=early, strict=False)  # a partner's clock is not ours
    commits = (await desk.store.load(CASE_STREAM)).commits
    assert [commit.occurred for commit in commits] == [NOW, NOW, early, NOW]


async def test_who_loses_a_race_is_judged_again_on_what_is_true_now(desk: Desk) -> None:
    desk.store.rivals = [lambda: desk.do("rival", 5)]
    assert (await desk.do("k1", 1)).position == f"{CASE_STREAM}@2"
    desk.store.rivals = [lambda: desk.do("rival-2", 7)]
    with pytest.raises(Refused, match="too-many"):
        await desk.do("k2", 2, limit=3)
    desk.store.rivals = [lambda: desk.do("rival-3", 8)]
    assert (await desk.do("k3", 8)).said == "already-so"


async def test_who_says_what_version_they_saw_is_not_judged_again(desk: Desk) -> None:
    await desk.do("k1")
    desk.store.rivals = [lambda: desk.do("rival", 5)]
    with pytest.raises(Conflict):
        await desk.do("k2", 1, expected=1)
    assert await desk.version() == 2


async def test_who_keeps_losing_races_is_told_so_in_the_end(desk: Desk) -> None:
    def outrun(n: int) -> Callable[[], Awaitable[Handled]]:
        return lambda: desk.do(f"rival-{n}", 100 + n, limit=99)

    desk.store.rivals = [outrun(n) for n in range(ATTEMPTS)]
    with pytest.raises(Conflict):
        await desk.do("k1", 1, limit=99)
    assert await desk.version() == ATTEMPTS


async def test_the_same_order_sent_twice_at_once_is_one_commit_and_one_answer(desk: Desk) -> None:
    twin: list[Handled] = []

    async def send_twin() -> Handled:
        twin.append(await desk.do("k1"))
        return twin[0]

    desk.store.rivals = [send_twin]
    assert await desk.do("k1") == (await desk.do("k1")) == twin[0]
    assert await desk.version() == 1


async def test_the_same_key_for_another_request_is_refused_in_a_race_too(desk: Desk) -> None:
    desk.store.rivals = [lambda: desk.do("k1")]
    with pytest.raises(Refused, match="another request"):
        await desk.do("k1", 1)
    assert await desk.version() == 1


async def test_a_stream_that_is_most_likely_new_is_not_loaded_first(desk: Desk) -> None:
    outcome = await desk.do("k1", opens=True)
    assert desk.store.loads == 0
    assert await desk.do("k1", opens=True) == outcome
    assert await desk.do("k2", opens=True) == replace(outcome, recorded=None, said="already-so")
    with pytest.raises(Refused, match="another request"):
        await desk.do("k1", 1, opens=True)
    assert await desk.version() == 1


async def test_a_refusal_on_a_stream_thought_new_is_judged_on_the_stream_as_it_is(
    desk: Desk,
) -> None:
    first = await desk.do("k1")
    assert await desk.do("k1", limit=0, opens=True) == first
    with pytest.raises(Refused, match="too-many"):
        await desk.do("k2", 1, limit=0, opens=True)


async def test_an_order_that_cannot_be_sealed_any_more_says_so(desk: Desk) -> None:
    async def prepare(_: object, __: Profile, ___: datetime) -> Prepared[Accept]:
        raise KeyMissing("resident-1")

    with pytest.raises(KeyMissing):
        await desk.do("k1", prepare=prepare)


async def test_the_profile_in_force_when_it_is_recorded_is_the_one_kept(desk: Desk) -> None:
    later = profile(n=2, effective=NOW + timedelta(days=1))
    town: Town = a_town(profile(), later)
    seen: list[int] = []

    async def prepare(_: object, known: Profile, now: datetime) -> Prepared[Accept]:
        seen.append(known.n)
        return Prepared(Accept(now))

    await desk.do("k1", town=town, prepare=prepare)
    desk.clock.at += timedelta(days=1)
    await desk.do("k2", town=town, prepare=prepare, occurred=NOW)
    assert seen == [1, 2]
    history = await desk.store.load(CASE_STREAM)
    assert [commit.profile for commit in history.commits] == [profile().version, later.version]


async def test_a_fact_of_a_later_build_in_ones_own_stream_stops_it(desk: Desk) -> None:
    await desk.do("k1")
    history = await desk.store.load(CASE_STREAM)
    unknown = UnknownFact(type="case-forgotten.v1", by=POLICY)
    commit = history.next(
        [unknown],
        cause=Cause(command_id("later"), "c"),
        town=a_town().id,
        profile=profile().version,
        occurred=NOW,
        recorded=NOW,
    )
    await desk.store.append(commit)
    with pytest.raises(IncompleteHistory, match=r"@2: unknown fact type 'case-forgotten\.v1'"):
        await desk.do("k2", 1)


async def test_a_fact_that_would_not_fit_on_the_wire_is_never_stored(desk: Desk) -> None:
    history = await desk.store.load(CASE_STREAM)
    huge = UnknownFact.model_validate({"type": "huge.v1", "text": "长" * 100_000})
    commit = history.next(
        [huge],
        cause=Cause(command_id("huge"), "c"),
        town=a_town().id,
        profile=profile().version,
        occurred=NOW,
        recorded=NOW,
    )
    with pytest.raises(TooLarge, match=r"@1 has 3000\d\d bytes"):
        await desk.store.append(commit)


def test_a_command_id_is_derived_and_its_parts_do_not_run_together() -> None:
    assert command_id("a", "b") == command_id("a", "b") != command_id("ab")
    assert command_id("a", "b") != command_id("b", "a")


async def test_the_same_command_racing_itself_with_an_expected_version_gets_one_answer(
    desk: Desk,
) -> None:
    await desk.do("k0")
    desk.store.rivals.append(lambda: desk.do("k1", 1, expected=1))
    second = await desk.do("k1", 1, expected=1)
    assert second == await desk.do("k1", 1, expected=1)
    assert await desk.version() == 2


async def test_the_profile_is_the_one_in_force_when_it_is_recorded(desk: Desk) -> None:
    """The clock of this instance is behind: the commit before was recorded later than now."""
    later = profile(n=2, effective=NOW + timedelta(seconds=5), name="改了名")
    town = a_town(profile(), later)
    desk.clock.at = NOW + timedelta(seconds=6)
    await desk.do("k1", town=town)
    desk.clock.at = NOW
    await desk.do("k2", 1, town=town)
    commits = (await desk.store.load(CASE_STREAM)).commits
    assert [commit.profile for commit in commits] == [later.version] * 2
    assert commits[0].recorded == commits[1].recorded
