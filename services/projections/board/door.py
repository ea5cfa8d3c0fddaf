"""How a browser is let in: a page that takes a token, and a cookie that carries it from then on.

In production the town's identity proxy sends the Authorization header and none of this is used.
"""

import re
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.projections.board.language import asked_language
from services.projections.board.site import HOME, Site
from shared.access import Doorkeeper, Unauthenticated
from shared.errors import Refused
from shared.web import Anybody

COOKIE: Final = "wishgrid-token"
_API: Final = "/v1/"
_LONGEST: Final = 3800
"""Browsers drop longer cookies without a word."""
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
_OWN_PAGE: Final = re.compile(r"/board(/[A-Za-z0-9/_-]*)?(\?[^\\\s]*)?")


class Door:
    """Turns the cookie into the header that everything behind it knows, for reading only, and
    drops from a page's query what its form left empty. JSON that is read so is not to be kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            scope = _without_empty_fields(_signed_in(scope))
        if scope.get("state", {}).get("by_cookie") and scope["path"].startswith(_API):
            send = _unkept(send)
        await self._app(scope, receive, send)


def door_routes(site: Site) -> APIRouter:
    """Signing in and out."""
    router = APIRouter(prefix=HOME, include_in_schema=False, dependencies=[Depends(Anybody())])

    @router.get("/sign-in", operation_id="page_sign_in", dependencies=[Depends(asked_language)])
    async def sign_in_page(request: Request) -> Response:
        return site.page(request, "sign_in.html", None, {"said": None, "to": HOME})

    @router.post("/sign-in", operation_id="sign_in")
    async def sign_in(request: Request) -> Response:
        _check_origin(request)
        token, to = await _fields(request)
        doorkeeper: Doorkeeper = request.app.state.doorkeeper
        if len(token) > _LONGEST:
            raise Unauthenticated("the token is too long for a cookie")
        doorkeeper.admit(f"Bearer {token}", None)
        answer = RedirectResponse(to, status_code=303)
        answer.set_cookie(
            COOKIE,
            token,
            httponly=True,
            samesite="strict",
            secure=request.url.hostname not in _LOOPBACK,
        )
        return answer

    @router.post("/sign-out", operation_id="sign_out")
    async def sign_out(request: Request) -> Response:
        _check_origin(request)
        answer = RedirectResponse(f"{HOME}/sign-in", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    return router


def own_page(path: str) -> str:
    """The path if it is one of these pages, else the first of them: nobody is led elsewhere."""
    return path if _OWN_PAGE.fullmatch(path) else HOME


def _signed_in(scope: Scope) -> Scope:
    headers = {name for name, _ in scope["headers"]}
    token = HTTPConnection(scope).cookies.get(COOKIE)
    if not token or headers & {b"authorization", b"x-api-key"}:
        return scope
    sent = (b"authorization", f"Bearer {token}".encode("latin-1", "replace"))
    state = {**scope.get("state", {}), "by_cookie": True}
    return {**scope, "headers": [*scope["headers"], sent], "state": state}


def _unkept(send: Send) -> Send:
    """JSON is not left behind in a browser that many use: pages say so themselves."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(raw=message["headers"])["cache-control"] = "no-store"
        await send(message)

    return answer


def _without_empty_fields(scope: Scope) -> Scope:
    if not scope["path"].startswith(HOME):
        return scope
    said = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    kept = [(name, value) for name, value in said if value]
    return scope if kept == said else {**scope, "query_string": urlencode(kept).encode()}


def _check_origin(request: Request) -> None:
    """Raises Refused for a form that another site sent."""
    origin = urlsplit(request.headers.get("origin", ""))
    if not origin.netloc or origin.netloc != request.headers.get("host"):
        raise Refused("foreign-origin", "the form must be sent from its own page")


async def _fields(request: Request) -> tuple[str, str]:
    """Token, and where to go then."""
    try:
        body = (await request.body()).decode()
        said = parse_qs(body, max_num_fields=8)
    except ValueError:
        raise HTTPException(400, "the form cannot be read") from None
    token, to = (said.get(name, [""])[0].strip() for name in ("token", "to"))
    return token, own_page(to)
