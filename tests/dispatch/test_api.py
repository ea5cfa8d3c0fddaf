"""What a dispatcher or a unit is answered over HTTP before, between and beside the rules."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.access import Role
from shared.contracts.base import SubjectId
from shared.contracts.dispatch import CaseDeclined, CaseReferred, DispatchFact
from tests.build import (
    ACCEPTED,
    CASE_STREAM,
    HAZARD,
    OTHER_STORY,
    RESIDENT,
    STORY,
    WISH_STREAM,
    dispatched,
    opened,
    reported,
    resolved,
)
from tests.dispatch.office import Office, ask, bearer
from tests.dispatch.scenes import AT_DISPATCH, AT_OPENING, AT_WORK, SCENES, TO_BE_CHECKED, Facts
from tests.samples import redirected, returned

NOTE = {"note": "已电话联系，约定明日上门。"}
REASON = {"reason": "该处由路灯所维护。"}


@dataclass(frozen=True)
class Call:
    """A request that is granted: where the case stands, who asks, what follows."""

    facts: Facts
    body: dict[str, Any]
    follows: tuple[str, ...]
    roles: tuple[Role, ...] = (Role.COMMUNITY, Role.STREET)
    again: str = ""
    """What the same request under another key is refused as; empty where it is already so."""
    needed: tuple[str, ...] = field(default=())


O, U, C, S = Role.OFFICER, Role.UNIT, Role.COMMUNITY, Role.STREET  # noqa: E741
CALLS: dict[str, Call] = {
    "accept": Call(AT_OPENING, {}, ("case-accepted.v1",)),
    "decline": Call(
        AT_OPENING,
        {"rule": "in-court", **REASON},
        ("case-declined.v1", "case-closed.v1"),
        again="already-closed",
        needed=("rule", "reason"),
    ),
    "refer": Call(
        AT_OPENING,
        {"to": "police", **REASON},
        ("case-referred.v1", "case-closed.v1"),
        again="already-closed",
        needed=("to", "reason"),
    ),
    "dispatch": Call(
        (*AT_OPENING, ACCEPTED), {"unit": "drains"}, ("case-dispatched.v1",), needed=("unit",)
    ),
    "redirect": Call(
        AT_DISPATCH,
        {"unit": "lights", **REASON},
        ("case-redirected.v1",),
        again="already-lead",
        needed=("unit", "reason"),
    ),
    "contact": Call(AT_WORK, NOTE, ("resident-contacted.v1",), (O, U, C, S), needed=("note",)),
    "verify": Call(TO_BE_CHECKED, {}, ("resolution-verified.v1",), (O, C, S)),
    "rework": Call(
        TO_BE_CHECKED,
        REASON,
        ("rework-ordered.v1",),
        (O, C, S),
        again="not-resolved",
        needed=("reason",),
    ),
    "report": Call(AT_DISPATCH, {}, ("unit-reported.v1",), (U,)),
    "progress": Call(AT_WORK, NOTE, ("progress-reported.v1",), (U,), needed=("note",)),
    "return": Call(
        AT_WORK,
        REASON,
        ("assignment-returned.v1",),
        (U,),
        again="already-returned",
        needed=("reason",),
    ),
    "resolve": Call(
        AT_WORK,
        {"outcome": "resolved", **NOTE},
        ("case-resolved.v1",),
        (U,),
        again="already-resolved",
        needed=("outcome", "note"),
    ),
}
NEWS = ("contact", "progress")


def test_every_endpoint_is_called() -> None:
    found = {str(path).rpartition("/")[2] for path in Office().app.openapi()["paths"]}
    assert found == CALLS.keys()


@pytest.mark.parametrize(
    ("verb", "role"), [(verb, role) for verb, call in CALLS.items() for role in call.roles]
)
async def test_a_command_is_decided_and_answered_with_its_position(verb: str, role: Role) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    answer = await office.post(verb, bearer(role), json=call.body)
    said = answer.json()
    new = (await office.facts())[len(call.facts) :]
    assert (answer.status_code, said["said"], said["story"]) == (200, "decided", STORY)
    assert said["position"] == f"{CASE_STREAM}@{len(call.facts) + len(new)}"
    assert tuple(fact.type for fact in new) == call.follows
    assert {fact.by for fact in new} == {f"{role}:li"}


@pytest.mark.parametrize("verb", CALLS)
async def test_the_same_key_again_is_the_same_answer_and_another_body_is_refused(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    who = {**bearer(call.roles[0]), "Idempotency-Key": "mine"}
    first = await office.post(verb, who, json=call.body)
    stored = await office.facts()
    again = await office.post(verb, who, json=call.body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = {**call.body, "occurred": "2026-03-02T07:59:00Z"}
    reused = await office.post(verb, who, json=other)
    assert (reused.status_code, reused.json()["code"]) == (422, "key-reused")
    assert await office.facts() == stored


@pytest.mark.parametrize("verb", sorted(CALLS.keys() - set(NEWS)))
async def test_another_key_changes_nothing_and_a_second_text_is_not_lost(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    await office.post(verb, bearer(call.roles[0]), json=call.body)
    stored = await office.facts()
    again = await office.post(verb, bearer(call.roles[0]), json=call.body)
    if call.again:
        assert (again.status_code, again.json()["code"]) == (409, call.again)
    else:
        assert (again.status_code, again.json()["said"]) == (200, "already-so")
    assert await office.facts() == stored


@pytest.mark.parametrize("verb", NEWS)
async def test_what_is_news_each_time_is_kept_each_time(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    for n in (1, 2):
        answer = await office.post(verb, bearer(call.roles[0]), json=call.body)
        assert answer.json()["position"] == f"{CASE_STREAM}@{len(call.facts) + n}"


@pytest.mark.parametrize("verb", [verb for verb, call in CALLS.items() if not call.needed])
async def test_who_has_nothing_to_say_need_not_send_a_body(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    assert (await office.post(verb, bearer(call.roles[0]))).status_code == 200


@pytest.mark.parametrize(
    ("verb", "needed"), [(verb, name) for verb, call in CALLS.items() for name in call.needed]
)
async def test_what_a_command_needs_is_named_when_it_is_missing(verb: str, needed: str) -> None:
    call = CALLS[verb]
    body = {name: value for name, value in call.body.items() if name != needed}
    answer = await ask(*call.facts, verb=verb, role=call.roles[0], body=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (
        422,
        "invalid-request",
        needed,
    )


@pytest.mark.parametrize(
    ("verb", "field", "code"),
    [
        ("decline", "rule", "unknown-rule"),
        ("refer", "to", "unknown-owner"),
        ("dispatch", "unit", "unknown-unit"),
        ("redirect", "unit", "unknown-unit"),
        ("resolve", "outcome", "unknown-outcome"),
    ],
)
async def test_what_the_town_does_not_know_is_refused_by_name(
    verb: str, field: str, code: str
) -> None:
    call = CALLS[verb]
    body = {**call.body, field: "nowhere"}
    answer = await ask(*call.facts, verb=verb, role=call.roles[0], body=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, code, field)


async def test_texts_are_sealed_for_the_resident_whose_case_it_is() -> None:
    office = Office()
    await office.tell(*AT_OPENING)
    await office.post("decline", bearer(), json=CALLS["decline"].body)
    declined = (await office.facts())[1]
    assert isinstance(declined, CaseDeclined)
    sealer = await office.keys.sealer(declined.reason.subject)
    assert declined.reason.subject == SubjectId(RESIDENT)
    assert sealer.open(STORY, "reason", declined.reason) == REASON["reason"]


async def test_a_case_of_nobody_is_sealed_under_its_own_key() -> None:
    office = Office()
    office.keys.make(STORY)
    await office.tell(opened().model_copy(update={"resident": None}))
    assert (await office.post("refer", bearer(), json=CALLS["refer"].body)).is_success
    referred = (await office.facts())[1]
    assert isinstance(referred, CaseReferred)
    assert referred.reason.subject == SubjectId(STORY)


@pytest.mark.parametrize(
    ("fact", "asked"),
    [
        (opened(), {"rating_asked": True, "verification_asked": None}),
        (opened(HAZARD), {"rating_asked": False, "verification_asked": True}),
        (
            opened().model_copy(update={"resident": None}),
            {"rating_asked": False, "verification_asked": None},
        ),
    ],
    ids=["rated", "checked", "nobodys"],
)
async def test_what_is_asked_after_a_resolution_is_the_profiles_word_for_the_kind(
    fact: DispatchFact, asked: dict[str, Any]
) -> None:
    office = Office()
    office.keys.make(STORY)
    await office.tell(fact, ACCEPTED, dispatched(), reported())
    assert (await office.post("resolve", bearer(U), json=CALLS["resolve"].body)).is_success
    found = (await office.facts())[4].model_dump()
    assert {name: found[name] for name in asked} == asked
    closed = [each.type for each in (await office.facts())[5:]]
    assert closed == ([] if any(asked.values()) else ["case-closed.v1"])


async def test_a_case_nobody_ever_opened_is_hidden_and_one_that_is_awaited_is_not_yet() -> None:
    answer = await ask()
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-story")
    for awaited in (f"{WISH_STREAM}@1", f"{CASE_STREAM}@1"):
        answer = await ask(at_least=awaited)
        assert (answer.status_code, answer.json()["code"]) == (503, "not-yet")
        assert answer.headers["retry-after"] == "1"


async def test_a_refusal_for_now_gives_the_key_to_ask_again_with() -> None:
    mine = await ask(at_least=f"{WISH_STREAM}@1", idempotency_key="mine")
    assert mine.headers["idempotency-key"] == "mine"
    made = await ask(at_least=f"{WISH_STREAM}@1")
    assert len(made.headers["idempotency-key"]) == 32


async def test_what_does_not_arrive_is_not_yet_and_a_parked_story_says_so() -> None:
    late = await ask(opened(), at_least=f"{WISH_STREAM}@9")
    assert (late.status_code, late.json()["code"]) == (503, "not-yet")
    standing = await ask(opened(), at_least=f"{WISH_STREAM}@9", parked=True)
    assert (standing.status_code, standing.json()["code"]) == (503, "parked")


@pytest.mark.parametrize("position", [f"wish-{OTHER_STORY}@1", "wish", f"{WISH_STREAM}@0", "$gt"])
async def test_a_position_of_another_story_or_of_none_is_refused(position: str) -> None:
    answer = await ask(opened(), at_least=position)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (
        422,
        "bad-position",
        "at_least",
    )


async def test_a_case_that_is_not_theirs_is_told_apart_from_none_by_nobody() -> None:
    far = f"{WISH_STREAM}@1"
    for position in (None, far):
        theirs, none = [
            await ask(*facts, verb="report", role=Role.UNIT, at_least=position)
            for facts in ((opened(),), ())
        ]
        told = (404, "unknown-story") if position is None else (503, "not-yet")
        assert (theirs.status_code, theirs.json()["code"]) == told
        assert (none.status_code, none.json()) == (theirs.status_code, theirs.json())


@pytest.mark.parametrize(("seen", "status"), [("1", 409), ('"2"', 200)])
async def test_a_command_on_a_case_that_has_moved_on_is_a_conflict(seen: str, status: int) -> None:
    body = {"unit": "drains"}
    answer = await ask(opened(), ACCEPTED, verb="dispatch", body=body, if_match=seen)
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["code"] == "conflict"


async def test_asking_for_what_already_is_so_answers_with_where_it_stands() -> None:
    body = {"unit": "drains"}
    answer = await ask(opened(), ACCEPTED, dispatched(), verb="dispatch", body=body)
    said = answer.json()
    assert (answer.status_code, said["said"]) == (200, "already-so")
    assert said["position"] == f"{CASE_STREAM}@3"


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize(
    ("occurred", "code"),
    [
        ("2026-03-02T08:00:01Z", "occurred-ahead"),
        ("2026-02-20T08:00:00Z", "occurred-too-far-back"),
        ("2026-03-02T07:00:00", "invalid-request"),
        ("0001-01-01T00:00:00+23:59", "invalid-request"),
        ("9999-12-31T23:59:59-23:59", "invalid-request"),
    ],
)
async def test_what_is_said_to_have_occurred_lies_between_now_and_what_the_role_may_claim(
    verb: str, occurred: str, code: str
) -> None:
    call = CALLS[verb]
    body = {**call.body, "occurred": occurred}
    answer = await ask(*call.facts, verb=verb, role=call.roles[0], body=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, code, "occurred")


@pytest.mark.parametrize(
    ("areas", "status"),
    [(["t3"], 200), (["t3/west"], 200), (["t3/west/g4"], 200), (["t3/west/g5"], 404), ([], 404)],
)
async def test_a_desk_acts_on_its_own_areas_alone(areas: list[str], status: int) -> None:
    assert (await ask(opened(), areas=areas)).status_code == status


@pytest.mark.parametrize("verb", CALLS)
async def test_a_case_of_another_area_or_town_is_not_there_for_anybody(verb: str) -> None:
    call = CALLS[verb]
    for role in call.roles:
        for elsewhere in (
            {"areas": ["t3/east"], "unit": "lights"},
            {"town": "t9", "areas": ["t9"], "unit": "drains"},
        ):
            office = Office()
            await office.tell(*call.facts)
            answer = await office.post(verb, bearer(role, **elsewhere), json=call.body)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown-story")
            assert len(await office.facts()) == len(call.facts)


@pytest.mark.parametrize(("unit", "status"), [("drains", 200), ("lights", 404)])
async def test_a_unit_acts_on_cases_it_was_named_for_alone(unit: str, status: int) -> None:
    facts = (opened(), ACCEPTED, dispatched())
    answer = await ask(*facts, verb="report", role=Role.UNIT, unit=unit)
    assert answer.status_code == status


async def test_a_unit_that_had_the_case_is_told_why_it_may_not_act_any_more() -> None:
    for facts, code in (
        ((*AT_WORK, redirected()), "not-the-named-unit"),
        ((*AT_WORK, returned()), "already-returned"),
    ):
        answer = await ask(*facts, verb="report", role=U)
        assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_a_unit_whose_token_names_none_sees_no_case() -> None:
    office = Office()
    await office.tell(*AT_DISPATCH)
    answer = await office.post("report", bearer(U, without="unit"))
    assert answer.status_code == 404


async def test_a_unit_that_helps_is_told_that_it_does_not_resolve() -> None:
    facts = SCENES["assisted"]
    body = CALLS["resolve"].body
    answer = await ask(*facts, verb="resolve", role=U, unit="lights", body=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "not-the-lead")


async def test_a_unit_is_named_to_assist() -> None:
    office = Office()
    await office.tell(*AT_WORK)
    body = {"unit": "lights", "role": "assist"}
    assert (await office.post("dispatch", bearer(), json=body)).is_success
    assert (await office.facts())[-1].model_dump()["role"] == "assist"
    body["role"] = "watch"
    answer = await office.post("dispatch", bearer(), json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "role")


async def test_the_case_of_an_erased_resident_goes_on_but_takes_no_texts() -> None:
    for verb, call in CALLS.items():
        answer = await ask(*call.facts, verb=verb, role=call.roles[0], body=call.body, erased=True)
        if {"note", "reason"} & call.body.keys():
            assert (answer.status_code, answer.json()["code"]) == (409, "erased")
        else:
            assert answer.is_success


async def test_a_resolution_is_rated_by_nobody_of_the_town() -> None:
    """Nothing here rates: the resident does, at intake."""
    office = Office()
    await office.tell(*AT_WORK, resolved())
    assert (await office.post("rate", bearer(), json={"resolved": True})).status_code == 404
