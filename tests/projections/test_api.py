"""What a front end reads, straight from documents in a real database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from httpx import ASGITransport, AsyncClient

from services.projections.api import Reader, routes
from services.projections.folding import fold_poll
from services.projections.readmodel import ReadModel
from services.projections.views.registry import VIEWS
from shared.access import Role
from shared.access_log import AccessLog
from shared.keystore import KeyReader
from shared.mongo import Client, Database
from shared.web import create_app
from tests.build import (
    CASE_FACTS,
    INSTALLATION,
    NOW,
    STORY,
    WISH_FACTS,
    IdentityProvider,
    recorded,
    told,
)

pytestmark = pytest.mark.stack

IDENTITY = IdentityProvider()


@asynccontextmanager
async def front_end(mongo: Client, home: Database) -> AsyncIterator[AsyncClient]:
    """Somebody at the community desk, asking the read API over `home`."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    log = AccessLog(home)
    reader = Reader(ReadModel(mongo, home), KeyReader(home, INSTALLATION), log, 0.1)
    app = create_app("read", routes(reader), IDENTITY.doorkeeper(), ready, {}, lifespan)
    headers = {"Authorization": f"Bearer {IDENTITY.token(Role.COMMUNITY.value)}"}
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://town", headers=headers) as client:
        yield client


async def test_a_timeline_is_in_order_past_the_tenth_fact_of_one_moment(
    mongo: Client, home: Database
) -> None:
    """Ids sort as text, `@10` before `@9`; facts of one commit share their recorded time."""
    at = NOW + timedelta(hours=1)
    wish = told(WISH_FACTS, "wish")
    case = [recorded(r.fact, r.stream, r.version, at=at) for r in told(CASE_FACTS, "case")]
    changes = fold_poll([*wish, *case], {}, {}, VIEWS)
    await home["stories"].insert_many([dict(story) for story in changes.stories.values()])
    await home["timeline"].insert_many(changes.timeline)
    async with front_end(mongo, home) as client:
        entries = (await client.get(f"/v1/cases/{STORY}/timeline")).json()
    of_case = [entry["id"] for entry in entries if entry["id"].startswith("case-")]
    assert of_case == [r.id for r in case]
    assert await home["access_log"].count_documents({"stories": STORY}) == 1
