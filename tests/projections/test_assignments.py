"""Who has a case on the desk: assignments, and the state that follows from the one who leads."""

from typing import Any

import pytest
from hypothesis import given

from services.dispatch.case import CASE
from services.dispatch.states import (
    Accepted,
    Closed,
    Dispatched,
    Opened,
    OpenedCase,
    Resolved,
    UnderWay,
    Unopened,
)
from services.projections.stories.case import LIVE
from shared.contracts.base import Code, ResidentId, TargetId
from shared.contracts.base import Request as Inbound
from shared.contracts.dispatch import (
    AssignmentReturned,
    CaseClosed,
    CaseDispatched,
    CaseRedirected,
    DispatchFact,
    ReportNoted,
    ReportRefused,
    ResidentContacted,
    ResolutionVerified,
    ReworkOrdered,
)
from shared.contracts.intake import (
    IntakeFact,
    ProgressReportReceived,
    UnitReportReceived,
    WishSupplemented,
    WishWithdrawn,
)
from tests.build import (
    ACCEPTED,
    COMMUNITY,
    CREW,
    DRAINS,
    LATER,
    LIGHTS,
    POLICY,
    PROGRESS,
    RESIDENT,
    RESIDENT_ACTOR,
    STORY,
    WISH_FACTS,
    dispatched,
    invited,
    noted,
    opened,
    rated,
    reported,
    resolved,
    sealed,
    submitted,
    told,
)
from tests.projections.model import History, histories, model_of
from tests.spec import tried

ASSIST = CaseDispatched(
    by=COMMUNITY, unit=LIGHTS, role="assist", assignment=TargetId("assignment-2")
)
REDIRECTED = CaseRedirected(
    by=COMMUNITY,
    unit=LIGHTS,
    assignment=TargetId("assignment-2"),
    instead_of=TargetId("assignment-1"),
    reason=sealed(),
)
RETURNED = AssignmentReturned(by=CREW, unit=DRAINS, to=TargetId("assignment-1"), reason=sealed())
ASSIST_RETURNED = AssignmentReturned(
    by=CREW, unit=LIGHTS, to=TargetId("assignment-2"), reason=sealed()
)
REWORK = ReworkOrdered(by=COMMUNITY, reason=sealed(), due=LATER)
ON_SPOT = resolved().model_copy(update={"unit": None, "to": None, "on_spot": True})
ELSEWHERE = ON_SPOT.model_copy(update={"on_spot": None, "elsewhere": True, "rating_asked": False})
SETTLED = (ELSEWHERE, CaseClosed(by=POLICY, reason=Code("settled-elsewhere"), wish_version=2))
UNDERWAY = (opened(), ACCEPTED, dispatched(), reported())
INBOUND = Inbound.model_validate({"partner": "hotline", "source": "/h", "id": "7"})


def part_after(*facts: DispatchFact) -> dict[str, Any]:
    return model_of(told(facts, "case")).stories[STORY]["parts"]["case"]


def wish_after(*facts: IntakeFact) -> dict[str, Any]:
    return model_of(told(facts, "wish")).stories[STORY]["parts"]["wish"]


def stands(part: dict[str, Any]) -> list[str]:
    return [f"{a['unit']} {a['role']} {a['stand']}" for a in part["assignments"]]


@pytest.mark.parametrize(
    ("facts", "state", "unit", "assignments"),
    [
        ((opened(), ACCEPTED, dispatched()), "dispatched", DRAINS, ["drains lead named"]),
        (UNDERWAY, "underway", DRAINS, ["drains lead reported"]),
        (
            (*UNDERWAY, ASSIST),
            "underway",
            DRAINS,
            ["drains lead reported", "lights assist named"],
        ),
        (
            (opened(), ACCEPTED, dispatched(), ASSIST, reported(LIGHTS, 2)),
            "dispatched",
            DRAINS,
            ["drains lead named", "lights assist reported"],
        ),
        (
            (*UNDERWAY, ASSIST, ASSIST_RETURNED),
            "underway",
            DRAINS,
            ["drains lead reported", "lights assist returned"],
        ),
        (
            (*UNDERWAY, REDIRECTED),
            "dispatched",
            LIGHTS,
            ["drains lead replaced", "lights lead named"],
        ),
        ((*UNDERWAY, RETURNED), "accepted", None, ["drains lead returned"]),
        (
            (*UNDERWAY, RETURNED, dispatched(DRAINS, 2)),
            "dispatched",
            DRAINS,
            ["drains lead returned", "drains lead named"],
        ),
        (
            (*UNDERWAY, ASSIST, resolved()),
            "resolved",
            DRAINS,
            ["drains lead done", "lights assist done"],
        ),
        (
            (*UNDERWAY, ASSIST, resolved(), REWORK),
            "underway",
            DRAINS,
            ["drains lead reported", "lights assist done"],
        ),
        ((opened(), ACCEPTED, ON_SPOT, REWORK), "accepted", None, []),
        (
            (*UNDERWAY, CaseClosed(by=POLICY, reason=Code("withdrawn"), wish_version=2)),
            "closed",
            DRAINS,
            ["drains lead ended"],
        ),
        ((opened(), *SETTLED), "closed", None, []),
        ((opened(), ACCEPTED, dispatched(), *SETTLED), "closed", DRAINS, ["drains lead ended"]),
        (
            (*UNDERWAY, ASSIST, resolved(), REWORK, *SETTLED),
            "closed",
            DRAINS,
            ["drains lead ended", "lights assist done"],
        ),
    ],
)
def test_the_state_follows_the_unit_that_leads(
    facts: tuple[DispatchFact, ...], state: str, unit: str | None, assignments: list[str]
) -> None:
    part = part_after(*facts)
    assert (part["state"], part.get("unit"), stands(part)) == (state, unit, assignments)


def test_every_unit_ever_named_may_see_the_case() -> None:
    assert part_after(*UNDERWAY, REDIRECTED)["units"] == [DRAINS, LIGHTS]
    again = part_after(*UNDERWAY, RETURNED, dispatched(DRAINS, 2))
    assert again["units"] == [DRAINS]


def test_rework_gives_a_new_deadline_and_takes_the_resolution_away() -> None:
    part = part_after(*UNDERWAY, resolved(), REWORK)
    assert part["due"] == LATER
    assert not {"resolved", "outcome", "on_spot", "verified"} & part.keys()


def test_a_verified_resolution_stays_resolved() -> None:
    verified = ResolutionVerified(by=COMMUNITY, rating_asked=True)
    part = part_after(*UNDERWAY, resolved(), verified)
    assert part["state"] == "resolved"
    assert "verified" in part


def test_what_a_partner_reported_moves_a_case_only_once_the_case_has_taken_it() -> None:
    before = part_after(*UNDERWAY)
    noted_, refused = (
        ReportNoted(by=POLICY, unit=DRAINS, request=INBOUND),
        ReportRefused(by=POLICY, unit=DRAINS, code=Code("already-resolved"), request=INBOUND),
    )
    assert part_after(*UNDERWAY, noted_, refused) == before
    taken = PROGRESS.model_copy(update={"request": INBOUND})
    assert part_after(*UNDERWAY, noted_, refused, taken)["moved"] > before["moved"]
    said = wish_after(submitted())
    received: tuple[IntakeFact, ...] = (
        UnitReportReceived(by=POLICY, unit=DRAINS, request=INBOUND),
        ProgressReportReceived(by=POLICY, unit=DRAINS, note=sealed(), request=INBOUND),
    )
    assert wish_after(submitted(), *received) == said


def test_contacts_and_supplements_are_counted() -> None:
    contact = ResidentContacted(by=COMMUNITY, note=sealed())
    assert part_after(*UNDERWAY, contact, contact)["contacts"] == 2
    more = WishSupplemented(by=RESIDENT_ACTOR, words=sealed())
    assert wish_after(submitted(), more, more)["supplements"] == 2


@pytest.mark.parametrize(
    ("facts", "rateable"),
    [
        (WISH_FACTS[:2], True),
        ((submitted(), noted(6, rateable=True), invited(6)), True),
        ((submitted(), noted(6, rateable=True), rated(6, solved=True)), False),
        ((submitted(), noted(6, rateable=True), noted(7)), False),
        ((submitted(), noted(6, rateable=True), noted(7, closed=True)), False),
        ((submitted(), noted(6, rateable=True), WishWithdrawn(by=RESIDENT_ACTOR)), False),
    ],
)
def test_a_rating_is_asked_until_it_is_given_or_no_longer_wanted(
    facts: tuple[IntakeFact, ...], rateable: bool
) -> None:
    assert wish_after(*facts)["rateable"] is rateable


def test_whoever_submitted_for_somebody_else_may_follow_it_too() -> None:
    proxied = submitted().model_copy(update={"proxy": ResidentId("neighbour")})
    row = model_of(told([proxied], "wish")).rows["case_list"][STORY]
    assert row["residents"] == [RESIDENT, "neighbour"]


STATES: dict[type[OpenedCase], str] = {
    Opened: "opened",
    Accepted: "accepted",
    Dispatched: "dispatched",
    UnderWay: "underway",
    Resolved: "resolved",
    Closed: "closed",
}


@tried(200)
@given(histories())
def test_the_read_side_and_the_rules_agree_on_where_a_case_stands(history: History) -> None:
    """Two tellings of the same facts: dispatch's, which decides by it, and the fold's."""
    state = CASE.fold(history.case)
    if isinstance(state, Unopened):
        return
    part = part_after(*history.case)
    assert part["state"] == STATES[type(state)]
    assert part.get("due") == state.file.due
    held: list[tuple[str, ...]] = [(a.id, a.unit, a.role, a.stand) for a in state.file.assignments]
    listed = [(a["assignment"], a["unit"], a["role"], a["stand"]) for a in part["assignments"]]
    if isinstance(state, Closed):  # the rules need not know that nobody has it on the desk
        held = [(*a[:3], "ended" if a[3] in LIVE else a[3]) for a in held]
    assert listed == held
