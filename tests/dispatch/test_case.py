"""Rules of a case, told as given / when / then: one story after the other."""

from dataclasses import replace

import pytest

from services.dispatch.case import CASE
from services.dispatch.commands import Open, Verify
from services.dispatch.states import (
    Accepted,
    Assignment,
    Case,
    Closed,
    Dispatched,
    File,
    Opened,
    Resolved,
    UnderWay,
    Unopened,
)
from shared.contracts.base import Code, TargetId
from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseReopened,
    CaseResolved,
    DispatchFact,
    ReportNoted,
    ReportRefused,
    ResolutionVerified,
)
from tests.build import (
    ACCEPTED,
    APPEAL,
    CASE_FACTS,
    CREW,
    DRAINS,
    DUE,
    GRID,
    HAZARD,
    LATER,
    LIGHTS,
    OFFICER,
    POLICY,
    PROGRESS,
    REOPENED,
    RESIDENT,
    dispatched,
    opened,
    reported,
    resolved,
    sealed,
)
from tests.dispatch.scenes import (
    ACCEPT,
    AT_ACCEPTANCE,
    AT_DISPATCH,
    AT_OPENING,
    AT_RESOLUTION,
    AT_WORK,
    CHECKED,
    CONTACT,
    DECLINE,
    OPEN,
    ORDER_REWORK,
    REFER,
    SCENES,
    SETTLED_OUTSIDE,
    SETTLEMENT,
    TO_BE_CHECKED,
    VERIFY,
    WITH_HELP,
    WITHDRAWAL,
    Facts,
    assist,
    dispatch,
    give_back,
    redirect,
    report_in,
    report_progress,
    resolve,
    take_rating,
    take_report,
)
from tests.samples import (
    CONTACTED,
    DECLINED,
    PARTNER,
    REFERRED,
    REQUEST,
    REWORK,
    SETTLED_ELSEWHERE,
    assisting,
    closed,
    on_spot,
    progress,
    redirected,
    returned,
    to_be_checked,
    verified,
)
from tests.spec import given

ONE, TWO, THREE = (TargetId(f"assignment-{n}") for n in (1, 2, 3))
SOLVED = take_rating(solved=True, wish_version=4)
NOT_SOLVED = take_rating(solved=False, wish_version=4)
REOPENED_CASE = (*AT_RESOLUTION, REOPENED)


def live(*facts: DispatchFact) -> list[tuple[str, str]]:
    """Who has the case on the desk, and to do what."""
    case = CASE.fold(facts)
    assert not isinstance(case, Unopened)
    return [(a.unit, a.role) for a in case.file.assignments if a.live]


def test_a_wish_opens_its_case() -> None:
    given(CASE).when(OPEN).then(opened())


def test_a_case_is_opened_once_and_stays_what_it_was_opened_as() -> None:
    given(CASE, opened()).when(replace(OPEN, kind=HAZARD)).then()
    given(CASE, *SCENES["closed"]).when(OPEN).then()


def test_the_community_accepts_a_case_until_its_deadline() -> None:
    given(CASE, *AT_OPENING).when(ACCEPT).then(ACCEPTED)
    case = CASE.fold(AT_ACCEPTANCE)
    assert isinstance(case, Accepted)
    assert case.file.due == DUE


def test_accepting_later_does_not_move_the_deadline() -> None:
    for facts in (AT_ACCEPTANCE, AT_DISPATCH, AT_WORK, AT_RESOLUTION):
        given(CASE, *facts).when(replace(ACCEPT, due=LATER)).then()


def test_what_is_declined_is_closed_by_the_rule_that_was_named() -> None:
    given(CASE, *AT_OPENING).when(DECLINE).then(DECLINED, closed("declined"))


@pytest.mark.parametrize(
    "facts", [AT_OPENING, AT_ACCEPTANCE, SCENES["returned"], REOPENED_CASE], ids=len
)
def test_what_is_referred_is_closed_here_as_long_as_no_unit_leads(facts: Facts) -> None:
    given(CASE, *facts).when(REFER).then(REFERRED, closed("referred"))


def test_a_unit_is_named() -> None:
    given(CASE, *AT_ACCEPTANCE).when(dispatch()).then(dispatched())


def test_naming_the_same_unit_again_changes_nothing_as_long_as_it_has_the_case() -> None:
    for facts in (AT_DISPATCH, AT_WORK, WITH_HELP):
        given(CASE, *facts).when(dispatch()).then()


def test_the_named_unit_reports_in_to_its_assignment() -> None:
    given(CASE, *AT_DISPATCH).when(report_in()).then(reported())


def test_reporting_in_again_changes_nothing_after_the_resolution_either() -> None:
    given(CASE, *AT_RESOLUTION).when(report_in()).then()


def test_progress_may_be_reported_again_and_again() -> None:
    given(CASE, *AT_WORK).when(report_progress()).then_each_time(PROGRESS)
    given(CASE, *AT_WORK, PROGRESS).when(report_progress()).then_each_time(PROGRESS)


def test_whoever_asked_may_be_contacted_again_and_again_and_nothing_moves() -> None:
    for facts in (AT_OPENING, AT_WORK, AT_RESOLUTION):
        given(CASE, *facts).when(CONTACT).then_each_time(CONTACTED)
        assert CASE.fold((*facts, CONTACTED)) == CASE.fold(facts)


def test_a_resolution_awaits_the_resident_where_a_rating_is_asked() -> None:
    given(CASE, *AT_WORK, PROGRESS).when(resolve()).then(resolved())


def test_a_resolution_closes_the_case_at_once_where_nothing_more_is_asked() -> None:
    given(CASE, *AT_WORK).when(resolve(rating=False)).then(
        resolved(rating_asked=False), CaseClosed(by=CREW, reason=Code("no-rating-asked"))
    )


def test_a_second_resolution_is_refused_so_that_its_note_is_not_lost() -> None:
    given(CASE, *AT_RESOLUTION).when(resolve()).refused("already-resolved")
    given(CASE, *AT_RESOLUTION).when(resolve(outcome="partly")).refused("already-resolved")


def test_a_resident_who_says_it_is_solved_closes_the_case() -> None:
    given(CASE, *AT_RESOLUTION).when(SOLVED).then(closed("rated", 4))


def test_a_resident_who_says_it_is_not_solved_reopens_the_case() -> None:
    reopened = CaseReopened(by=POLICY, wish_version=4, due=LATER)
    given(CASE, *AT_RESOLUTION).when(NOT_SOLVED).then(reopened)


def test_a_reopened_case_takes_a_second_round_with_another_unit() -> None:
    given(CASE, *REOPENED_CASE).when(dispatch(LIGHTS)).then(dispatched(LIGHTS, 2))
    again = (*REOPENED_CASE, dispatched(LIGHTS, 2))
    given(CASE, *again).when(report_in(LIGHTS)).then(reported(LIGHTS, 2))
    given(CASE, *again).when(report_in(DRAINS)).refused("not-the-named-unit")
    at_work = (*again, reported(LIGHTS, 2))
    given(CASE, *at_work).when(resolve(LIGHTS)).then(resolved(LIGHTS, 2))
    done = (*at_work, resolved(LIGHTS, 2))
    given(CASE, *done).when(take_rating(solved=True, wish_version=8)).then(closed("rated", 8))


def test_the_same_unit_may_be_named_for_the_second_round() -> None:
    given(CASE, *REOPENED_CASE).when(dispatch()).then(dispatched(n=2))


def test_a_rating_that_was_taken_before_changes_nothing_in_the_second_round() -> None:
    for facts in (CASE_FACTS[:7], CASE_FACTS[:8], CASE_FACTS[:10], CASE_FACTS):
        given(CASE, *facts).when(NOT_SOLVED).then()
        given(CASE, *facts).when(SOLVED).then()


def test_a_case_goes_through_its_states_in_two_rounds() -> None:
    file = File(APPEAL, Code("sanitation"), GRID, RESIDENT, 1)
    due = replace(file, due=DUE)
    first = Assignment(ONE, DRAINS, "lead")
    named = replace(due, assignments=(first,))
    at_work = replace(due, assignments=(replace(first, stand="reported"),))
    done = replace(due, assignments=(replace(first, stand="done"),))
    between = replace(done, wish_version=4, due=LATER)
    second = Assignment(TWO, LIGHTS, "lead")

    def in_round_two(assignment: Assignment) -> File:
        return replace(between, assignments=(*between.assignments, assignment))

    over = in_round_two(replace(second, stand="done"))
    states: list[Case] = [
        Unopened(),
        Opened(file),
        Accepted(due),
        Dispatched(named),
        UnderWay(at_work),
        UnderWay(at_work),
        Resolved(done, Code("resolved"), rating_asked=True),
        Accepted(between),
        Dispatched(in_round_two(second)),
        UnderWay(in_round_two(replace(second, stand="reported"))),
        Resolved(over, Code("resolved"), rating_asked=True),
        Closed(replace(over, wish_version=8)),
    ]
    assert [CASE.fold(CASE_FACTS[:n]) for n in range(len(CASE_FACTS) + 1)] == states


def test_a_unit_that_assists_reports_in_and_tells_but_does_not_resolve() -> None:
    given(CASE, *AT_WORK).when(assist()).then(assisting())
    given(CASE, *WITH_HELP).when(report_progress(LIGHTS)).refused("not-reported-in")
    given(CASE, *WITH_HELP).when(report_in(LIGHTS)).then(reported(LIGHTS, 2))
    both = (*WITH_HELP, reported(LIGHTS, 2))
    given(CASE, *both).when(report_progress(LIGHTS)).then_each_time(progress(LIGHTS, 2))
    given(CASE, *both).when(resolve(LIGHTS)).refused("not-the-lead")
    given(CASE, *both).when(resolve()).then(resolved())


def test_a_unit_that_assists_may_be_the_first_to_report_in() -> None:
    early = (*AT_DISPATCH, assisting(), reported(LIGHTS, 2))
    assert isinstance(CASE.fold(early), Dispatched)
    given(CASE, *early).when(resolve()).refused("not-reported-in")
    assert isinstance(CASE.fold((*early, reported())), UnderWay)


def test_what_the_lead_resolves_is_done_for_all() -> None:
    assert live(*WITH_HELP) == [(DRAINS, "lead"), (LIGHTS, "assist")]
    done = (*WITH_HELP, resolved())
    assert live(*done) == []
    given(CASE, *done).when(report_in(LIGHTS)).then()
    given(CASE, *done).when(report_progress(LIGHTS)).refused("already-resolved")


def test_when_help_is_given_back_the_lead_goes_on() -> None:
    given(CASE, *WITH_HELP).when(give_back(LIGHTS)).then(returned(LIGHTS, 2))
    alone = (*WITH_HELP, returned(LIGHTS, 2))
    assert isinstance(CASE.fold(alone), UnderWay)
    given(CASE, *alone).when(assist()).then(assisting(n=3))


def test_when_the_lead_gives_the_case_back_somebody_else_is_named() -> None:
    given(CASE, *AT_WORK).when(give_back()).then(returned())
    back = (*AT_WORK, returned())
    assert isinstance(CASE.fold(back), Accepted)
    given(CASE, *back).when(give_back()).refused("already-returned")
    given(CASE, *back).when(report_in(LIGHTS)).refused("not-dispatched")
    given(CASE, *back).when(dispatch(LIGHTS)).then(dispatched(LIGHTS, 2))
    given(CASE, *back).when(dispatch()).then(dispatched(n=2))
    given(CASE, *back, dispatched(n=2)).when(report_in()).then(reported(n=2))


def test_a_unit_that_helps_goes_on_when_the_lead_gives_the_case_back_and_may_lead_it() -> None:
    helping = (*WITH_HELP, reported(LIGHTS, 2), returned())
    assert isinstance(CASE.fold(helping), Accepted)
    given(CASE, *helping).when(report_progress(LIGHTS)).then_each_time(progress(LIGHTS, 2))
    given(CASE, *helping).when(resolve(LIGHTS)).refused("not-the-lead")
    given(CASE, *helping).when(dispatch(LIGHTS)).then(dispatched(LIGHTS, 3))
    assert live(*helping, dispatched(LIGHTS, 3)) == [(LIGHTS, "lead")]


def test_a_case_is_redirected_and_its_deadline_stays() -> None:
    given(CASE, *AT_WORK).when(redirect()).then(redirected())
    elsewhere = (*AT_WORK, redirected())
    case = CASE.fold(elsewhere)
    assert isinstance(case, Dispatched)
    assert case.file.due == DUE
    assert live(*elsewhere) == [(LIGHTS, "lead")]
    for command in (report_in(), report_progress(), give_back(), resolve()):
        given(CASE, *elsewhere).when(command).refused("not-the-named-unit")
    given(CASE, *elsewhere).when(report_in(LIGHTS)).then(reported(LIGHTS, 2))


def test_a_unit_that_helped_leads_once_the_case_is_redirected_to_it() -> None:
    given(CASE, *WITH_HELP).when(redirect()).then(redirected(n=3))
    assert live(*WITH_HELP, redirected(n=3)) == [(LIGHTS, "lead")]


def test_a_case_comes_back_to_the_unit_it_was_taken_from() -> None:
    given(CASE, *SCENES["redirected"]).when(redirect(DRAINS)).then(redirected(DRAINS, 3, 2))
    given(CASE, *SCENES["redirected"]).when(assist(DRAINS)).then(assisting(DRAINS, 3))


def test_what_is_to_be_checked_is_checked_before_the_resident_is_asked() -> None:
    given(CASE, *AT_WORK).when(resolve(check=True)).then(to_be_checked())
    given(CASE, *TO_BE_CHECKED).when(VERIFY).then(verified())
    given(CASE, *CHECKED).when(SOLVED).then(closed("rated", 4))
    given(CASE, *CHECKED).when(NOT_SOLVED).then(CaseReopened(by=POLICY, wish_version=4, due=LATER))


def test_what_was_checked_is_closed_where_no_rating_is_asked() -> None:
    at_work = given(CASE, *AT_WORK)
    at_work.when(resolve(rating=False, check=True)).then(to_be_checked(rating_asked=False))
    given(CASE, *AT_WORK, to_be_checked(rating_asked=False)).when(VERIFY).then(
        verified(rating_asked=False), CaseClosed(by=OFFICER, reason=Code("verified"))
    )


def test_whoever_checked_may_say_what_they_saw_once() -> None:
    note = sealed("现场已恢复")
    seen = ResolutionVerified(by=OFFICER, note=note, rating_asked=True)
    given(CASE, *TO_BE_CHECKED).when(Verify(OFFICER, note)).then(seen)
    given(CASE, *CHECKED).when(Verify(OFFICER, note)).refused("already-verified")


def test_rework_goes_back_to_the_unit_that_led_with_a_new_deadline() -> None:
    given(CASE, *TO_BE_CHECKED).when(ORDER_REWORK).then(REWORK)
    again = (*TO_BE_CHECKED, REWORK)
    case = CASE.fold(again)
    assert isinstance(case, UnderWay)
    assert case.file.due == LATER
    assert live(*again) == [(DRAINS, "lead")]
    given(CASE, *again).when(report_in()).then()
    given(CASE, *again).when(resolve(check=True)).then(to_be_checked())
    given(CASE, *again, to_be_checked()).when(ORDER_REWORK).then(REWORK)


def test_rework_is_for_the_lead_and_help_is_named_again() -> None:
    again = (*WITH_HELP, to_be_checked(), REWORK)
    assert live(*again) == [(DRAINS, "lead")]
    given(CASE, *again).when(report_in(LIGHTS)).refused("not-the-named-unit")
    given(CASE, *again).when(assist()).then(assisting(n=3))


def test_rework_is_for_whoever_led_last() -> None:
    helped = (*AT_WORK, redirected(), assisting(DRAINS, 3), reported(LIGHTS, 2))
    assert live(*helped, to_be_checked(LIGHTS, 2), REWORK) == [(LIGHTS, "lead")]


def test_what_was_settled_on_the_spot_and_is_not_done_waits_for_a_unit() -> None:
    spot = (*AT_ACCEPTANCE, on_spot(verification_asked=True))
    given(CASE, *spot).when(ORDER_REWORK).then(REWORK)
    assert isinstance(CASE.fold((*spot, REWORK)), Accepted)
    given(CASE, *spot, REWORK).when(dispatch()).then(dispatched())


@pytest.mark.parametrize(
    ("rating", "check", "closing"),
    [
        (True, False, ()),
        (False, True, ()),
        (True, True, ()),
        (False, False, (CaseClosed(by=POLICY, reason=Code("no-rating-asked")),)),
    ],
    ids=["rating", "check", "both", "neither"],
)
def test_what_was_settled_on_the_spot_is_one_act(rating: bool, check: bool, closing: Facts) -> None:
    settled = replace(SETTLEMENT, rating_asked=rating, verification_asked=check)
    given(CASE).when(replace(OPEN, settled=settled)).then(
        opened(),
        CaseAccepted(by=POLICY, due=DUE),
        on_spot(rating_asked=rating, verification_asked=check),
        *closing,
    )


def test_what_is_done_is_not_settled_on_the_spot_a_second_time() -> None:
    again: Open = replace(OPEN, settled=SETTLEMENT)
    for facts in (AT_OPENING, AT_WORK, SCENES["on-spot"], SCENES["closed"]):
        given(CASE, *facts).when(again).then()


def test_what_was_settled_on_the_spot_is_reopened_as_any_other() -> None:
    spot = SCENES["on-spot"]
    given(CASE, *spot).when(NOT_SOLVED).then(REOPENED)
    given(CASE, *spot, REOPENED).when(dispatch()).then(dispatched())


@pytest.mark.parametrize("scene", sorted(SCENES.keys() - {"unopened", "closed"}))
def test_a_withdrawal_closes_the_case_wherever_it_is_and_clears_every_desk(scene: str) -> None:
    given(CASE, *SCENES[scene]).when(WITHDRAWAL).then(closed("withdrawn", 6))
    case = CASE.fold((*SCENES[scene], closed("withdrawn", 6)))
    assert isinstance(case, Closed)
    assert case.file.wish_version == 6
    assert live(*SCENES[scene], closed("withdrawn", 6)) == []


def test_a_desk_that_is_cleared_is_told_from_one_that_was_done() -> None:
    case = CASE.fold((*WITH_HELP, closed("withdrawn", 6)))
    assert isinstance(case, Closed)
    assert [a.stand for a in case.file.assignments] == ["ended", "ended"]


def settled_elsewhere(*, on_spot: bool = False) -> CaseResolved:
    return CaseResolved(
        by=SETTLED_ELSEWHERE.by,
        outcome=SETTLED_ELSEWHERE.outcome,
        note=SETTLED_ELSEWHERE.note,
        rating_asked=False,
        on_spot=on_spot or None,
        elsewhere=True,
    )


def test_what_was_settled_elsewhere_is_resolved_and_closed_without_ever_being_due() -> None:
    end = (settled_elsewhere(), closed("settled-elsewhere", 6))
    given(CASE, *AT_OPENING).when(SETTLED_OUTSIDE).then(*end)
    case = CASE.fold((*AT_OPENING, *end))
    assert isinstance(case, Closed)
    assert case.file.due is None
    there = replace(SETTLED_OUTSIDE, on_spot=True)
    given(CASE, *AT_OPENING).when(there).then(
        settled_elsewhere(on_spot=True), closed("settled-elsewhere", 6)
    )


@pytest.mark.parametrize("scene", ["accepted", "dispatched", "assisted", "rework", "reopened"])
def test_a_settlement_elsewhere_ends_a_case_at_work_and_clears_every_desk(scene: str) -> None:
    end = (settled_elsewhere(), closed("settled-elsewhere", 6))
    given(CASE, *SCENES[scene]).when(SETTLED_OUTSIDE).then(*end)
    assert live(*SCENES[scene], *end) == []


def test_what_was_settled_elsewhere_is_not_what_a_unit_has_done() -> None:
    end = (settled_elsewhere(), closed("settled-elsewhere", 6))
    for facts in (AT_DISPATCH, AT_WORK, WITH_HELP):
        case = CASE.fold((*facts, *end))
        assert isinstance(case, Closed)
        assert {a.stand for a in case.file.assignments} == {"ended"}
    before = CASE.fold((*WITH_HELP, to_be_checked(), REWORK, *end))
    assert isinstance(before, Closed)
    assert [a.stand for a in before.file.assignments] == ["ended", "done"]


def test_what_was_resolved_here_keeps_its_resolution_when_a_list_says_it_is_settled() -> None:
    given(CASE, *AT_RESOLUTION).when(SETTLED_OUTSIDE).then(closed("settled-elsewhere", 6))


def test_a_withdrawal_that_comes_too_late_changes_nothing() -> None:
    for end in (SCENES["closed"], (*AT_OPENING, DECLINED, closed("declined"))):
        given(CASE, *end).when(WITHDRAWAL).then()


def test_a_partners_report_is_what_the_unit_itself_would_have_said() -> None:
    given(CASE, *AT_DISPATCH).when(take_report()).then_each_time(
        reported().model_copy(update={"by": PARTNER, "request": REQUEST})
    )
    given(CASE, *AT_WORK).when(take_report(note=sealed("在修"))).then_each_time(
        PROGRESS.model_copy(update={"by": PARTNER, "request": REQUEST})
    )
    assert CASE.fold((*AT_DISPATCH, reported())) == CASE.fold(
        (*AT_DISPATCH, reported().model_copy(update={"request": REQUEST}))
    )


def test_a_partner_is_answered_even_where_nothing_changes() -> None:
    noted = ReportNoted(by=PARTNER, unit=DRAINS, request=REQUEST)
    given(CASE, *AT_WORK).when(take_report()).then_each_time(noted)
    assert CASE.fold((*AT_WORK, noted)) == CASE.fold(AT_WORK)


def test_a_partner_is_answered_by_the_code_of_the_rule_that_said_no() -> None:
    refused = ReportRefused(
        by=PARTNER, unit=LIGHTS, code=Code("not-the-named-unit"), request=REQUEST
    )
    given(CASE, *AT_WORK).when(take_report(LIGHTS)).then_each_time(refused)
    assert CASE.fold((*AT_WORK, refused)) == CASE.fold(AT_WORK)


def test_what_arrives_without_the_deadline_it_needs_is_a_bug_and_no_refusal() -> None:
    with pytest.raises(ValueError, match="deadline"):
        CASE.decide(CASE.fold(AT_RESOLUTION), replace(NOT_SOLVED, due=None))
    with pytest.raises(ValueError, match="deadline"):
        CASE.decide(Unopened(), replace(OPEN, settled=replace(SETTLEMENT, due=None)))


def test_a_stream_that_does_not_start_with_its_opening_is_nobodys() -> None:
    with pytest.raises(ValueError, match="never opened"):
        CASE.fold([ACCEPTED])


def test_every_unit_there_was_is_kept_so_that_it_may_look() -> None:
    case = CASE.fold((*AT_WORK, redirected()))
    assert isinstance(case, Dispatched)
    assert case.file.units == {DRAINS, LIGHTS}
    assert case.file.next_assignment == THREE
