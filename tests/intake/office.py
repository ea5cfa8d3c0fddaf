"""Intake's endpoints over a store and a key store in memory: one town, one wish at a time."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, cast

import bson
from bson.raw_bson import RawBSONDocument
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient, Response
from pymongo.errors import BulkWriteError

from services.intake.api import WishDesk, Wishes, routes
from services.intake.imports import ImportDesk, import_routes
from services.intake.wish import WISH
from shared.access import ApiKey, Role
from shared.contracts.base import AreaId, CommandId, StoryId, TownId
from shared.contracts.recorded import stream_id
from shared.contracts.registry import AnyFact
from shared.group_commit import DUPLICATE_KEY
from shared.keystore import KeyWriter
from shared.mongo import Database
from shared.store import Cause, MemoryStore
from shared.town import Towns
from shared.waiting import Position
from shared.web import create_app
from tests.build import GRID, INSTALLATION, NOW, HandClock, IdentityProvider, some_towns

IDENTITY: Final = IdentityProvider()
HOTLINE: Final = ApiKey(
    id="hotline",
    sha256="2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683",
    town=TownId("t3"),
    areas=(AreaId("t3"),),
)
SYSTEM: Final = {"X-API-Key": "key"}
JIA, YI = "account-jia", "account-yi"

Document = dict[str, Any]


class Collection:
    """As much of a MongoDB collection as the key store uses."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    async def insert_many(self, documents: Sequence[RawBSONDocument], *, ordered: bool) -> None:
        assert not ordered
        errors = []
        for n, raw in enumerate(documents):
            document: Document = bson.decode(raw.raw)
            if document["_id"] in self.documents:
                errors.append({"index": n, "code": DUPLICATE_KEY})
            self.documents.setdefault(document["_id"], document)
        if errors:
            raise BulkWriteError({"writeErrors": errors})

    async def find_one(self, where: Mapping[str, Any]) -> Document | None:
        return self.documents.get(where["_id"])

    async def find(self, where: Mapping[str, Any]) -> AsyncIterator[Document]:
        for name in where["_id"]["$in"]:
            if "wrapped" in self.documents.get(name, {}):
                yield self.documents[name]


class Keys(KeyWriter):
    """The key store of a town nobody has written to yet, whenever it is emptied."""

    def __init__(self) -> None:
        self.kept, self.residents = Collection(), Collection()
        database = {"keys": self.kept, "residents": self.residents}
        super().__init__(cast("Database", database), INSTALLATION)

    def forget(self) -> None:
        self.residents.documents.clear()
        self._known.clear()
        self.erase()

    def erase(self) -> None:
        """Every data key is gone; who is who is still known."""
        self.kept.documents.clear()
        self._cache.clear()


class Shelf(MemoryStore):
    """A store that can be emptied."""

    def forget(self) -> None:
        self._streams.clear()


class Arrivals:
    """Nothing of the case ever arrives; perhaps because the story is parked."""

    stand_still = False

    async def arrived(self, position: Position) -> bool:
        return position.kind == "wish"

    async def parked(self, story: object) -> bool:
        return self.stand_still


class Office:
    """Intake of one town, with nothing in its stores. There is one at a time: making an app
    takes longer than asking it."""

    def __init__(self, *, parked: bool = False) -> None:
        self.app, self.store, self.keys, arrivals = _built()
        self.store.forget()
        self.keys.forget()
        arrivals.stand_still = parked

    async def post(
        self,
        path: str,
        who: Mapping[str, str],
        *,
        params: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Response:
        """The answer to one request about a wish."""
        return await self.ask(f"/v1/wishes{path}", who, params=params or {}, **request)

    async def ask(self, path: str, who: Mapping[str, str], **request: Any) -> Response:
        """The answer to one request; a bug of ours is an answer too."""
        transport = ASGITransport(self.app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://town") as client:
            return await client.post(path, headers=who, **request)

    async def sent(self, who: Mapping[str, str], **changes: Any) -> StoryId:
        """A wish taken in."""
        answer = await self.post("", who, json=matter(**changes))
        assert answer.status_code == 201, answer.text
        return StoryId(answer.json()["story"])

    async def tell(self, story: StoryId, *facts: AnyFact) -> None:
        """What happened to the wish since."""
        history = await self.store.load(stream_id("wish", story))
        first = history.commits[0]
        await self.store.append(
            history.next(
                facts,
                cause=Cause(CommandId("c"), "correlation"),
                town=first.town,
                profile=first.profile,
                occurred=NOW,
                recorded=NOW,
            )
        )

    async def facts(self, story: StoryId) -> list[AnyFact]:
        return (await self.store.load(stream_id("wish", story))).facts


@cache
def _built() -> tuple[FastAPI, Shelf, Keys, Arrivals]:
    store, keys, arrivals, towns = Shelf(), Keys(), Arrivals(), Towns(some_towns())
    wishes: Wishes = Wishes(WISH, store, HandClock(), keys)
    endpoints = APIRouter()
    endpoints.include_router(routes(WishDesk(wishes, keys, towns, arrivals, 0.1)))
    endpoints.include_router(import_routes(ImportDesk(wishes, keys, towns, arrivals, 0.1)))

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    doorkeeper = IDENTITY.doorkeeper(HOTLINE)
    app = create_app("intake", endpoints, doorkeeper, ready, towns.examples(), lifespan)
    return app, store, keys, arrivals


def bearer(role: Role = Role.OFFICER, **claims: Any) -> dict[str, str]:
    """The header under which somebody of the town asks."""
    return {"Authorization": f"Bearer {IDENTITY.token(role.value, **claims)}"}


def resident(account: str = JIA, **claims: Any) -> dict[str, str]:
    """The header under which a resident asks."""
    return bearer(Role.RESIDENT, sub=account, areas=[], **claims)


def matter(**changes: Any) -> Document:
    """What is the matter."""
    said = {
        "kind": "appeal",
        "category": "sanitation",
        "area": GRID,
        "channel": "visit",
        "words": "3号楼下水道堵了，污水流到路上。",
    }
    return {**said, **changes}
