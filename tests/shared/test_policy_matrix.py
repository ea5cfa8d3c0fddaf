"""Who may call what: each role at each endpoint of each service, also of those to come."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import RouteContext, iter_route_contexts
from httpx import ASGITransport, AsyncClient, Response

from services.dispatch import api as dispatch
from services.dispatch import unit_api as units
from services.intake import api as intake
from services.intake import imports
from services.projections import api as projections
from services.projections.board.board import board_routes
from services.projections.board.site import site
from shared.access import Role
from shared.web import api_routes, create_app, is_for_anybody, roles_of
from tests.build import STORY, IdentityProvider, some_towns

IDENTITY = IdentityProvider()
GOLDEN = Path(__file__).with_name("golden") / "operations.json"


def absent() -> Any:
    """What an endpoint may not touch before it knows who asks."""
    return None


def both(*routers: APIRouter) -> APIRouter:
    """The endpoints of a service that has them in several places."""
    whole = APIRouter()
    for router in routers:
        whole.include_router(router)
    return whole


ROUTES: dict[str, Callable[[], APIRouter]] = {
    "intake": lambda: both(intake.routes(absent()), imports.import_routes(absent())),
    "dispatch": lambda: both(dispatch.routes(absent()), units.unit_routes(absent())),
    "projections": lambda: both(
        projections.routes(absent(), absent()), board_routes(site(absent()))
    ),
}

R, O, U, C, S, V, Y = Role  # noqa: E741  # resident, officer, unit, …, in their order
MAY: dict[str, set[Role]] = {
    "submit": {R, O, C, S, Y},
    "supplement": {R, O, C, S},
    "withdraw": {R, O, C, S},
    "rate": {R},
    "import_matter": {C, S, Y},
    "accept": {C, S},
    "decline": {C, S},
    "refer": {C, S},
    "dispatch": {C, S},
    "redirect": {C, S},
    "contact": {O, U, C, S},
    "verify": {O, C, S},
    "rework": {O, C, S},
    "report": {U},
    "progress": {U},
    "return": {U},
    "resolve": {U},
    "list_cases": set(Role),
    "read_case": set(Role),
    "read_timeline": set(Role),
    "read_desk": {U, C, S},
    "read_my_wishes": {R},
    "read_report": {O, C, S, V, Y},
    "read_overview": {O, C, S, V, Y},
    "read_town": set(Role),
    "page_home": {R, O, U, C, S, V},
    "page_overview": {O, C, S, V},
    "page_cases": {R, O, U, C, S, V},
    "page_case": {R, O, U, C, S, V},
    "page_desk": {U, C, S},
    "follow_changes": set(Role),
}
"""The policy of the house, written a second time: letting somebody else in changes this table."""
FOR_ANYBODY = {"page_sign_in", "sign_in", "sign_out", "page_asset"}
"""How one is let in, and what its page looks like."""


def app_of(service: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    return create_app(
        service, ROUTES[service](), IDENTITY.doorkeeper(), ready, some_towns().examples(), lifespan
    )


APPS = {service: app_of(service) for service in ROUTES}
ENDPOINTS = [
    pytest.param(app, route, method, id=f"{service}-{route.operation_id}")
    for service, app in APPS.items()
    for route in api_routes(app)
    if not is_for_anybody(route)
    for method in sorted(route.methods or ())
]


async def ask(app: FastAPI, route: RouteContext, method: str, headers: dict[str, str]) -> Response:
    path = str(route.path).replace("{story}", STORY)
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://town") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(("app", "route", "method"), ENDPOINTS)
async def test_a_role_that_is_not_allowed_is_forbidden_whatever_it_sends(
    app: FastAPI, route: RouteContext, method: str
) -> None:
    for role in set(Role) - roles_of(route):
        answer = await ask(app, route, method, dict(IDENTITY.bearer(role)))
        assert (role, answer.status_code) == (role, 403)
        assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize(("app", "route", "method"), ENDPOINTS)
async def test_a_role_that_is_allowed_is_not_turned_away_at_the_door(
    app: FastAPI, route: RouteContext, method: str
) -> None:
    for role in roles_of(route):
        answer = await ask(app, route, method, dict(IDENTITY.bearer(role)))
        assert answer.status_code not in (401, 403, 404, 405)


@pytest.mark.parametrize(("app", "route", "method"), ENDPOINTS)
async def test_without_credentials_nobody_gets_an_answer(
    app: FastAPI, route: RouteContext, method: str
) -> None:
    for headers in ({}, {"Authorization": "Bearer x"}, {"X-API-Key": "x"}):
        answer = await ask(app, route, method, headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_the_policy_is_the_one_that_was_agreed() -> None:
    found = {
        route.operation_id: set(roles_of(route))
        for app in APPS.values()
        for route in api_routes(app)
        if not is_for_anybody(route)
    }
    assert found == MAY
    for_anybody = [r for app in APPS.values() for r in api_routes(app) if is_for_anybody(r)]
    assert {route.operation_id for route in for_anybody} == FOR_ANYBODY
    assert all(not roles_of(route) for route in for_anybody)


def test_no_operation_was_renamed_or_taken_away() -> None:
    """Clients are made of these names: one that is released stays. A new one is added here."""
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = {
        service: sorted(
            str(route.operation_id) for route in api_routes(app) if route.include_in_schema
        )
        for service, app in APPS.items()
    }
    assert found == kept


async def test_only_health_numbers_and_the_description_of_the_api_need_no_credentials() -> None:
    for app in APPS.values():
        transport = ASGITransport(app)
        async with AsyncClient(transport=transport, base_url="http://town") as client:
            described = (await client.get("/openapi.json")).json()["paths"]
        asked = {route.path: route for route in api_routes(app)}
        pages = {path for path in asked if str(path).startswith("/board")}
        assert described.keys() == asked.keys() - pages
        open_doors = {route.path for route in iter_route_contexts(app.routes)} - asked.keys()
        assert open_doors == {"/livez", "/readyz", "/metrics", "/openapi.json"}


@pytest.mark.parametrize("app", APPS.values(), ids=APPS.keys())
def test_the_openapi_document_tells_a_client_all_it_must_know(app: FastAPI) -> None:
    document = app.openapi()
    operations = [o for path in document["paths"].values() for o in path.values()]
    schemas = document["components"]["schemas"]
    assert operations
    for operation in operations:
        assert operation["operationId"] in MAY
        assert set(operation["x-roles"]) == {role.value for role in MAY[operation["operationId"]]}
        for status in ("400", "401", "403", "404", "409", "422", "503"):
            name = operation["responses"][status]["$ref"].rpartition("/")[2]
            content = document["components"]["responses"][name]["content"]
            assert set(content) == {"application/problem+json"}
        if body := operation.get("requestBody"):
            said = schemas[body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]]
            for name, field in said["properties"].items():
                told = "examples" in field or name not in said.get("required", ())
                assert told, f"{said['title']}.{name}"
    assert {scheme["type"] for scheme in document["components"]["securitySchemes"].values()} == {
        "http",
        "apiKey",
    }
