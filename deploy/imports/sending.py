"""Sends lines to intake. What is not answered is sent again, which doubles nothing."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

import httpx

from deploy.imports.errors import FixFirst
from deploy.imports.lines import Body
from deploy.imports.results import ALREADY_THERE, REFUSED, TAKEN_IN, WOULD_BE

PATIENCE_SECONDS: Final = 60.0
"""So long a line waits for a service that is away or overloaded."""
_PATH: Final = "/v1/imports"
_NOT_NOW: Final = (429, 502, 503, 504)
_BECAME: Final = {
    "taken-in": TAKEN_IN,
    "already-there": ALREADY_THERE,
    "would-be-taken-in": WOULD_BE,
}


@dataclass(frozen=True, slots=True)
class Told:
    """What intake says of a line: `became` with `story` and `position`, or a refusal."""

    became: str
    story: str = ""
    position: str = ""
    code: str = ""
    field: str = ""
    why: str = ""


class Intake:
    """Intake at an address, as one who imports with these headers meets it."""

    def __init__(
        self,
        url: str,
        credentials: Mapping[str, str],
        at_once: int,
        *,
        dry_run: bool = False,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._url = url.rstrip("/") + _PATH
        self._params = {"dry_run": "true"} if dry_run else {}
        self._patience = patience
        self._http = httpx.AsyncClient(
            headers=credentials, timeout=30, limits=httpx.Limits(max_connections=at_once)
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *why: object) -> None:
        await self._http.aclose()

    async def send(self, body: Body) -> Told:
        """What became of the line. Raises FixFirst when nobody answers, or not to us."""
        deadline, pause = monotonic() + self._patience, 0.1
        while True:
            try:
                answer = await self._http.post(self._url, json=body, params=self._params)
                if answer.status_code not in _NOT_NOW:
                    return self._told(answer)
                away = f"answers {answer.status_code}"
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as wrong:
                raise FixFirst(f"{self._url} is no address: {wrong}") from wrong
            except httpx.TransportError as wrong:
                away = f"does not answer ({type(wrong).__name__})"
            if monotonic() > deadline:
                raise FixFirst(f"intake at {self._url} {away}")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 2.0)

    def _told(self, answer: httpx.Response) -> Told:
        said = _json(answer)
        if answer.is_success and said.get("became") in _BECAME:
            return Told(_BECAME[said["became"]], said["story"], said.get("position") or "")
        code, why = str(said.get("code", "")), str(said.get("detail", ""))
        if answer.status_code in (401, 403) or not code or code.startswith("no-such-"):
            status = f"{answer.status_code}{f' {code}: {why}' if code else ''}"
            raise FixFirst(f"intake at {self._url} takes no lists from us: {status}")
        return Told(REFUSED, code=code, field=str(said.get("field", "")), why=why)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
