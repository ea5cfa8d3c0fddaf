"""The read API over documents in a real database, and somebody who asks it."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from services.projections.api import routes
from services.projections.board.board import board_routes, open_board
from services.projections.board.site import site
from services.projections.folding import Recipe
from services.projections.live import Live
from services.projections.reader import Reader
from services.projections.reading import Reading
from services.projections.readmodel import ReadModel
from services.projections.views.registry import TALLIES, VIEWS
from shared.access import Role
from shared.access_log import AccessLog
from shared.contracts.base import SubjectId, TownId
from shared.contracts.recorded import Recorded
from shared.keystore import KeyReader
from shared.mongo import Client, Database, Document
from shared.sealing import Sealer, new_key
from shared.town import Town, Towns
from shared.web import create_app
from tests.build import INSTALLATION, HandClock, IdentityProvider
from tests.projections.model import MIXED, MIXED_RECIPE, Model, model_of

IDENTITY = IdentityProvider()


@dataclass
class FrontEnd:
    """An app that reads `home`; `ask` is somebody asking it."""

    app: FastAPI
    home: Database
    clock: HandClock
    model: Model
    client: AsyncClient

    async def ask(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        role: Role = Role.COMMUNITY,
        **claims: Any,
    ) -> Response:
        """Somebody in this role asks; in the whole town unless their claims say less."""
        token = IDENTITY.token(role.value, **{"areas": ["t3"], **claims})
        headers = {"Authorization": f"Bearer {token}"}
        return await self.client.get(path, params=query or None, headers=headers)

    async def told(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        role: Role = Role.COMMUNITY,
        **claims: Any,
    ) -> Any:
        """What it is answered; it must be."""
        answer = await self.ask(path, query, role, **claims)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def all_pages(
        self,
        path: str,
        query: Mapping[str, Any] | None = None,
        role: Role = Role.COMMUNITY,
        **claims: Any,
    ) -> list[Any]:
        """Every item of a list, page by page."""
        said, _, text = path.partition("?")
        asked = {**dict(parse_qsl(text)), **(query or {})}
        page = await self.told(said, asked, role, **claims)
        items: list[Any] = page["items"]
        while page["next"]:
            page = await self.told(said, {**asked, "after": page["next"]}, role, **claims)
            items += page["items"]
        return items


@asynccontextmanager
async def front_end(
    mongo: Client,
    home: Database,
    facts: Iterable[Recorded],
    town: Town = MIXED,
    by: Recipe = MIXED_RECIPE,
    unfilled: Iterable[str] = (),
) -> AsyncIterator[FrontEnd]:
    """The read API of a town in which these facts were folded, but for some views."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    model = model_of(list(facts), by=by)
    for name, documents in collections(model).items():
        if documents:
            await home[name].insert_many(list(documents.values()))
    for view in VIEWS:
        for index in view.indexes:
            await home[view.name].create_index(list(index))
    clock = HandClock()
    keys = KeyReader(home, INSTALLATION)
    live = Live(lambda: ("g1", home), keys, heartbeat_seconds=15)
    reader = Reader(
        Reading(ReadModel(mongo, home, frozenset(unfilled))),
        keys,
        AccessLog(home),
        0.03,
        towns=Towns({town.id: town}),
        clock=clock,
    )
    pages = site(reader)
    endpoints = routes(reader, live)
    endpoints.include_router(board_routes(pages))
    app = create_app("read", endpoints, IDENTITY.doorkeeper(), ready, {}, lifespan)
    open_board(app, pages)
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://town") as client:
        yield FrontEnd(app, home, clock, model, client)


def collections(model: Model) -> Mapping[str, Mapping[str, Document]]:
    """What a generation holds, by collection."""
    stories = {name: dict(story) for name, story in model.stories.items()}
    assert model.sheets.keys() <= {tally.name for tally in TALLIES}
    return {"stories": stories, "timeline": model.timeline, **model.rows, **model.sheets}


async def key_of(home: Database, subject: str) -> Sealer:
    """A new data key of a subject, in the key store."""
    key = new_key()
    name = SubjectId(subject)
    await home["keys"].insert_one({"_id": name, "wrapped": INSTALLATION.wrap(name, key)})
    return Sealer(name, key)


async def account_of(home: Database, account: str, resident: str) -> None:
    """Let `account` be this resident's."""
    index = INSTALLATION.blind(TownId("t3"), "account", account)
    await home["residents"].insert_one({"_id": index, "resident": resident})
