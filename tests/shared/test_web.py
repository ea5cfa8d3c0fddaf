"""The HTTP edge: nobody slips in, every answer can be traced, every problem has a code."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from httpx import ASGITransport, AsyncClient, Response
from pydantic import BaseModel, ConfigDict
from pymongo.errors import AutoReconnect

from shared.access import Principal, Role
from shared.commands import Asked, asked
from shared.errors import (
    Conflict,
    KeyMissing,
    NotReady,
    NotYet,
    OutcomeUnknown,
    Overloaded,
    Refused,
    TooLarge,
)
from shared.problems import Hidden
from shared.web import Allow, create_app
from tests.build import IdentityProvider

IDENTITY = IdentityProvider()
CORRELATION = "x-correlation-id"
OFFICERS = Annotated[Principal, Depends(Allow(Role.OFFICER))]
SECRET = "what a resident wrote"
NOBODY = "unauthenticated"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stars: int


def endpoints(failure: Exception | None = None) -> APIRouter:
    router = APIRouter()

    @router.get("/whoami")
    async def whoami(who: OFFICERS) -> str:
        return who.id

    @router.post("/rate")
    async def rate(body: Body, who: OFFICERS) -> int:
        return body.stars

    @router.post("/command")
    async def command(ask: Annotated[Asked, asked("command", Role.OFFICER)]) -> str:
        if failure is not None:
            raise failure
        return ask.command_id

    return router


def app_of(routes: APIRouter, ready: dict[str, bool] | None = None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def checks() -> dict[str, bool]:
        return ready or {}

    return create_app("of the test", routes, IDENTITY.doorkeeper(), checks, {}, lifespan)


def client_of(app: FastAPI) -> AsyncClient:
    transport = ASGITransport(app, raise_app_exceptions=False)
    return AsyncClient(
        transport=transport, base_url="http://town", headers=IDENTITY.bearer(Role.OFFICER)
    )


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with client_of(app_of(endpoints())) as client:
        yield client


def check_problem(answer: Response, status: int, code: str, field: str | None = None) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"} | (
        {"field"} if field else set()
    )
    assert problem["type"] == f"urn:wishgrid:problem:{code}"
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem.get("field") == field
    assert len(answer.headers[CORRELATION]) >= 8


async def test_an_endpoint_that_says_not_who_may_call_it_is_refused_at_creation() -> None:
    routes = endpoints()

    @routes.get("/open-door")
    async def open_door() -> None:
        """Anybody could come in."""

    with pytest.raises(ValueError, match="no policy says who may call /open-door"):
        app_of(routes)


async def test_a_door_within_a_door_is_looked_at_too() -> None:
    outer, inner = endpoints(), APIRouter(prefix="/inner")

    @inner.get("/open-door")
    async def open_door() -> None:
        """Anybody could come in."""

    outer.include_router(inner)
    with pytest.raises(ValueError, match="no policy says who may call /inner/open-door"):
        app_of(outer)


@pytest.mark.parametrize("add", ["add_route", "add_websocket_route", "mount"])
async def test_whatever_else_answers_needs_a_policy_too(add: str) -> None:
    routes = endpoints()
    getattr(routes, add)("/side-door", Response)
    with pytest.raises(ValueError, match="no policy says who may call /side-door"):
        app_of(routes)


async def test_a_policy_for_a_whole_router_is_a_policy() -> None:
    routes = APIRouter(dependencies=[Depends(Allow(Role.OFFICER))])

    @routes.get("/inside")
    async def inside() -> str:
        return "in"

    async with client_of(app_of(routes)) as client:
        assert (await client.get("/inside")).json() == "in"
        check_problem(await client.get("/inside", headers={"Authorization": ""}), 401, NOBODY)


async def test_a_policy_that_lets_nobody_in_is_no_policy() -> None:
    routes = APIRouter()

    @routes.get("/for-nobody")
    async def for_nobody(_: Annotated[Principal, Depends(Allow())]) -> None:
        """No role is named."""

    with pytest.raises(ValueError, match="/for-nobody"):
        app_of(routes)


async def test_who_is_allowed_gets_an_answer(client: AsyncClient) -> None:
    answer = await client.get("/whoami")
    assert (answer.status_code, answer.json()) == (200, "officer:li")


async def test_a_correlation_id_is_echoed(client: AsyncClient) -> None:
    answer = await client.get("/whoami", headers={CORRELATION: "0af7651916cd43dd8448eb211c80319c"})
    assert answer.headers.get_list(CORRELATION) == ["0af7651916cd43dd8448eb211c80319c"]


@pytest.mark.parametrize(
    "bad", ["short", "x" * 65, "13912345678", "with space", "línea-larga", '{"$gt": ""}']
)
async def test_a_correlation_id_that_is_none_is_replaced(client: AsyncClient, bad: str) -> None:
    answer = await client.get("/whoami", headers={CORRELATION.encode(): bad.encode("latin-1")})
    assert bad not in answer.headers[CORRELATION]
    assert len(answer.headers[CORRELATION]) == 32


async def test_each_request_without_a_correlation_id_gets_its_own(client: AsyncClient) -> None:
    seen = {(await client.get("/whoami")).headers[CORRELATION] for _ in range(3)}
    assert len(seen) == 3


async def test_nobody_is_asked_to_say_who_they_are(client: AsyncClient) -> None:
    answer = await client.get("/whoami", headers={"Authorization": ""})
    check_problem(answer, 401, NOBODY)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_another_role_is_forbidden(client: AsyncClient) -> None:
    answer = await client.get("/whoami", headers=dict(IDENTITY.bearer(Role.UNIT)))
    check_problem(answer, 403, "forbidden")


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "stars"), ({"stars": SECRET}, "stars"), ({"stars": 1, "more": 2}, "more"), ([], "body")],
)
async def test_a_body_that_does_not_fit_names_the_field_and_repeats_no_input(
    client: AsyncClient, body: object, field: str
) -> None:
    answer = await client.post("/rate", json=body)
    check_problem(answer, 422, "invalid-request", field)
    assert SECRET not in answer.text


async def test_a_body_that_is_not_json_cannot_be_read(client: AsyncClient) -> None:
    for content in (b"{", b'{"stars": 1', b"\xff"):
        answer = await client.post(
            "/rate", content=content, headers={"content-type": "application/json"}
        )
        check_problem(answer, 400, "unreadable-body")


async def test_a_path_or_method_that_is_not_there_is_a_problem_too(client: AsyncClient) -> None:
    check_problem(await client.get("/nowhere"), 404, "no-such-path")
    check_problem(await client.delete("/whoami"), 405, "no-such-method")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Refused("already-closed", "the case is closed"), 409, "already-closed"),
        (Hidden(), 404, "unknown-story"),
        (Conflict("case-1"), 409, "conflict"),
        (TooLarge(), 413, "too-large"),
        (KeyMissing(SECRET), 409, "erased"),
        (Overloaded(), 503, "overloaded"),
        (OutcomeUnknown(), 503, "outcome-unknown"),
        (NotReady(), 503, "not-ready"),
        (AutoReconnect(SECRET), 503, "store-away"),
        (NotYet("case-1@2"), 503, "not-yet"),
        (NotYet("case-1@2", parked=True), 503, "parked"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_each_way_a_command_can_end_has_its_code_and_repeats_the_key(
    failure: Exception, status: int, code: str
) -> None:
    async with client_of(app_of(endpoints(failure))) as client:
        answer = await client.post("/command", headers={"Idempotency-Key": "k-1"})
    check_problem(answer, status, code)
    assert answer.headers["idempotency-key"] == "k-1"
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
    assert SECRET not in answer.text


async def test_a_refusal_about_a_field_is_about_the_input() -> None:
    refusal = Refused("unknown-area", "t3 has no area 't3/east'", field="area")
    async with client_of(app_of(endpoints(refusal))) as client:
        answer = await client.post("/command")
    check_problem(answer, 422, "unknown-area", "area")
    assert answer.json()["detail"] == "t3 has no area 't3/east'"


@pytest.mark.parametrize("bug", [RuntimeError, KeyError, ValueError])
async def test_a_bug_is_told_without_its_details_and_can_be_traced(
    bug: Callable[[str], Exception],
) -> None:
    async with client_of(app_of(endpoints(bug(SECRET)))) as client:
        headers = {"Idempotency-Key": "k-1", CORRELATION: "0af76519-16cd-43dd-8448-eb211c80319c"}
        answer = await client.post("/command", headers=headers)
    check_problem(answer, 500, "our-mistake")
    assert SECRET not in answer.text
    assert answer.headers["idempotency-key"] == "k-1"
    assert answer.headers[CORRELATION] == "0af76519-16cd-43dd-8448-eb211c80319c"


async def test_a_command_id_follows_from_who_asks_what_under_which_key(client: AsyncClient) -> None:
    async def ask(key: str, **claims: Any) -> str:
        token = IDENTITY.token(**claims)
        headers = {"Idempotency-Key": key, "Authorization": f"Bearer {token}"}
        return str((await client.post("/command", headers=headers)).json())

    first = await ask("k-1")
    assert first == await ask("k-1")
    others = {await ask("k-2"), await ask("k-1", sub="zhao"), await ask("k-1", town="t9", areas=[])}
    assert len({first, *others}) == 4


async def test_a_key_that_was_not_sent_is_made_and_returned(client: AsyncClient) -> None:
    one, other = await client.post("/command"), await client.post("/command")
    assert one.headers["idempotency-key"] != other.headers["idempotency-key"]
    again = await client.post(
        "/command", headers={"Idempotency-Key": one.headers["idempotency-key"]}
    )
    assert again.json() == one.json()


@pytest.mark.parametrize(
    ("header", "value"),
    [("Idempotency-Key", "x" * 201), ("Idempotency-Key", "a b"), ("If-Match", "*")],
)
async def test_a_header_that_does_not_fit_is_named(
    client: AsyncClient, header: str, value: str
) -> None:
    answer = await client.post("/command", headers={header: value})
    check_problem(answer, 422, "invalid-request", header.lower())


@pytest.mark.parametrize(
    ("checks", "status"),
    [({"mongo": True, "reactions": True}, 200), ({"mongo": True, "reactions": False}, 503)],
)
async def test_a_service_says_what_it_still_lacks(checks: dict[str, bool], status: int) -> None:
    async with client_of(app_of(endpoints(), checks)) as client:
        answer = await client.get("/readyz", headers={"Authorization": ""})
        alive = await client.get("/livez", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()["checks"]) == (status, checks)
    assert alive.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_before_anybody_is_asked_for(
    client: AsyncClient, chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1024

    body = pieces() if chunked else b"x" * (300 * 1024)
    answer = await client.post("/whoami", content=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert len(answer.headers[CORRELATION]) == 32


async def test_a_wrong_method_is_told_the_right_ones(client: AsyncClient) -> None:
    answer = await client.delete("/whoami")
    assert (answer.status_code, answer.json()["code"]) == (405, "no-such-method")
    assert answer.headers["allow"] == "GET"


async def test_half_a_request_asks_for_nothing() -> None:
    asked_for: list[str] = []
    router = APIRouter()

    @router.post("/withdraw")
    async def withdraw(who: OFFICERS) -> None:
        asked_for.append(who.id)

    app = app_of(router)
    coming = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Any:
        return next(coming, {"type": "http.disconnect"})

    async def send(_: Any) -> None:
        asked_for.append("an answer to nobody")

    bearer = IDENTITY.bearer(Role.OFFICER)
    headers = [(name.lower().encode(), value.encode()) for name, value in bearer.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/withdraw",
        "raw_path": b"/withdraw",
        "query_string": b"",
        "headers": headers,
        "http_version": "1.1",
        "scheme": "http",
        "server": ("here", 80),
        "client": ("there", 1),
        "root_path": "",
    }
    await app(scope, receive, send)
    assert asked_for == []


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"arae": "t3"}, "unknown-parameter", "arae"),
        ({"at_least[$gt]": ""}, "unknown-parameter", "at_least[$gt]"),
        ([("at_least", "a"), ("at_least", "b")], "repeated-parameter", "at_least"),
    ],
)
async def test_a_misspelt_or_repeated_parameter_is_refused(
    client: AsyncClient, query: Any, code: str, field: str
) -> None:
    answer = await client.post("/command", params=query)
    check_problem(answer, 422, code, field)


async def test_a_slash_too_many_is_no_way_to_anywhere(client: AsyncClient) -> None:
    answer = await client.get("/whoami/")
    check_problem(answer, 404, "no-such-path")


async def test_a_body_that_does_not_say_it_is_json_does_not_fit(client: AsyncClient) -> None:
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x"):
        answer = await client.post("/rate", content=b'{"stars": 1}', headers={"content-type": kind})
        check_problem(answer, 422, "invalid-request", "body")
    check_problem(await client.post("/rate", content=b""), 422, "invalid-request", "body")


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "TRACE", "PROPFIND"])
async def test_any_other_method_is_a_problem_and_no_other_origin_is_let_in(
    client: AsyncClient, method: str
) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    answer = await client.request(method, "/whoami", headers=headers)
    check_problem(answer, 405, "no-such-method")
    assert answer.headers["allow"] == "GET"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    answer = await client.request(method, "/nowhere", headers=headers)
    check_problem(answer, 404, "no-such-path")


async def test_the_head_of_an_answer_alone_is_not_given(client: AsyncClient) -> None:
    answer = await client.head("/whoami")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_path_or_query_of_any_length_or_bytes_ends_in_a_problem(
    client: AsyncClient,
) -> None:
    check_problem(await client.get("/" + "x" * 20_000), 404, "no-such-path")
    check_problem(await client.get("/%00%ff/%2e%2e/whoami"), 404, "no-such-path")
    field = "x" * 60
    long = await client.get("/whoami", params={"x" * 20_000: "y"})
    check_problem(long, 422, "unknown-parameter", field)
