"""What a dispatcher is answered over HTTP before, between and beside the rules."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response

from services.dispatch.api import CaseDesk, Cases, routes
from services.dispatch.case import CASE
from shared.access import Role
from shared.contracts.base import CommandId, SubjectId
from shared.contracts.registry import AnyFact
from shared.store import Cause, History, MemoryStore
from shared.waiting import Position
from shared.web import create_app
from tests.build import (
    ACCEPTED,
    CASE_STREAM,
    NOW,
    OTHER_STORY,
    RESIDENT,
    STORY,
    WISH_STREAM,
    HandClock,
    IdentityProvider,
    KeyRing,
    dispatched,
    opened,
    reported,
    some_towns,
)

IDENTITY = IdentityProvider()


class Arrivals:
    """Nothing of the wish ever arrives; perhaps because the story is parked."""

    def __init__(self, *, parked: bool) -> None:
        self._parked = parked

    async def arrived(self, position: Position) -> bool:
        return position.kind == "case"

    async def parked(self, story: object) -> bool:
        return self._parked


async def ask(
    *facts: AnyFact,
    verb: str = "accept",
    role: Role = Role.COMMUNITY,
    unit: str = "drains",
    body: dict[str, Any] | None = None,
    parked: bool = False,
    erased: bool = False,
    areas: Sequence[str] = ("t3/west",),
    at_least: str | None = None,
    **headers: str,
) -> Response:
    """The answer to a command on a case with these facts."""
    town = some_towns()["t3"]  # type: ignore[index]  # TownId is a str
    store, keys = MemoryStore(), KeyRing()
    if not erased:
        keys.make(SubjectId(RESIDENT))
    if facts:
        await store.append(
            History(CASE_STREAM).next(
                facts,
                cause=Cause(CommandId("c"), "correlation"),
                town=town.id,
                profile=town.profiles[0].version,
                occurred=NOW,
                recorded=NOW,
            )
        )
    cases: Cases = Cases(CASE, store, HandClock(), keys)
    desk = CaseDesk(cases, keys, some_towns(), Arrivals(parked=parked), 0.1)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    token = IDENTITY.token(role.value, areas=list(areas), unit=unit)
    app = create_app(
        "dispatch", routes(desk), IDENTITY.doorkeeper(), ready, some_towns().examples(), lifespan
    )
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://town") as client:
        return await client.post(
            f"/v1/cases/{STORY}/{verb}",
            json=body or {},
            params={} if at_least is None else {"at_least": at_least},
            headers={
                "Authorization": f"Bearer {token}",
                **{k.replace("_", "-"): v for k, v in headers.items()},
            },
        )


async def test_before_the_wish_has_arrived_every_command_is_not_yet() -> None:
    answer = await ask()
    assert (answer.status_code, answer.json()["code"]) == (503, "not-yet")
    assert answer.headers["retry-after"] == "1"


async def test_a_refusal_for_now_gives_the_key_to_ask_again_with() -> None:
    assert (await ask(idempotency_key="mine")).headers["idempotency-key"] == "mine"
    made = await ask()
    assert len(made.headers["idempotency-key"]) == 32


async def test_what_does_not_arrive_is_not_yet_and_a_parked_story_says_so() -> None:
    late = await ask(opened(), at_least=f"{WISH_STREAM}@9")
    assert (late.status_code, late.json()["code"]) == (503, "not-yet")
    standing = await ask(opened(), at_least=f"{WISH_STREAM}@9", parked=True)
    assert (standing.status_code, standing.json()["code"]) == (503, "parked")


async def test_a_position_of_another_story_is_refused() -> None:
    answer = await ask(opened(), at_least=f"wish-{OTHER_STORY}@1")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-position")


async def test_who_may_not_see_the_case_is_told_so_before_any_waiting() -> None:
    far = f"{WISH_STREAM}@9"
    answer = await ask(opened(), verb="report", role=Role.UNIT, at_least=far)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-story")


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


@pytest.mark.parametrize(
    ("occurred", "code"),
    [
        ("2026-03-02T08:00:01Z", "occurred-ahead"),
        ("2026-02-20T08:00:00Z", "occurred-too-far-back"),
        ("0001-01-01T00:00:00+23:59", "invalid-request"),
        ("9999-12-31T23:59:59-23:59", "invalid-request"),
    ],
)
async def test_what_is_said_to_have_occurred_lies_between_now_and_what_the_role_may_claim(
    occurred: str, code: str
) -> None:
    answer = await ask(opened(), body={"occurred": occurred})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, code, "occurred")


@pytest.mark.parametrize(
    ("areas", "status"),
    [(["t3"], 200), (["t3/west"], 200), (["t3/west/g4"], 200), (["t3/west/g5"], 404), ([], 404)],
)
async def test_a_desk_acts_on_its_own_areas_alone(areas: list[str], status: int) -> None:
    assert (await ask(opened(), areas=areas)).status_code == status


@pytest.mark.parametrize(("unit", "status"), [("drains", 200), ("lights", 404)])
async def test_a_unit_acts_on_cases_it_was_named_for_alone(unit: str, status: int) -> None:
    facts = (opened(), ACCEPTED, dispatched())
    answer = await ask(*facts, verb="report", role=Role.UNIT, unit=unit)
    assert answer.status_code == status


async def test_the_case_of_an_erased_resident_goes_on_but_takes_no_texts() -> None:
    body = {"unit": "drains"}
    assert (await ask(opened(), ACCEPTED, verb="dispatch", body=body, erased=True)).is_success
    facts = (opened(), ACCEPTED, dispatched(), reported())
    body = {"note": "在修"}
    answer = await ask(*facts, verb="progress", role=Role.UNIT, body=body, erased=True)
    assert (answer.status_code, answer.json()["code"]) == (409, "erased")
