"""Rules of a wish, told as given / when / then: one story after the other."""

from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.intake.commands import NoteCaseStand, ReceiveReport, Submit, Supplement, WishCommand
from services.intake.wish import (
    WISH,
    Closed,
    Rateable,
    Rated,
    Said,
    SettledElsewhere,
    Submitted,
    Unsent,
    Wish,
    Withdrawn,
)
from shared.contracts.base import ResidentId
from shared.contracts.intake import WishRated, WishWithdrawn
from shared.errors import Refused
from tests.build import (
    GRID,
    RESIDENT,
    RESIDENT_ACTOR,
    WISH_FACTS,
    invited,
    noted,
    rated,
    sealed,
    submitted,
)
from tests.intake.scenes import (
    ARRIVAL,
    COMMANDS,
    NOT_SOLVED,
    PROGRESS,
    RESOLVED,
    SCENES,
    SENT,
    SETTLE_ELSEWHERE,
    SOLVED,
    SUPPLEMENT,
    WITHDRAW,
    WITHDRAW_BECAUSE,
    note,
    rate,
    submit,
)
from tests.samples import (
    PROGRESS_RECEIVED,
    REPORT_RECEIVED,
    SETTLED,
    SETTLED_ELSEWHERE,
    SUPPLEMENTED,
    WITHDRAWN,
)
from tests.spec import facts_or_none, given, tried

NEIGHBOUR = ResidentId("0cc175b9c0f1b6a831c399e269772661")


def said(noted: int = 0) -> Said:
    return Said(GRID, RESIDENT, frozenset({RESIDENT}), noted)


def test_a_wish_is_taken_in_as_it_was_said() -> None:
    given(WISH).when(submit()).then(SENT)


def test_a_wish_is_taken_in_once_whatever_is_said_the_second_time() -> None:
    other = SENT.model_copy(update={"words": sealed("别的")})
    given(WISH, SENT).when(submit(other)).then()


def test_a_wish_may_be_nobodys() -> None:
    found = submitted(resident=None)
    given(WISH).when(submit(found)).then(found)
    assert WISH.fold([found]) == Submitted(Said(GRID, None, frozenset()))


def test_a_wish_belongs_to_the_resident_and_to_whoever_brought_it_for_them() -> None:
    brought = SENT.model_copy(update={"proxy": NEIGHBOUR})
    given(WISH).when(submit(brought)).then(brought)
    state = WISH.fold([brought])
    assert state == Submitted(Said(GRID, RESIDENT, frozenset({RESIDENT, NEIGHBOUR})))


def test_what_was_settled_on_the_spot_is_one_fact_of_the_wish() -> None:
    settled = SENT.model_copy(update={"settled_on_spot": SETTLED})
    given(WISH).when(submit(settled)).then(settled)


def test_more_may_be_said_until_it_is_closed_and_nothing_moves() -> None:
    for scene in ("submitted", "rateable", "rated", "reopened"):
        given(WISH, *SCENES[scene]).when(SUPPLEMENT).then_each_time(SUPPLEMENTED)
        assert WISH.fold((*SCENES[scene], SUPPLEMENTED)) == WISH.fold(SCENES[scene])


def test_a_resolution_that_is_to_be_rated_invites_the_resident() -> None:
    given(WISH, SENT).when(note(6, rateable=True)).then(*RESOLVED)


def test_a_resolution_that_needs_no_rating_is_noted_without_inviting() -> None:
    given(WISH, SENT).when(note(6)).then(noted(6))


def test_whoever_withdrew_is_not_asked_about_the_resolution() -> None:
    given(WISH, SENT, WITHDRAWN).when(note(6, rateable=True)).then(noted(6, rateable=True))
    late = (SENT, WITHDRAWN, noted(6, rateable=True))
    given(WISH, *late).when(rate(solved=True)).refused("already-withdrawn")


def test_what_the_case_said_before_is_not_noted_again() -> None:
    given(WISH, SENT, *RESOLVED).when(note(6, rateable=True)).then()
    given(WISH, SENT, *RESOLVED).when(note(5, closed=True)).then()


def test_a_resident_rates_the_resolution_they_were_asked_about() -> None:
    given(WISH, SENT, *RESOLVED).when(rate(solved=True)).then(SOLVED)


def test_what_is_checked_first_is_rated_once_it_was_checked() -> None:
    given(WISH, SENT, noted(6)).when(rate(solved=True)).refused("not-resolved-yet")
    given(WISH, SENT, noted(6)).when(note(7, rateable=True)).then(
        noted(7, rateable=True), invited(7)
    )
    checked = (SENT, noted(6), noted(7, rateable=True), invited(7))
    given(WISH, *checked).when(rate(solved=True)).then(rated(7, solved=True))


def test_a_rating_keeps_its_sealed_words() -> None:
    words = sealed("很满意")
    given(WISH, SENT, *RESOLVED).when(rate(solved=True, satisfaction=5, words=words)).then(
        WishRated(by=RESIDENT_ACTOR, case_version=6, resolved=True, satisfaction=5, words=words)
    )


def test_the_same_rating_again_changes_nothing_before_and_after_the_case_closed() -> None:
    given(WISH, SENT, *RESOLVED, SOLVED).when(rate(solved=True)).then()
    given(WISH, SENT, *RESOLVED, SOLVED, noted(7, closed=True)).when(rate(solved=True)).then()


def test_a_second_rating_with_words_is_refused_so_that_they_are_not_lost() -> None:
    again = rate(solved=True, words=sealed("还有一句"))
    given(WISH, *SCENES["rated"]).when(again).refused("already-rated")
    given(WISH, *SCENES["closed-rated"]).when(again).refused("already-rated")


def test_a_wish_that_was_not_solved_is_rated_again_after_the_second_round() -> None:
    first = (SENT, *RESOLVED, NOT_SOLVED, noted(7))
    again = (noted(10, rateable=True), invited(10))
    given(WISH, *first).when(note(10, rateable=True)).then(*again)
    given(WISH, *first, *again).when(rate(solved=True)).then(rated(10, solved=True))


@pytest.mark.parametrize("scene", ["submitted", "rateable", "reopened"])
def test_whoever_asked_may_ask_no_longer(scene: str) -> None:
    given(WISH, *SCENES[scene]).when(WITHDRAW).then(WITHDRAWN)
    given(WISH, *SCENES[scene]).when(WITHDRAW_BECAUSE).then(
        WishWithdrawn(by=RESIDENT_ACTOR, reason=WITHDRAW_BECAUSE.reason)
    )


def test_a_second_reason_is_refused_so_that_it_is_not_lost() -> None:
    given(WISH, *SCENES["withdrawn"]).when(WITHDRAW_BECAUSE).refused("already-withdrawn")
    given(WISH, *SCENES["withdrawn"]).when(WITHDRAW).then()


def test_a_list_says_once_what_became_of_a_matter() -> None:
    given(WISH, SENT).when(SETTLE_ELSEWHERE).then_each_time(SETTLED_ELSEWHERE)
    given(WISH, SENT, SETTLED_ELSEWHERE).when(SETTLE_ELSEWHERE).refused("already-settled")


def test_what_a_list_calls_settled_on_the_spot_is_told_so() -> None:
    there = SETTLED_ELSEWHERE.model_copy(update={"on_spot": True})
    given(WISH, SENT).when(replace(SETTLE_ELSEWHERE, on_spot=True)).then_each_time(there)


def test_what_was_resolved_here_is_not_settled_elsewhere() -> None:
    given(WISH, *SCENES["rateable"]).when(SETTLE_ELSEWHERE).refused("already-resolved")
    given(WISH, *SCENES["withdrawn"]).when(SETTLE_ELSEWHERE).refused("already-withdrawn")


def test_nobody_is_asked_about_what_was_settled_elsewhere() -> None:
    """Also where the case was resolved here a moment before the list said so."""
    settled = (SENT, SETTLED_ELSEWHERE)
    given(WISH, *settled).when(note(6, rateable=True)).then(noted(6, rateable=True))
    assert WISH.fold((*settled, noted(6, rateable=True))) == SettledElsewhere(said(6))
    given(WISH, *settled).when(rate(solved=True)).refused("not-resolved-yet")
    assert WISH.fold(SCENES["closed-settled"]) == Closed(said(3))


def test_a_withdrawn_wish_stays_withdrawn_when_its_case_closes() -> None:
    given(WISH, SENT, WITHDRAWN).when(note(7, closed=True)).then(noted(7, closed=True))
    assert WISH.fold(SCENES["closed-withdrawn"]) == Closed(said(7), withdrawn=True)
    assert WISH.fold((SENT, WITHDRAWN, noted(6))) == Withdrawn(said(6))


@pytest.mark.parametrize("scene", sorted(SCENES.keys() - {"unsent"}))
def test_what_a_partner_reports_is_taken_in_wherever_the_wish_is_for_the_case_answers(
    scene: str,
) -> None:
    before = given(WISH, *SCENES[scene])
    before.when(ARRIVAL).then_each_time(REPORT_RECEIVED)
    before.when(PROGRESS).then_each_time(PROGRESS_RECEIVED)
    after = (*SCENES[scene], REPORT_RECEIVED, PROGRESS_RECEIVED)
    assert WISH.fold(after) == WISH.fold(SCENES[scene])


def test_a_wish_goes_through_its_states_in_two_rounds() -> None:
    states: list[Wish] = [
        Unsent(),
        Submitted(said()),
        Rateable(said(6)),
        Rateable(said(6)),
        Rated(said(6), resolved=False, satisfaction=1),
        Submitted(said(7)),
        Rateable(said(10)),
        Rateable(said(10)),
        Rated(said(10), resolved=True, satisfaction=5),
        Closed(said(11), (True, 5)),
    ]
    assert [WISH.fold(WISH_FACTS[:n]) for n in range(len(WISH_FACTS) + 1)] == states


def test_a_stream_that_does_not_start_with_its_submission_is_nobodys() -> None:
    with pytest.raises(ValueError, match="never submitted"):
        WISH.fold([SUPPLEMENTED])


ANYTHING: st.SearchStrategy[list[WishCommand]] = st.lists(
    st.one_of(
        st.sampled_from(list(COMMANDS.values())),
        st.builds(note, st.integers(1, 12), rateable=st.booleans(), closed=st.booleans()),
        st.builds(rate, solved=st.booleans(), satisfaction=st.integers(1, 5)),
    ),
    max_size=30,
)
NEWS = (Supplement, ReceiveReport)


@tried(200)
@examples(ANYTHING)
def test_whatever_is_asked_of_a_wish_asking_twice_adds_nothing(commands: list[WishCommand]) -> None:
    state = WISH.initial
    for command in [submit(), *commands]:
        for fact in facts_or_none(WISH, state, command):
            state = WISH.evolve(state, fact)
        if not isinstance(command, NEWS):
            assert facts_or_none(WISH, state, command) == []


@tried(200)
@examples(ANYTHING)
def test_whatever_is_asked_of_a_wish_only_a_rule_stands_in_the_way(
    commands: list[WishCommand],
) -> None:
    state, noted_before = WISH.initial, 0
    for command in [submit(), *commands]:
        try:
            facts = WISH.decide(state, command)
        except Refused:
            continue
        state = reduce(WISH.evolve, facts, state)
        assert not isinstance(state, Unsent)
        assert state.said.owners == {RESIDENT}
        assert state.said.noted >= noted_before
        noted_before = state.said.noted


@tried(100)
@examples(ANYTHING)
def test_a_withdrawn_wish_is_never_rated_and_never_asked_about(
    commands: list[WishCommand],
) -> None:
    state: Wish = WISH.fold((SENT, WITHDRAWN))
    for command in commands:
        for fact in facts_or_none(WISH, state, command):
            assert fact.type in (
                "case-stand-noted.v1",
                "unit-report-received.v1",
                "progress-report-received.v1",
            )
            state = WISH.evolve(state, fact)
            if isinstance(state, Closed):
                return
        assert isinstance(state, Withdrawn)


@tried(100)
@examples(ANYTHING)
def test_a_wish_nobody_sent_never_moves(commands: list[WishCommand]) -> None:
    for command in commands:
        if not isinstance(command, Submit):
            assert facts_or_none(WISH, Unsent(), command) == []


def test_the_versions_of_the_case_are_taken_in_in_order() -> None:
    late: NoteCaseStand = note(6, rateable=True)
    given(WISH, SENT, noted(6), noted(7, closed=True)).when(late).then()
