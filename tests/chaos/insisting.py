"""A client of HTTP that sends the same again, to the other instance, until it has its answer."""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shared.codes import CODES
from shared.contracts.base import CommandId, FactId
from shared.handling import command_id
from tests.chaos.ledger import Ledger, Wait

ANSWER_SECONDS: Final = 4.0
"""So long a client waits for one answer before it turns to the other instance."""
PATIENCE_SECONDS: Final = 60.0
"""Whoever has no answer although all has been up for so long was forgotten: a violation."""
PAUSE_SECONDS: Final = 0.1
_LEGAL: Final = {(code.code, status) for code in CODES for status in code.statuses}


class GivenUp(Exception):
    """No answer came, or one that may not be: noted as a violation; this story ends here."""


class Closing(Exception):
    """The run is over: whoever has an answer asks nothing more."""


@dataclass(frozen=True, slots=True)
class Yes:
    """Decided, or already so."""

    story: str
    position: FactId
    said: str


@dataclass(frozen=True, slots=True)
class No:
    """Refused, by a code that may be."""

    code: str


@dataclass(frozen=True)
class Desk:
    """What all clients share: where services answer, their connections, what they were told, the
    clock of the run, whether it is over, and for how many seconds all has been up."""

    urls: Callable[[str, int], str]
    http: httpx.AsyncClient
    ledger: Ledger
    closing: asyncio.Event
    began: float
    up_for: Callable[[], float]

    def now(self) -> float:
        """Seconds of the run."""
        return time.monotonic() - self.began

    def forgotten(self, began: float) -> bool:
        """Whether who has insisted since then should have an answer by now."""
        return min(self.now() - began, self.up_for()) > PATIENCE_SECONDS


class Client:
    """Somebody with a token, known to the services by `name`."""

    def __init__(self, desk: Desk, token: str, town: str, name: str, turn: int = 0) -> None:
        self._desk = desk
        self._ledger = desk.ledger
        self._headers = {"Authorization": f"Bearer {token}"}
        self._town = town
        self._name = name
        self._turn = turn

    async def command(
        self,
        service: str,
        path: str,
        operation: str,
        body: dict[str, Any],
        *,
        key: str,
        at_least: str | None = None,
        may: Collection[str] = (),
        twice: bool = False,
    ) -> Yes | No:
        """What was decided, or the refusal if it is one of those that `may` be. `twice`: both
        instances are asked at the same time, and must say the same. Raises GivenUp, Closing."""
        if self._desk.closing.is_set():
            raise Closing
        params = {} if at_least is None else {"at_least": at_least}
        headers = {**self._headers, "Idempotency-Key": key}
        sending = [
            self._insist(service, "POST", path, f"{operation} {key}", may, json=body,
                         params=params, headers=headers)
            for _ in range(2 if twice else 1)
        ]  # fmt: skip
        answers = await asyncio.gather(*sending)
        outcomes = {_outcome(answer) for answer, _ in answers}
        if len(outcomes) > 1:
            self._ledger.violation(f"{operation} {key} was answered in two ways: {outcomes}")
        outcome, sent = outcomes.pop(), sum(attempts for _, attempts in answers)
        if isinstance(outcome, Yes):
            mine = command_id(self._town, self._name, operation, key)
            command: CommandId | None = mine if outcome.said == "decided" else None
            self._ledger.acknowledge(operation, service, outcome.position, command, sent)
        return outcome

    async def read(self, path: str, **params: str | int) -> dict[str, Any]:
        """What the read API says. Raises GivenUp."""
        what = f"read {path} {params}"
        answer, _ = await self._insist(
            "projections", "GET", path, what, (), params=params, headers=self._headers
        )
        self._ledger.reads["/v1/cases/<story>" if path.startswith("/v1/cases/") else path] += 1
        read: dict[str, Any] = answer.json()
        return read

    async def _insist(
        self, service: str, method: str, path: str, what: str, may: Collection[str], **request: Any
    ) -> tuple[httpx.Response, int]:
        """A definitive answer, and after how many attempts. Raises GivenUp."""
        began, attempts = self._desk.now(), 0
        while True:
            attempts += 1
            self._turn += 1
            url = self._desk.urls(service, self._turn) + path
            try:
                answer = await self._desk.http.request(method, url, **request)
            except httpx.TransportError as failed:
                self._ledger.unanswered[f"{service} {type(failed).__name__}"] += 1
            else:
                if self._settles(answer, service, what, may, request):
                    break
            if self._desk.forgotten(began):
                self._ledger.violation(f"{service} never answered {what}")
                raise GivenUp
            await asyncio.sleep(PAUSE_SECONDS)
        wait = Wait(self._desk.now() - began, began, what.partition(" ")[0])
        if attempts > 1:
            self._ledger.waited(service, wait)
        return answer, attempts

    def _settles(
        self, answer: httpx.Response, service: str, what: str, may: Collection[str], request: Any
    ) -> bool:
        """Whether it is an answer, and no `ask again`. Raises GivenUp for one that may not be."""
        if answer.is_success:
            return True
        code = _code(answer)
        if (code, answer.status_code) not in _LEGAL or answer.status_code == 500:
            self._ledger.violation(f"{service} said {answer.status_code} {code} to {what}")
            return False
        if answer.status_code == 503:
            self._ledger.not_now[f"{service} {code}"] += 1
            self._check_again(answer, what, request)
            return False
        if code == "conflict":  # kept losing races: nothing was decided
            self._ledger.not_now[f"{service} {code}"] += 1
            return False
        self._ledger.refused[code] += 1
        if code not in may:
            self._ledger.violation(f"{service} refused {what} as {answer.status_code} {code}")
            raise GivenUp
        return True

    def _check_again(self, answer: httpx.Response, what: str, request: Any) -> None:
        """A 503 says when to come again, and under which key."""
        key = request["headers"].get("Idempotency-Key")
        if "Retry-After" not in answer.headers or answer.headers.get("Idempotency-Key") != key:
            self._ledger.violation(f"503 to {what} lacks Retry-After or its key")


def _code(answer: httpx.Response) -> str:
    """The code of its problem details, or that it has none."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return "without problem details"
    return str(answer.json().get("code"))


def _outcome(answer: httpx.Response) -> Yes | No:
    if not answer.is_success:
        return No(_code(answer))
    said = answer.json()
    return Yes(said["story"], FactId(said["position"]), said["said"])
