"""Who has an answer already is told so, and no more; they are asked and noted as always."""

from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response
from starlette.responses import JSONResponse

from shared.access import Role
from shared.conditional import Conditional
from shared.mongo import Client, Database
from shared.web import api_routes
from tests.build import CASE_FACTS, STORY, WISH_FACTS, a_town, told
from tests.projections.front_end import IDENTITY, FrontEnd, front_end
from tests.projections.model import RECIPE

pytestmark = pytest.mark.stack

PATHS = {
    "/v1/cases": Role.COMMUNITY,
    f"/v1/cases/{STORY}": Role.COMMUNITY,
    f"/v1/cases/{STORY}/timeline": Role.COMMUNITY,
    "/v1/desk": Role.UNIT,
    "/v1/my-wishes": Role.RESIDENT,
    "/v1/overview?area=t3": Role.COMMUNITY,
    "/v1/report?area=t3&from=2026-03-01&to=2026-03-31": Role.COMMUNITY,
    "/v1/town": Role.COMMUNITY,
}


async def ask(house: FrontEnd, path: str, role: Role, known: str = "", **claims: Any) -> Response:
    token = IDENTITY.token(role.value, **{"areas": ["t3"], **claims})
    headers = {"Authorization": f"Bearer {token}", "If-None-Match": known}
    return await house.client.get(path, headers=headers)


async def test_every_answer_in_json_is_sent_once_to_who_keeps_it(
    mongo: Client, home: Database
) -> None:
    facts = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case")]
    async with front_end(mongo, home, facts, a_town(), RECIPE) as house:
        paths = {str(r.path) for r in api_routes(house.app) if r.include_in_schema}
        paths -= {"/v1/changes"}
        assert {p.partition("?")[0].replace(STORY, "{story}") for p in PATHS} == paths
        for path, role in PATHS.items():
            first = await ask(house, path, role)
            tag = first.headers["etag"]
            for known in (tag, f'"other", W/{tag}', "*"):
                again = await ask(house, path, role, known)
                assert (path, again.status_code, again.content) == (path, 304, b"")
                assert again.headers["etag"] == tag
                assert "content-type" not in again.headers
            for answer in (first, again):
                assert answer.headers["cache-control"] == "private, no-cache"
                assert answer.headers["vary"] == "Authorization, X-API-Key, Cookie"
            for known in ("", '"other"', tag.strip('"'), "nonsense,,"):
                full = await ask(house, path, role, known)
                assert (full.status_code, full.content) == (200, first.content)


async def test_who_is_answered_304_has_been_asked_and_noted_as_ever(
    mongo: Client, home: Database
) -> None:
    facts = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case")]
    path = f"/v1/cases/{STORY}"
    async with front_end(mongo, home, facts, a_town(), RECIPE) as house:
        tag = (await ask(house, path, Role.COMMUNITY)).headers["etag"]
        assert (await ask(house, path, Role.COMMUNITY, tag)).status_code == 304
        assert await home["access_log"].count_documents({"purpose": "read-case"}) == 2
        stranger = await ask(house, path, Role.COMMUNITY, tag, areas=["t3/west/g5"])
        assert (stranger.status_code, stranger.json()["code"]) == (404, "unknown-story")
        late = await ask(house, f"{path}?at_least=wish-{STORY}@99", Role.COMMUNITY, tag)
        assert (late.status_code, late.json()["code"]) == (503, "not-yet")
        assert "etag" not in late.headers
        name = {"_id": STORY}
        await home["stories"].update_one(name, {"$set": {"v.wish": 98}})
        changed = await ask(house, path, Role.COMMUNITY, tag)
        assert (changed.status_code, changed.json()["versions"]["wish"]) == (200, 98)


async def test_what_is_read_by_the_cookie_is_not_kept_by_the_browser(
    mongo: Client, home: Database
) -> None:
    facts = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case")]
    path = f"/v1/cases/{STORY}"
    async with front_end(mongo, home, facts, a_town(), RECIPE) as house:
        token = IDENTITY.token(Role.COMMUNITY.value, areas=["t3"])
        cookie = {"Cookie": f"wishgrid-token={token}"}
        read = await house.client.get(path, headers=cookie)
        again = {**cookie, "If-None-Match": read.headers["etag"]}
        unchanged = await house.client.get(path, headers=again)
        refused = await house.client.get("/v1/cases?state=nonsense", headers=cookie)
        assert [a.status_code for a in (read, unchanged, refused)] == [200, 304, 422]
        for answer in (read, unchanged, refused):
            assert answer.headers["cache-control"] == "no-store"


async def test_what_an_answer_varies_by_already_is_kept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = JSONResponse({}, headers={"vary": "Accept-Language, Cookie"})
        await answer(scope, receive, send)

    async with AsyncClient(transport=ASGITransport(Conditional(app)), base_url="http://t") as ask:
        said = (await ask.get("/")).headers["vary"]
    assert said == "Accept-Language, Cookie, Authorization, X-API-Key"
