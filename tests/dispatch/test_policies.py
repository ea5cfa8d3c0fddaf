"""What dispatch does about each fact, and that it does no more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.dispatch.case import CASE
from services.dispatch.commands import (
    CaseCommand,
    Open,
    Settlement,
    TakeRating,
    TakeReport,
    TakeSettlement,
    TakeWithdrawal,
)
from services.dispatch.deadlines import resolution_due
from services.dispatch.policies import complete, react
from services.dispatch.states import Unopened
from shared.contracts.base import ActorId, Code, ResidentId
from shared.contracts.registry import FACTS, UnknownFact
from shared.errors import Refused
from tests.build import (
    APPEAL,
    CASE_FACTS,
    CASE_STREAM,
    DUE,
    GRID,
    HAZARD,
    NOW,
    RESIDENT,
    WISH_STREAM,
    a_town,
    kind,
    profile,
    rated,
    recorded,
    sealed,
    submitted,
)
from tests.dispatch.scenes import COMMANDS, OPEN, SCENES
from tests.samples import (
    EVERY_FACT,
    PARTNER,
    PROGRESS_RECEIVED,
    REPORT_RECEIVED,
    REQUEST,
    SETTLED,
    SETTLED_ELSEWHERE,
    WITHDRAWN,
)

RATING = TakeRating(by=ActorId("policy:take-rating"), wish_version=4, resolved=False)
SETTLEMENT = Settlement(SETTLED.by, SETTLED.outcome, SETTLED.note)
CHECKED = {**kind(rated=False), "verification_asked": True}
BOTH = {**kind(rated=True), "verification_asked": True}


@pytest.mark.parametrize("resident", [RESIDENT, None])
def test_a_wish_opens_its_case_as_what_it_was_sent_in(resident: ResidentId | None) -> None:
    wish = submitted(resident=resident)
    (reaction,) = react(recorded(wish), a_town())
    assert (reaction.policy, reaction.stream) == ("open-case", CASE_STREAM)
    assert reaction.command == Open(
        by=ActorId("policy:open-case"),
        wish_version=1,
        kind=APPEAL,
        category=wish.category,
        area=GRID,
        resident=resident,
    )


def test_what_was_settled_on_the_spot_opens_its_case_with_it() -> None:
    wish = submitted().model_copy(update={"settled_on_spot": SETTLED})
    (reaction,) = react(recorded(wish), a_town())
    assert isinstance(reaction.command, Open)
    assert reaction.command.settled == SETTLEMENT


@pytest.mark.parametrize("solved", [True, False])
def test_a_rating_is_taken_to_the_case(solved: bool) -> None:
    (reaction,) = react(recorded(rated(6, solved=solved), version=4), a_town())
    assert (reaction.policy, reaction.stream) == ("take-rating", CASE_STREAM)
    assert reaction.command == replace(RATING, resolved=solved)


def test_a_withdrawal_is_taken_to_the_case() -> None:
    (reaction,) = react(recorded(WITHDRAWN, version=3), a_town())
    assert (reaction.policy, reaction.stream) == ("take-withdrawal", CASE_STREAM)
    assert reaction.command == TakeWithdrawal(ActorId("policy:take-withdrawal"), 3)


@pytest.mark.parametrize("on_spot", [True, None])
def test_a_settlement_elsewhere_is_taken_to_the_case_with_what_the_list_says(
    on_spot: bool | None,
) -> None:
    settled = SETTLED_ELSEWHERE.model_copy(update={"on_spot": on_spot})
    (reaction,) = react(recorded(settled, version=2), a_town())
    assert (reaction.policy, reaction.stream) == ("take-settlement", CASE_STREAM)
    assert reaction.command == TakeSettlement(
        ActorId("policy:take-settlement"),
        wish_version=2,
        settled_by=settled.by,
        outcome=settled.outcome,
        note=settled.note,
        on_spot=bool(on_spot),
    )


def test_what_a_partner_reports_is_decided_in_its_name() -> None:
    (arrival,) = react(recorded(REPORT_RECEIVED, version=3), a_town())
    (progress,) = react(recorded(PROGRESS_RECEIVED, version=3), a_town())
    assert arrival.policy == progress.policy == "take-report"
    assert arrival.command == TakeReport(PARTNER, REPORT_RECEIVED.unit, REQUEST)
    assert progress.command == TakeReport(PARTNER, REPORT_RECEIVED.unit, REQUEST, sealed("在修"))


def test_only_what_may_move_the_case_concerns_it() -> None:
    heard = {t for t in FACTS if react(recorded(EVERY_FACT[t], WISH_STREAM, 4), a_town())}
    assert heard == {
        "wish-submitted.v1",
        "wish-rated.v1",
        "wish-withdrawn.v1",
        "wish-settled-elsewhere.v1",
        "unit-report-received.v1",
        "progress-report-received.v1",
    }


@pytest.mark.parametrize("fact_type", FACTS)
def test_a_fact_is_answered_at_most_once_per_stream_and_always_the_same_way(fact_type: str) -> None:
    fact = recorded(EVERY_FACT[fact_type], WISH_STREAM, 4)
    reactions = react(fact, a_town())
    assert len({reaction.stream for reaction in reactions}) == len(reactions)
    assert all(reaction.stream == CASE_STREAM for reaction in reactions)
    assert react(fact, a_town()) == reactions


def test_a_fact_of_a_later_build_is_passed_over() -> None:
    assert react(recorded(UnknownFact(type="wish-forgotten.v1")), a_town()) == ()


def test_a_rating_gets_the_deadline_of_the_kind_the_case_was_opened_as() -> None:
    state = CASE.fold(CASE_FACTS[:6])
    assert complete(state, RATING, profile(), NOW) == replace(RATING, due=DUE)
    assert complete(state, replace(RATING, resolved=True), profile(), NOW).due is None  # type: ignore[union-attr]  # it is a rating


@pytest.mark.parametrize(
    ("of", "resident", "rating", "check"),
    [
        (kind(rated=True), RESIDENT, True, False),
        (kind(rated=True), None, False, False),
        (kind(rated=False), RESIDENT, False, False),
        (CHECKED, RESIDENT, False, True),
        (CHECKED, None, False, True),
        (BOTH, RESIDENT, True, True),
        (BOTH, None, False, True),
    ],
    ids=["rated", "nobodys", "unrated", "checked", "nobodys-checked", "both", "nobodys-both"],
)
def test_what_follows_a_settlement_on_the_spot_is_the_profiles_word_for_the_kind(
    of: dict[str, object], resident: ResidentId | None, rating: bool, check: bool
) -> None:
    """Where there is no resident, nobody could be asked for a rating."""
    opening = replace(OPEN, kind=HAZARD, resident=resident, settled=SETTLEMENT)
    settled = replace(SETTLEMENT, due=DUE, rating_asked=rating, verification_asked=check)
    known = profile(kinds={HAZARD: of})
    assert complete(Unopened(), opening, known, NOW) == replace(opening, settled=settled)


def test_a_case_settled_on_the_spot_is_decided_as_it_was_completed() -> None:
    opening = complete(Unopened(), replace(OPEN, settled=SETTLEMENT), profile(), NOW)
    assert [fact.type for fact in CASE.decide(Unopened(), opening)] == [
        "case-opened.v1",
        "case-accepted.v1",
        "case-resolved.v1",
    ]
    nobodys = replace(OPEN, settled=SETTLEMENT, resident=None)
    closed = CASE.decide(Unopened(), complete(Unopened(), nobodys, profile(), NOW))
    assert [fact.type for fact in closed][-1] == "case-closed.v1"


def test_a_kind_the_town_does_not_have_is_refused_and_nothing_is_settled() -> None:
    opening = replace(OPEN, kind=Code("dispute"), settled=SETTLEMENT)
    with pytest.raises(Refused, match="no kind"):
        complete(Unopened(), opening, profile(), NOW)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_needs_nothing_more_stays_as_it_is(command: CaseCommand) -> None:
    for scene in SCENES.values():
        state = CASE.fold(scene)
        reopens = isinstance(command, TakeRating) and not command.resolved
        if not reopens or isinstance(state, Unopened):
            assert complete(state, command, profile(), NOW) == command


def test_an_opening_that_comes_again_needs_no_completing() -> None:
    again = replace(OPEN, settled=SETTLEMENT)
    state = CASE.fold(SCENES["opened"])
    assert complete(state, again, profile(), NOW) == again
    assert CASE.decide(state, again) == []


def test_a_deadline_is_the_hours_of_the_profile_after_now() -> None:
    slow = {**kind(rated=True), "resolve_within_hours": 240}
    assert resolution_due(profile(), APPEAL, NOW) == DUE
    assert resolution_due(profile(kinds={APPEAL: slow}), APPEAL, NOW) == NOW + timedelta(days=10)
    with pytest.raises(Refused, match="no kind"):
        resolution_due(profile(), "dispute", NOW)
