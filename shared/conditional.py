"""Conditional reading: a JSON answer carries an ETag, and who has it already gets 304.

The answer is made in full before it is compared: who asks is checked, `at_least` waited for and
the reading noted all the same. What is saved is the way to the reader.
"""

import hashlib
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_JSON: Final = "application/json"
_KEEP: Final = "private, no-cache"
"""Keep it, but ask each time whether it still holds."""
_VARY: Final = ("Authorization", "X-API-Key", "Cookie")


class Conditional:
    """Answers GET with 304 and no body where `If-None-Match` names what would be sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        body = bytearray()

        async def answer(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_json(message):
                held = message
            elif held is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await _send(held, bytes(body), _asked(scope), send)

        await self._app(scope, receive, answer)


async def _send(start: Message, body: bytes, known: str, send: Send) -> None:
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = MutableHeaders(raw=start["headers"])
    headers["etag"] = tag
    headers["cache-control"] = _KEEP
    varies = [each.strip() for each in headers.get("vary", "").split(",") if each.strip()]
    headers["vary"] = ", ".join(dict.fromkeys([*varies, *_VARY]))
    if _names(known, tag):
        del headers["content-length"]
        del headers["content-type"]
        start["status"], body = 304, b""
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _is_json(start: Message) -> bool:
    """A whole answer; streams and problems pass as they are."""
    said = dict(start["headers"]).get(b"content-type", b"").decode("latin-1")
    return bool(start["status"] == 200 and said.partition(";")[0].strip() == _JSON)


def _asked(scope: Scope) -> str:
    values = (value for name, value in scope["headers"] if name == b"if-none-match")
    return b",".join(values).decode("latin-1")


def _names(known: str, tag: str) -> bool:
    """RFC 9110: `*`, or any of a list; a tag that a proxy made weak is the same."""
    tags = (each.strip().removeprefix("W/") for each in known.split(","))
    return known.strip() == "*" or tag in tags
