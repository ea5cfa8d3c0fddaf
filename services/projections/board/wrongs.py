"""A problem on a page is a page: the same status and code, in words."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import WebSocketRequestValidationError
from starlette.requests import Request
from starlette.responses import Response

from services.projections.board.door import COOKIE, own_page
from services.projections.board.language import Phrases
from services.projections.board.site import HOME, Site
from shared.access import Doorkeeper, Principal, Unauthenticated
from shared.problems import MEDIA_TYPE

Handler = Callable[[Request, Any], Any]


def show_problems_as_pages(app: FastAPI, site: Site) -> None:
    """Of whatever goes wrong below the board, once it has become a problem."""
    for wrong, handler in list(app.exception_handlers.items()):
        if wrong is not WebSocketRequestValidationError:
            app.exception_handlers[wrong] = _paged(handler, site)


def _paged(handler: Handler, site: Site) -> Handler:
    async def answer(request: Request, why: Any) -> Response:
        said: Response = await handler(request, why)
        path = request.url.path
        if said.media_type != MEDIA_TYPE or not (path == HOME or path.startswith(f"{HOME}/")):
            return said
        return _page(request, site, said)

    return answer


def _page(request: Request, site: Site, said: Response) -> Response:
    problem = json.loads(bytes(said.body))
    if problem["status"] == 401:
        answer = _sign_in(request, site)
    else:
        t = site.phrases(request)
        more = {"problem": problem, "said": _sentence(t, problem)}
        who = _who(request)
        answer = site.page(request, "wrong.html", who, more, status=problem["status"])
    kept = ("retry-after", "www-authenticate", "allow", "x-correlation-id")
    answer.headers.update({k: v for k, v in said.headers.items() if k in kept})
    return answer


def _sign_in(request: Request, site: Site) -> Response:
    """Asks to sign in, and to come back here; a cookie that does not hold is taken away."""
    came = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    to = own_page(came) if request.method == "GET" else HOME
    tried = "authorization" in request.headers or request.method == "POST"
    said = "sign-in.again" if tried else "sign-in.first"
    answer = site.page(request, "sign_in.html", None, {"said": said, "to": to}, status=401)
    if COOKIE in request.cookies:
        answer.delete_cookie(COOKIE)
    return answer


def _sentence(t: Phrases, problem: dict[str, Any]) -> str:
    for key in (f"wrong.{problem['code']}", f"wrong.status.{problem['status']}"):
        if t.has(key):
            return t(key)
    return t("wrong.status.500")


def _who(request: Request) -> Principal | None:
    """Whoever asked, for the menu; None where that is not known."""
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    try:
        headers = request.headers
        return doorkeeper.admit(headers.get("authorization"), headers.get("x-api-key"))
    except Unauthenticated:
        return None
