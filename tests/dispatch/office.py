"""Dispatch's endpoints over a store in memory: one case, one request, one answer."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient, Response

from services.dispatch.api import routes
from services.dispatch.case import CASE
from services.dispatch.case_desk import CaseDesk, Cases
from services.dispatch.unit_api import unit_routes
from shared.access import Role
from shared.contracts.base import CommandId, SubjectId
from shared.contracts.registry import AnyFact
from shared.store import Cause, History, MemoryStore
from shared.town import Town, Towns
from shared.waiting import Position
from shared.web import create_app
from tests.build import (
    APPEAL,
    CASE_STREAM,
    HAZARD,
    NOW,
    RESIDENT,
    STORY,
    HandClock,
    IdentityProvider,
    KeyRing,
    a_town,
    kind,
    profile,
)

IDENTITY: Final = IdentityProvider()
PLACE: Final[Town] = a_town(
    profile(
        kinds={APPEAL: kind(rated=True), HAZARD: {**kind(rated=False), "verification_asked": True}},
        decline_rules={"in-court": "已进入司法程序"},
        owners={"police": "公安机关"},
    )
)
"""A town that may decline and refer, and checks what was done about hazards."""


class Arrivals:
    """Nothing of the wish ever arrives; perhaps because the story is parked."""

    stand_still = False

    async def arrived(self, position: Position) -> bool:
        return position.kind == "case"

    async def parked(self, story: object) -> bool:
        return self.stand_still


class Shelf(MemoryStore):
    """A store that can be emptied."""

    def forget(self) -> None:
        self._streams.clear()


class Office:
    """Dispatch of one town, with nothing in its store. There is one at a time: making an app
    takes longer than asking it."""

    def __init__(self, *, parked: bool = False) -> None:
        self.app, self._store, self.keys, arrivals = _built()
        self._store.forget()
        self.keys.sealers.clear()
        self.keys.make(SubjectId(RESIDENT))
        arrivals.stand_still = parked

    async def tell(self, *facts: AnyFact) -> None:
        """What happened to the case before."""
        if not facts:
            return
        commit = History(CASE_STREAM).next(
            facts,
            cause=Cause(CommandId("c"), "correlation"),
            town=PLACE.id,
            profile=PLACE.profiles[0].version,
            occurred=NOW,
            recorded=NOW,
        )
        await self._store.append(commit)

    async def post(
        self,
        verb: str,
        who: Mapping[str, str],
        *,
        story: str = STORY,
        params: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Response:
        """The answer to one request; a bug of ours is an answer too."""
        transport = ASGITransport(self.app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://town") as client:
            path = f"/v1/cases/{story}/{verb}"
            return await client.post(path, headers=who, params=params or {}, **request)

    async def facts(self) -> list[AnyFact]:
        return (await self._store.load(CASE_STREAM)).facts


@cache
def _built() -> tuple[FastAPI, Shelf, KeyRing, Arrivals]:
    store, keys, arrivals, towns = Shelf(), KeyRing(), Arrivals(), Towns({PLACE.id: PLACE})
    cases: Cases = Cases(CASE, store, HandClock(), keys)
    desk = CaseDesk(cases, keys, towns, arrivals, 0.1)
    endpoints = APIRouter()
    endpoints.include_router(routes(desk))
    endpoints.include_router(unit_routes(desk))

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    app = create_app(
        "dispatch", endpoints, IDENTITY.doorkeeper(), ready, towns.examples(), lifespan
    )
    return app, store, keys, arrivals


def bearer(role: Role = Role.COMMUNITY, **claims: Any) -> dict[str, str]:
    """The header under which somebody asks."""
    return {"Authorization": f"Bearer {IDENTITY.token(role.value, **claims)}"}


async def ask(
    *facts: AnyFact,
    verb: str = "accept",
    role: Role = Role.COMMUNITY,
    unit: str = "drains",
    body: dict[str, Any] | None = None,
    parked: bool = False,
    erased: bool = False,
    areas: Sequence[str] = ("t3/west",),
    at_least: str | None = None,
    **headers: str,
) -> Response:
    """The answer to a command on a case with these facts."""
    office = Office(parked=parked)
    if erased:
        office.keys.sealers.clear()
    await office.tell(*facts)
    who = bearer(role, areas=list(areas), unit=unit)
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    params = {} if at_least is None else {"at_least": at_least}
    return await office.post(verb, {**who, **more}, params=params, json=body or {})
