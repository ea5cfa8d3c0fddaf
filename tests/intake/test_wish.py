"""Rules of a wish, told as given / when / then."""

import inspect
import re

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.intake import wish
from services.intake.wish import (
    WISH,
    Closed,
    NoteCaseStand,
    Rate,
    Rateable,
    Rated,
    Submit,
    Submitted,
    Unsent,
    WishCommand,
)
from shared.contracts.base import ActorId
from shared.contracts.intake import IntakeFact, WishRated
from tests.build import (
    POLICY,
    RESIDENT,
    RESIDENT_ACTOR,
    WISH_FACTS,
    invited,
    noted,
    rated,
    sealed,
    submitted,
)
from tests.spec import facts_or_none, given, tried

SENT = submitted()
SUBMIT = Submit(**{name: value for name, value in SENT if name != "type"})
RESOLVED = (noted(6, rateable=True), invited(6))
NOT_SOLVED = rated(6, solved=False, satisfaction=1)
SOLVED = rated(6, solved=True)


def note(case_version: int, *, rateable: bool = False, closed: bool = False) -> NoteCaseStand:
    return NoteCaseStand(by=POLICY, case_version=case_version, rateable=rateable, closed=closed)


def rate(*, solved: bool, satisfaction: int = 4) -> Rate:
    return Rate(by=RESIDENT_ACTOR, resolved=solved, satisfaction=satisfaction)


def test_a_wish_is_taken_in_as_it_was_said() -> None:
    given(WISH).when(SUBMIT).then(SENT)


def test_a_wish_is_taken_in_once_whatever_is_said_the_second_time() -> None:
    other = Submit(**{**{n: v for n, v in SENT if n != "type"}, "words": sealed("别的")})
    given(WISH, SENT).when(other).then()


def test_a_wish_may_be_nobodys() -> None:
    found = submitted(resident=None)
    given(WISH).when(Submit(**{n: v for n, v in found if n != "type"})).then(found)
    assert WISH.fold([found]) == Submitted(None)


def test_a_resolution_that_is_to_be_rated_invites_the_resident() -> None:
    given(WISH, SENT).when(note(6, rateable=True)).then(*RESOLVED)


def test_a_resolution_that_needs_no_rating_is_noted_without_inviting() -> None:
    given(WISH, SENT).when(note(6)).then(noted(6))


def test_what_the_case_said_before_is_not_noted_again() -> None:
    given(WISH, SENT, *RESOLVED).when(note(6, rateable=True)).then()
    given(WISH, SENT, *RESOLVED).when(note(5, closed=True)).then()


def test_a_resident_rates_the_resolution_they_were_asked_about() -> None:
    given(WISH, SENT, *RESOLVED).when(rate(solved=True)).then(SOLVED)


def test_a_rating_keeps_its_sealed_words() -> None:
    words = sealed("很满意")
    said = Rate(by=RESIDENT_ACTOR, resolved=True, satisfaction=5, words=words)
    given(WISH, SENT, *RESOLVED).when(said).then(
        WishRated(by=RESIDENT_ACTOR, case_version=6, resolved=True, satisfaction=5, words=words)
    )


def test_the_same_rating_again_changes_nothing_before_and_after_the_case_closed() -> None:
    given(WISH, SENT, *RESOLVED, SOLVED).when(rate(solved=True)).then()
    given(WISH, SENT, *RESOLVED, SOLVED, noted(7, closed=True)).when(rate(solved=True)).then()


def test_a_wish_that_was_not_solved_is_rated_again_after_the_second_round() -> None:
    first = (SENT, *RESOLVED, NOT_SOLVED, noted(7))
    again = (noted(10, rateable=True), invited(10))
    given(WISH, *first).when(note(10, rateable=True)).then(*again)
    given(WISH, *first, *again).when(rate(solved=True)).then(rated(10, solved=True))


def test_a_wish_goes_through_its_states_in_two_rounds() -> None:
    assert [WISH.fold(WISH_FACTS[:n]) for n in range(len(WISH_FACTS) + 1)] == [
        Unsent(),
        Submitted(RESIDENT),
        Rateable(RESIDENT, 6),
        Rateable(RESIDENT, 6),
        Rated(RESIDENT, 6, False, 1),
        Submitted(RESIDENT, 7),
        Rateable(RESIDENT, 10),
        Rateable(RESIDENT, 10),
        Rated(RESIDENT, 10, True, 5),
        Closed(RESIDENT, 11, (True, 5)),
    ]


REFUSALS: dict[str, tuple[tuple[IntakeFact, ...], WishCommand, str]] = {
    "nobody rates a wish that was never sent": ((), rate(solved=True), "unknown-wish"),
    "a case says nothing of a wish that was never sent": ((), note(1), "unknown-wish"),
    "nobody rates before there is a resolution": ((SENT,), rate(solved=True), "not-resolved-yet"),
    "nobody rates once it was reopened": (
        (SENT, *RESOLVED, NOT_SOLVED, noted(7)),
        rate(solved=True),
        "not-resolved-yet",
    ),
    "a rating is not taken back": (
        (SENT, *RESOLVED, SOLVED),
        rate(solved=False),
        "already-rated",
    ),
    "contentment is not changed later": (
        (SENT, *RESOLVED, SOLVED, noted(7, closed=True)),
        rate(solved=True, satisfaction=1),
        "already-rated",
    ),
    "nobody rates what was closed unrated": (
        (SENT, noted(6), noted(7, closed=True)),
        rate(solved=True),
        "already-closed",
    ),
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_a_wish_refuses(rule: str) -> None:
    facts, command, code = REFUSALS[rule]
    given(WISH, *facts).when(command).refused(code)


def test_every_refusal_of_a_wish_is_seen() -> None:
    codes = set(re.findall(r'Refused\(\s*"([a-z-]+)"', inspect.getsource(wish)))
    assert codes == {code for _, _, code in REFUSALS.values()}


COMMANDS = st.one_of(
    st.just(SUBMIT),
    st.builds(
        NoteCaseStand,
        by=st.just(ActorId("policy:note")),
        case_version=st.integers(1, 12),
        rateable=st.booleans(),
        closed=st.booleans(),
    ),
    st.builds(
        Rate,
        by=st.just(RESIDENT_ACTOR),
        resolved=st.booleans(),
        satisfaction=st.integers(1, 5),
    ),
)


@tried(150)
@examples(st.lists(COMMANDS, max_size=25))
def test_whatever_is_asked_of_a_wish_asking_twice_adds_nothing(commands: list[WishCommand]) -> None:
    state = WISH.initial
    for command in commands:
        for fact in facts_or_none(WISH, state, command):
            state = WISH.evolve(state, fact)
        assert facts_or_none(WISH, state, command) == []


def test_a_second_rating_with_words_is_refused_so_that_they_are_not_lost() -> None:
    again = Rate(by=RESIDENT_ACTOR, resolved=True, satisfaction=4, words=sealed("还有一句"))
    given(WISH, SENT, *RESOLVED, SOLVED).when(again).refused("already-rated")
    given(WISH, SENT, *RESOLVED, SOLVED, noted(7, closed=True)).when(again).refused("already-rated")
