"""What intake does about each fact, and that it does no more."""

import pytest

from services.intake.policies import react
from services.intake.wish import NoteCaseStand
from shared.contracts.base import ActorId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.registry import FACTS, AnyFact, UnknownFact, type_tag
from tests.build import (
    CASE_FACTS,
    CASE_STREAM,
    CLOSED,
    REOPENED,
    WISH_FACTS,
    WISH_STREAM,
    a_town,
    recorded,
    resolved,
)

SAMPLES: dict[str, AnyFact] = {fact.type: fact for fact in (*WISH_FACTS, *CASE_FACTS)}


@pytest.mark.parametrize(
    ("fact", "rateable", "closed"),
    [
        (resolved(), True, False),
        (resolved(rating_asked=False), False, False),
        (REOPENED, False, False),
        (CLOSED, False, True),
    ],
    ids=["resolved-and-rated", "resolved-unrated", "reopened", "closed"],
)
def test_where_the_case_stands_is_noted_in_the_wish(
    fact: DispatchFact, rateable: bool, closed: bool
) -> None:
    (reaction,) = react(recorded(fact, CASE_STREAM, 6), a_town())
    assert reaction.stream == WISH_STREAM
    assert reaction.command == NoteCaseStand(
        by=ActorId(f"policy:{reaction.policy}"), case_version=6, rateable=rateable, closed=closed
    )


def test_only_the_end_of_a_round_concerns_the_wish() -> None:
    heard = {t for t in FACTS if react(recorded(SAMPLES[t], CASE_STREAM, 6), a_town())}
    assert heard == {"case-resolved.v1", "case-reopened.v1", "case-closed.v1"}


@pytest.mark.parametrize("fact_type", FACTS)
def test_a_fact_is_answered_at_most_once_per_stream_and_always_the_same_way(fact_type: str) -> None:
    fact = recorded(SAMPLES[fact_type], CASE_STREAM, 6)
    reactions = react(fact, a_town())
    assert len({reaction.stream for reaction in reactions}) == len(reactions)
    assert all(reaction.stream == WISH_STREAM for reaction in reactions)
    assert react(fact, a_town()) == reactions


def test_a_fact_of_a_later_build_is_passed_over() -> None:
    assert react(recorded(UnknownFact(type="case-referred.v1"), CASE_STREAM), a_town()) == ()


def test_the_samples_are_of_every_type_there_is() -> None:
    assert {type_tag(type(fact)) for fact in (*WISH_FACTS, *CASE_FACTS)} == set(FACTS)
