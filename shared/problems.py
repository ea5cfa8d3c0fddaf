"""RFC 9457 problem details: every way a request can end without its answer, with a stable code.

A refusal that names a field is about the input (422), any other about the state of things (409).
"""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException

from shared.access import Unauthenticated
from shared.errors import (
    Conflict,
    IncompleteHistory,
    KeyMissing,
    NotReady,
    NotYet,
    OutcomeUnknown,
    Overloaded,
    Refused,
    Stale,
    TooLarge,
)

MEDIA_TYPE: Final = "application/problem+json"
CORRELATION: Final = "x-correlation-id"

log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """What went wrong. `code` is stable; `field` names the input it is about, if any."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None


class Forbidden(Exception):
    """The role may not do this at all."""


class Hidden(Exception):
    """There is no such story, or none that this principal may know of: the same answer."""


TITLES: Final[Mapping[int, str]] = {
    400: "The request cannot be read",
    401: "Nobody we know",
    403: "Not for this role",
    404: "Nothing there for you",
    405: "Not this way",
    409: "A rule says no",
    413: "Too large",
    422: "The request does not fit",
    500: "Our mistake",
    503: "Not now",
}

_SIMPLE: Final[Mapping[type[Exception], tuple[int, str, str]]] = {
    Forbidden: (403, "forbidden", "this role may not do this"),
    Hidden: (404, "unknown-story", "there is no such story, or it is not for you"),
    Conflict: (409, "conflict", "somebody else was faster; read again and decide again"),
    TooLarge: (413, "too-large", "a fact may have at most 256 KB"),
    KeyMissing: (409, "erased", "the texts of this story were erased"),
    Overloaded: (503, "overloaded", "nothing was written; send the same again"),
    OutcomeUnknown: (503, "outcome-unknown", "send the same again with the same key"),
    NotReady: (503, "not-ready", "this service is not ready to answer"),
    IncompleteHistory: (503, "not-ready", "this build does not know all that happened here"),
    PyMongoError: (503, "store-away", "the store did not answer; send the same again"),
}


def problem(
    request: Request, status: int, code: str, detail: str, field: str | None = None
) -> JSONResponse:
    """A problem as a response; it repeats the key under which the request may be sent again."""
    body = Problem(
        type=f"urn:wishgrid:problem:{code}",
        title=TITLES.get(status, "Refused"),
        status=status,
        code=code,
        detail=detail,
        field=field,
    )
    headers = {"Retry-After": "1"} if status == 503 else {}
    if key := getattr(request.state, "idempotency_key", None):
        headers["Idempotency-Key"] = key
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def of(request: Request, code: str) -> JSONResponse:
    """The problem of a code that means `not now`."""
    status, _, detail = next(each for each in _SIMPLE.values() if each[1] == code)
    return problem(request, status, code, detail)


def install(app: FastAPI) -> None:
    """Turn every exception that means something into its problem."""

    @app.exception_handler(Refused)
    async def refused(request: Request, why: Refused) -> JSONResponse:
        status = 409 if why.field is None else 422
        return problem(request, status, why.code, why.detail or why.code, why.field)

    @app.exception_handler(Stale)
    async def stale(request: Request, why: Stale) -> JSONResponse:
        return problem(request, 409, "conflict", str(why))

    @app.exception_handler(NotYet)
    async def not_yet(request: Request, why: NotYet) -> JSONResponse:
        if why.parked:
            detail = f"{why.position}: the story is parked until somebody mends it"
            return problem(request, 503, "parked", detail)
        return problem(request, 503, "not-yet", f"{why.position} has not arrived here")

    @app.exception_handler(Unauthenticated)
    async def unauthenticated(request: Request, why: Unauthenticated) -> JSONResponse:
        return problem(request, 401, "unauthenticated", str(why))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, why: RequestValidationError) -> JSONResponse:
        first = why.errors()[0]
        if first["type"] == "json_invalid":
            return problem(request, 400, "unreadable-body", "the body is not JSON")
        place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return problem(request, 422, "invalid-request", f"{place}: {first['msg']}", place)

    @app.exception_handler(HTTPException)
    async def http(request: Request, why: HTTPException) -> JSONResponse:
        codes = {400: "unreadable-body", 404: "no-such-path", 405: "no-such-method"}
        code = codes.get(why.status_code, "invalid-request")
        answer = problem(request, why.status_code, code, str(why.detail))
        answer.headers.update(why.headers or {})
        return answer

    for known, (status, code, detail) in _SIMPLE.items():
        app.add_exception_handler(known, _simple(status, code, detail))

    @app.exception_handler(Exception)
    async def bug(request: Request, why: Exception) -> JSONResponse:
        answer = problem(request, 500, "our-mistake", "an error of ours; it was logged")
        if correlation := getattr(request.state, "correlation", None):
            answer.headers[CORRELATION] = correlation  # it is sent past the rest of the app
        return answer


def _simple(status: int, code: str, detail: str) -> Any:
    async def handler(request: Request, why: Exception) -> JSONResponse:
        if status == 503:
            log.warning("refused for now", code=code, error=f"{type(why).__name__}: {why}")
        return problem(request, status, code, detail)

    return handler
