"""What dispatch does about each fact, and that it does no more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.dispatch.case import CASE
from services.dispatch.commands import Accept, Open, TakeRating
from services.dispatch.deadlines import resolution_due
from services.dispatch.policies import complete, react
from services.dispatch.states import Unopened
from shared.contracts.base import ActorId, ResidentId
from shared.contracts.registry import FACTS, AnyFact, UnknownFact
from shared.errors import Refused
from tests.build import (
    APPEAL,
    CASE_FACTS,
    CASE_STREAM,
    COMMUNITY,
    DUE,
    GRID,
    NOW,
    RESIDENT,
    WISH_FACTS,
    WISH_STREAM,
    a_town,
    kind,
    profile,
    rated,
    recorded,
    submitted,
)

SAMPLES: dict[str, AnyFact] = {fact.type: fact for fact in (*WISH_FACTS, *CASE_FACTS)}
RATING = TakeRating(by=ActorId("policy:take-rating"), wish_version=4, resolved=False)


@pytest.mark.parametrize("resident", [RESIDENT, None])
def test_a_wish_opens_its_case_as_what_it_was_sent_in(resident: ResidentId | None) -> None:
    wish = submitted(resident=resident)
    (reaction,) = react(recorded(wish), a_town())
    assert reaction.stream == CASE_STREAM
    assert reaction.command == Open(
        by=ActorId("policy:open-case"),
        wish_version=1,
        kind=APPEAL,
        category=wish.category,
        area=GRID,
        resident=resident,
    )


@pytest.mark.parametrize("solved", [True, False])
def test_a_rating_is_taken_to_the_case(solved: bool) -> None:
    (reaction,) = react(recorded(rated(6, solved=solved), version=4), a_town())
    assert reaction.stream == CASE_STREAM
    assert reaction.command == replace(RATING, resolved=solved)


def test_only_a_submission_and_a_rating_concern_the_case() -> None:
    heard = {t for t in FACTS if react(recorded(SAMPLES[t], WISH_STREAM, 4), a_town())}
    assert heard == {"wish-submitted.v1", "wish-rated.v1"}


@pytest.mark.parametrize("fact_type", FACTS)
def test_a_fact_is_answered_at_most_once_per_stream_and_always_the_same_way(fact_type: str) -> None:
    fact = recorded(SAMPLES[fact_type], WISH_STREAM, 4)
    reactions = react(fact, a_town())
    assert len({reaction.stream for reaction in reactions}) == len(reactions)
    assert all(reaction.stream == CASE_STREAM for reaction in reactions)
    assert react(fact, a_town()) == reactions


def test_a_fact_of_a_later_build_is_passed_over() -> None:
    assert react(recorded(UnknownFact(type="wish-withdrawn.v1")), a_town()) == ()


def test_a_rating_gets_the_deadline_of_the_kind_the_case_was_opened_as() -> None:
    state = CASE.fold(CASE_FACTS[:6])
    assert complete(state, RATING, profile(), NOW) == replace(RATING, due=DUE)


def test_what_needs_no_deadline_stays_as_it_is() -> None:
    accept = Accept(by=COMMUNITY, due=DUE)
    assert complete(CASE.fold(CASE_FACTS[:1]), accept, profile(), NOW) == accept
    assert complete(Unopened(), RATING, profile(), NOW) == RATING


def test_a_deadline_is_the_hours_of_the_profile_after_now() -> None:
    slow = {**kind(rated=True), "resolve_within_hours": 240}
    assert resolution_due(profile(), APPEAL, NOW) == DUE
    assert resolution_due(profile(kinds={APPEAL: slow}), APPEAL, NOW) == NOW + timedelta(days=10)
    with pytest.raises(Refused, match="no kind"):
        resolution_due(profile(), "dispute", NOW)
