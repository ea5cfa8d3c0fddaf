"""What intake does about each fact, and that it does no more."""

import pytest

from services.intake.commands import NoteCaseStand
from services.intake.policies import react
from shared.contracts.base import ActorId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.registry import FACTS, UnknownFact
from tests.build import (
    CASE_STREAM,
    CLOSED,
    REOPENED,
    WISH_STREAM,
    a_town,
    recorded,
    resolved,
)
from tests.samples import EVERY_FACT, closed, on_spot, to_be_checked, verified


@pytest.mark.parametrize(
    ("fact", "rateable", "is_closed"),
    [
        (resolved(), True, False),
        (resolved(rating_asked=False), False, False),
        (to_be_checked(), False, False),
        (to_be_checked(rating_asked=False), False, False),
        (on_spot(), True, False),
        (on_spot(verification_asked=True), False, False),
        (on_spot(rating_asked=False), False, False),
        (verified(), True, False),
        (verified(rating_asked=False), False, False),
        (REOPENED, False, False),
        (CLOSED, False, True),
        (closed("withdrawn", 6), False, True),
        (closed("declined"), False, True),
    ],
    ids=[
        "resolved-and-rated",
        "resolved-unrated",
        "first-to-be-checked",
        "only-to-be-checked",
        "on-spot",
        "on-spot-first-to-be-checked",
        "on-spot-unrated",
        "checked-and-rated",
        "checked-unrated",
        "reopened",
        "closed",
        "withdrawn",
        "declined",
    ],
)
def test_where_the_case_stands_is_noted_in_the_wish(
    fact: DispatchFact, rateable: bool, is_closed: bool
) -> None:
    (reaction,) = react(recorded(fact, CASE_STREAM, 6), a_town())
    assert (reaction.policy, reaction.stream) == ("note-case-stand", WISH_STREAM)
    assert reaction.command == NoteCaseStand(
        ActorId("policy:note-case-stand"), case_version=6, rateable=rateable, closed=is_closed
    )


def test_only_the_end_of_a_round_concerns_the_wish() -> None:
    """Rework changes nothing for whoever asked: they were not invited yet."""
    heard = {t for t in FACTS if react(recorded(EVERY_FACT[t], CASE_STREAM, 6), a_town())}
    assert heard == {
        "case-resolved.v1",
        "resolution-verified.v1",
        "case-reopened.v1",
        "case-closed.v1",
    }


@pytest.mark.parametrize("fact_type", FACTS)
def test_a_fact_is_answered_at_most_once_per_stream_and_always_the_same_way(fact_type: str) -> None:
    fact = recorded(EVERY_FACT[fact_type], CASE_STREAM, 6)
    reactions = react(fact, a_town())
    assert len({reaction.stream for reaction in reactions}) == len(reactions)
    assert all(reaction.stream == WISH_STREAM for reaction in reactions)
    assert react(fact, a_town()) == reactions


def test_a_fact_of_a_later_build_is_passed_over() -> None:
    assert react(recorded(UnknownFact(type="case-forgotten.v1"), CASE_STREAM), a_town()) == ()


def test_the_samples_are_of_every_type_there_is() -> None:
    assert EVERY_FACT.keys() == FACTS.keys()
