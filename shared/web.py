"""The HTTP edge of every service: who may call what, one correlation id, health."""

import re
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, clear_contextvars

from shared import problems
from shared.access import Doorkeeper, Principal, Role
from shared.conditional import Conditional
from shared.errors import Refused
from shared.metrics import MEDIA_TYPE, Metrics
from shared.openapi import describe
from shared.problems import CORRELATION, Forbidden
from shared.room import HEALTH, Bounded, Room

_CORRELATION_FORM: Final = re.compile(
    r"^([0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$"
)
"""A UUID with or without hyphens: it stays in facts for ever, so it can be nothing else."""
_TRACEPARENT_FORM: Final = re.compile(r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")

log = structlog.get_logger(__name__)

Ready = Callable[[], Awaitable[dict[str, bool]]]


class Allow:
    """A dependency that admits these roles and gives the principal; all others are refused."""

    def __init__(self, *roles: Role) -> None:
        self.roles = frozenset(roles)

    async def __call__(self, request: Request) -> Principal:
        doorkeeper: Doorkeeper = request.app.state.doorkeeper
        headers = request.headers
        who = doorkeeper.admit(headers.get("authorization"), headers.get("x-api-key"))
        if who.role not in self.roles:
            raise Forbidden(who.role)
        _check_query(request)
        bind_contextvars(role=who.role.value)
        return who


class Anybody:
    """A dependency that says an endpoint is for whoever comes: how one is let in, and what its
    page looks like. Nothing of a town may be behind it."""

    async def __call__(self) -> None:
        return


def _check_query(request: Request) -> None:
    """Raise Refused for a parameter nobody asked for, or one said twice: a filter that is
    misspelt must not list everything."""
    given = [name for name, _ in request.query_params.multi_items()]
    known = _query_names(request.scope["route"].dependant)
    for name in given:
        if name not in known:
            raise Refused("unknown-parameter", "there is no such parameter", field=name[:60])
        if given.count(name) > 1:
            raise Refused("repeated-parameter", "say it once", field=name)


def _query_names(dependant: Dependant) -> set[str]:
    inner = (_query_names(each) for each in dependant.dependencies)
    return {field.alias for field in dependant.query_params}.union(*inner)


class Correlated:
    """Binds one correlation id to a request, its log lines and its answer, and counts it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(CORRELATION.encode(), b"").decode("latin-1")
        correlation = given if _CORRELATION_FORM.match(given) else uuid.uuid4().hex
        trace = headers.get(b"traceparent", b"").decode("latin-1")
        state = scope.setdefault("state", {})
        state["correlation"] = correlation
        state["traceparent"] = trace if _TRACEPARENT_FORM.match(trace) else None
        clear_contextvars()
        bind_contextvars(correlation_id=correlation)
        said = False

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((CORRELATION.encode(), correlation.encode()))
                answered(message["status"])
            await send(message)

        def answered(status: int) -> None:
            nonlocal said
            said = True
            method, path = scope["method"], _template(scope)
            log.info("answered", method=method, path=path, status=status)
            self._metrics.answered(method, path, status)

        try:
            await self._app(scope, receive, answer)
        except Exception:  # a bug: whoever is around us answers it, past `answer`
            if not said:
                answered(500)
            raise


def create_app(
    title: str,
    routes: APIRouter,
    doorkeeper: Doorkeeper,
    ready: Ready,
    examples: Mapping[str, str],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    metrics: Metrics | None = None,
    room: Room | None = None,
) -> FastAPI:
    """The service's app; `examples` are shown in its description, `metrics` at /metrics, `room` is
    for how much at a time.

    Raises ValueError when an endpoint says not who may call it.
    """
    app = FastAPI(
        title=title,
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.doorkeeper = doorkeeper
    app.state.before_stop = []  # what ends answers that would not end by themselves
    metrics, room = metrics or Metrics(), room or Room()
    metrics.add(room.numbers)
    problems.install(app)
    app.include_router(routes)
    unsaid = (route for route in api_routes(app) if not roles_of(route))
    if open_doors := [str(route.path) for route in unsaid if not is_for_anybody(route)]:
        raise ValueError(f"no policy says who may call {', '.join(open_doors)}")
    policy = {
        (str(route.path), method): sorted(roles_of(route))
        for route in api_routes(app)
        for method in route.methods or ()
    }
    describe(app, lambda path, method: [role.value for role in policy[path, method]], examples)
    _add_health(app, ready, metrics)
    app.add_middleware(Conditional)
    app.add_middleware(Bounded, room=room)
    app.add_middleware(Correlated, metrics=metrics)
    return app


def api_routes(app: FastAPI) -> Iterator[RouteContext]:
    """The endpoints that need a principal: all but health and the OpenAPI document.

    Whatever an app answers to is one, also where it comes from a router within a router.
    """
    for route in iter_route_contexts(app.routes):
        if route.path not in (*HEALTH, app.openapi_url):
            yield route


def roles_of(route: RouteContext) -> frozenset[Role]:
    """Who may call this endpoint; empty when nothing says so."""
    dependant = getattr(route, "dependant", None)
    return frozenset() if dependant is None else frozenset().union(*_roles(dependant))


def is_for_anybody(route: RouteContext) -> bool:
    """Whether the endpoint says that it needs no principal."""
    dependant = getattr(route, "dependant", None)
    return dependant is not None and any(
        isinstance(each.call, Anybody) for each in dependant.dependencies
    )


def _roles(dependant: Dependant) -> Iterator[frozenset[Role]]:
    if isinstance(dependant.call, Allow):
        yield dependant.call.roles
    for inner in dependant.dependencies:
        yield from _roles(inner)


def _add_health(app: FastAPI, ready: Ready, metrics: Metrics) -> None:
    @app.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz(response: Response) -> dict[str, Any]:
        checks = await ready()
        response.status_code = 200 if all(checks.values()) else 503
        return {"status": "ready" if all(checks.values()) else "not-ready", "checks": checks}

    @app.get("/metrics", include_in_schema=False)
    async def numbers() -> Response:
        return Response(await metrics.text(), media_type=MEDIA_TYPE)


def _template(scope: Scope) -> str:
    """The path with its parameters' names: paths may hold ids, logs need not."""
    route = scope.get("route")
    return getattr(route, "path", "(no route)")
