"""Load: stories from order to rating through HTTP, and a partner's events through Kafka.

Whoever gets no answer, or a 503, sends the same again under the same key until there is one.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from deploy.local.installation import Installation
from deploy.verify.stores import STORES
from shared.access import Role
from shared.contracts.answers import EventAnswer
from shared.contracts.base import CommandId, FactId, StreamId, TownId
from shared.contracts.recorded import kind_of
from shared.handling import command_id
from shared.sealing import installation_keys
from tests.chaos.oracle import Acknowledged
from tests.journeys.conftest import TOWN, WISH
from tests.journeys.gate_client import sender
from tests.partner import PARTNER, SOURCE, binary, report, wish

UNIT: Final = "sanitation-station"
_PAUSE_SECONDS: Final = 0.05
_ASKED_SECONDS: Final = 20.0
_SAID_TO: Final = {"submit": "intake", "rate": "intake"}
"""Which service hears what; the others are dispatch's."""


class _Unexpected(Exception):
    """An answer that load of this kind never gets from a sound installation."""


class _GaveUp(Exception):
    """Nobody answers any more, though everybody should be back."""


class WholeLoop:
    """Some chains of stories side by side; each begins the next until it is told to stop."""

    def __init__(
        self, place: Installation, name: str, *, chains: int = 4, patience: float = 120.0
    ) -> None:
        """`patience`: seconds after its end within which all that was begun must be answered."""
        self._place = place
        self._name = name
        self._chains = chains
        self._stop = asyncio.Event()
        self._turn = 0
        self._patience = patience
        self._ended_at: float | None = None
        folder = place.secrets.folder
        self._secrets = installation_keys(folder / "master.key", folder / "index.key")
        self.acknowledged: list[Acknowledged] = []
        self.wrong: list[str] = []
        """What nobody answered, or not as a sound installation does: one sentence each."""

    @contextlib.asynccontextmanager
    async def running(self, *, events: bool = False) -> AsyncIterator[None]:
        """Load beside the block; at its end every story that was begun is brought to its end.
        `events`: a partner speaks too."""
        async with httpx.AsyncClient(timeout=_ASKED_SECONDS) as http, asyncio.TaskGroup() as group:
            for n in range(self._chains):
                group.create_task(self._chain(http, n))
            if events:
                group.create_task(self._partner())
            try:
                yield
            finally:
                self._stop.set()
                self._ended_at = time.monotonic()

    def _gave_up(self) -> bool:
        return self._ended_at is not None and time.monotonic() - self._ended_at > self._patience

    async def _chain(self, http: httpx.AsyncClient, n: int) -> None:
        told = 0
        while not self._stop.is_set():
            told += 1
            # Each story has a resident of its own: there is a key to be made for each.
            try:
                await self._story(http, f"{self._name}-{n}-{told}")
            except (_GaveUp, _Unexpected) as wrong:
                self.wrong.append(str(wrong))

    async def _story(self, http: httpx.AsyncClient, name: str) -> None:
        resident = (Role.RESIDENT, f"wx-{name}")
        desk, unit = (Role.COMMUNITY, "west-desk"), (Role.UNIT, "sweeper")
        body = {**WISH, "words": name}
        said = await self._insist(http, resident, "submit", "/v1/wishes", body, name)
        story = said["story"]
        for who, verb, asked in (
            (desk, "accept", {}),
            (desk, "dispatch", {"unit": UNIT}),
            (unit, "report", {}),
            (unit, "resolve", {"outcome": "resolved", "note": name}),
            (resident, "rate", {"resolved": True, "satisfaction": 5}),
        ):
            kind = "wishes" if _SAID_TO.get(verb) else "cases"
            path = f"/v1/{kind}/{story}/{verb}"
            said = await self._insist(http, who, verb, path, asked, name, said["position"])

    async def _insist(
        self,
        http: httpx.AsyncClient,
        who: tuple[Role, str],
        verb: str,
        path: str,
        body: dict[str, Any],
        key: str,
        at_least: str | None = None,
    ) -> dict[str, Any]:
        service = _SAID_TO.get(verb, "dispatch")
        headers = {"Authorization": f"Bearer {self._token(*who)}", "Idempotency-Key": key}
        params = {} if at_least is None else {"at_least": at_least}
        while not self._gave_up():
            self._turn += 1
            url = self._place.url(service, self._turn) + path
            try:
                answer = await http.post(url, json=body, params=params, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if answer.status_code == 503:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if answer.is_error:
                raise _Unexpected(f"{verb} was answered {answer.status_code} {answer.text}")
            said: dict[str, Any] = answer.json()
            self._note(said["position"], self._command(*who, verb, key, said["said"]))
            return said
        raise _GaveUp(f"{verb} of {key} was not answered within {self._patience:g} s")

    async def _partner(self) -> None:
        """A matter and a report on it, again and again; at the end each has its answer."""
        async with sender(self._place) as partner:
            told = 0
            ids: list[str] = []
            while not self._stop.is_set():
                told += 1
                ref = f"{self._name}-{told}"
                for id_, value, verb in (
                    (f"s-{ref}", wish(ref), "wish-submitted"),
                    (f"r-{ref}", report(ref), "unit-reported"),
                ):
                    await partner.send(value, binary(id_, verb), ref.encode())
                    ids.append(id_)
                await asyncio.sleep(_PAUSE_SECONDS)
            for id_, bodies in (await partner.answered(ids)).items():
                for _, body in bodies:
                    answer = EventAnswer.model_validate_json(body)
                    if id_ in ids and answer.said == "accepted" and answer.position:
                        ours = command_id("inbound", PARTNER, SOURCE, id_)
                        self._note(answer.position, ours if id_.startswith("s-") else None)

    def _note(self, position: str, command: CommandId | None) -> None:
        service = STORES[kind_of(StreamId(position))]
        self.acknowledged.append(Acknowledged(service, FactId(position), command))

    def _command(self, role: Role, sub: str, verb: str, key: str, said: str) -> CommandId | None:
        if said != "decided":
            return None
        if role is Role.RESIDENT:
            sub = self._secrets.blind(TownId(TOWN), "account", sub)
        return command_id(TOWN, f"{role}:{sub}", verb, key)

    def _token(self, role: Role, sub: str) -> str:
        areas = ["t3/west"] if role is Role.COMMUNITY else []
        unit = UNIT if role is Role.UNIT else None
        return self._place.secrets.token(role, sub, TOWN, areas, unit)
