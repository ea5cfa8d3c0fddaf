"""The pages over a real database: what the read API says, for whoever may know it, as HTML."""

import html
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from httpx import Response

from services.projections.board.door import COOKIE, Door
from services.projections.views.numbers import NUMBERS
from shared.access import Role
from shared.mongo import Client, Database
from tests.build import CASE_FACTS, NOW, STORY, WISH_FACTS, a_town, told
from tests.projections.front_end import IDENTITY, FrontEnd, front_end
from tests.projections.model import RECIPE
from tests.projections.test_overview import figures
from tests.projections.test_report import a_mixed_half_year
from tests.projections.test_residents import ANNAS, BOS, CARLS_FOR_BO, SECRET, neighbours

stack = pytest.mark.stack

HOME = "http://town"
PERIOD = {"area": "t3", "from": "2026-03-20", "to": "2026-04-20"}


@asynccontextmanager
async def half_a_year(mongo: Client, home: Database) -> AsyncIterator[FrontEnd]:
    async with front_end(mongo, home, a_mixed_half_year(120, seed=8)) as house:
        house.clock.at = NOW + timedelta(days=60)
        yield house


async def page(house: FrontEnd, path: str, role: Role = Role.COMMUNITY, **claims: Any) -> str:
    """A page that is there."""
    answer = await house.ask(path, None, role, **claims)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def counted_links(text: str) -> Iterator[tuple[str, int]]:
    """Every number of a page that is a link, with where it leads."""
    found = re.findall(r'<a class="figure" href="([^"]*)"[^>]*><b>(\d+)</b>', text)
    yield from ((html.unescape(link), int(count)) for link, count in found)


def count_of(text: str) -> int:
    (found,) = re.findall(r'data-count="(\d+)"', text)
    return int(found)


@stack
async def test_the_numbers_of_the_overview_are_those_of_the_api(
    mongo: Client, home: Database
) -> None:
    async with half_a_year(mongo, home) as house:
        api = await house.told("/v1/overview", PERIOD)
        said = {each["cases"].replace("/v1/", "/board/"): each["count"] for each in figures(api)}
        shown = dict(counted_links(await page(house, f"/board/overview?{urlencode(PERIOD)}")))
        assert len(shown) > 80
        assert {link: said[link] for link in shown} == shown
        rows = [api, *api["kinds"], *api["areas"]]
        wanted = [n for n in NUMBERS if n not in ("otherwise", "on_the_spot", "fast")]
        must = [row["numbers"][number] for row in rows for number in wanted]
        must += [row["overdue"] for row in rows] + list(api["standing"].values())
        must += [d["numbers"]["open"] for d in api["days"] if d["numbers"]["received"]["count"]]
        assert {each["cases"].replace("/v1/", "/board/") for each in must} <= shown.keys()


@stack
async def test_a_number_leads_to_a_list_that_says_that_very_count(
    mongo: Client, home: Database
) -> None:
    async with half_a_year(mongo, home) as house:
        links = dict(counted_links(await page(house, f"/board/overview?{urlencode(PERIOD)}")))
        some = {link: n for link, n in links.items() if n and ("kind=" in link or "&" not in link)}
        some |= dict(list(links.items())[::5])
        assert len(some) > 20
        for link, count in some.items():
            assert (link, count_of(await page(house, link))) == (link, count)


@stack
async def test_a_number_stands_with_what_it_is_of(mongo: Client, home: Database) -> None:
    async with half_a_year(mongo, home) as house:
        told_ = await house.told("/v1/overview", PERIOD)
        still_open = told_["numbers"]["open"]["count"]
        received = told_["numbers"]["received"]["count"]
        text = await page(house, f"/board/overview?{urlencode(PERIOD)}")
        assert f'aria-label="未办结 {still_open} / {received}"' in text
        assert f"占收到的 {round(100 * still_open / received)} %" in text
        listed = await page(house, "/board/cases?number=open")
        every = count_of(await page(house, "/board/cases"))
        assert f"符合条件 {count_of(listed)} 件，可见共 {every} 件" in listed


@stack
async def test_next_leads_through_the_whole_list_each_case_once(
    mongo: Client, home: Database
) -> None:
    async with half_a_year(mongo, home) as house:
        link, seen = "/board/cases?limit=50&sort=due&state=accepted&lang=en", []
        while link:
            text = await page(house, link)
            seen += re.findall(r'id="case-([0-9a-f-]{36})"', text)
            following = re.search(r'rel="next" href="([^"]*)"', text)
            link = html.unescape(following[1]) if following else ""
            assert "lang=" not in link
        rows = await house.all_pages("/v1/cases", {"sort": "due", "state": "accepted"})
        assert seen == [row["story"] for row in rows]
        assert len(seen) == count_of(text)


MAY_SEE = {
    "/board/overview": {Role.OFFICER, Role.COMMUNITY, Role.STREET, Role.OVERSEER},
    "/board/cases": set(Role) - {Role.SYSTEM},
    "/board/desk": {Role.UNIT, Role.COMMUNITY, Role.STREET},
}


@stack
async def test_each_role_has_its_pages_its_menu_and_its_first_page(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for role in set(Role) - {Role.SYSTEM}:
            for path, roles in MAY_SEE.items():
                answer = await house.ask(path, None, role)
                assert (role, path, answer.status_code) == (
                    role,
                    path,
                    200 if role in roles else 403,
                )
            menu = set(
                re.findall(r'<a href="(/board/[a-z]+)"', await page(house, "/board/cases", role))
            )
            assert all(role in MAY_SEE[link] for link in menu)
            first = await house.ask("/board", None, role)
            assert first.status_code == 303
            assert role in MAY_SEE[first.headers["location"]]
        system = await house.ask("/board/cases", None, Role.SYSTEM)
        assert system.status_code == 403


@stack
async def test_a_case_page_tells_its_story_by_its_terms_in_order(
    mongo: Client, home: Database
) -> None:
    later = NOW + timedelta(seconds=20)
    facts = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case", start=later)]
    async with front_end(mongo, home, facts, a_town(), RECIPE) as house:
        text = await page(house, f"/board/cases/{STORY}?lang=en")
        terms = re.findall(r'<b lang="zh-CN">([^<]*)</b> <span class="beside">([^<]*)', text)
        assert [term for term in terms if term[0] in ("点单", "立案", "受理", "重开", "结案")] == [
            ("点单", "Wish submitted"),
            ("立案", "Case opened"),
            ("受理", "Case accepted"),
            ("重开", "Case reopened"),
            ("结案", "Case closed"),
        ]
        assert len(terms) == len(facts)
        assert "2026-03-02 16:01" in text  # NOW is 8:00 UTC, its first minute in Shanghai


@stack
async def test_texts_are_shown_to_those_who_may_read_them_and_always_as_text(
    mongo: Client, home: Database
) -> None:
    async with neighbours(mongo, home) as house:
        path = f"/board/cases/{ANNAS}"
        assert SECRET in await page(house, path)
        assert SECRET in await page(house, path, Role.RESIDENT, sub="wx-anna")
        overseer = await page(house, path, Role.OVERSEER)
        assert SECRET not in overseer
        assert "不公开" in overseer
        listed = await page(house, "/board/cases", Role.OVERSEER)
        assert SECRET not in listed
        assert "不公开" in listed


@stack
async def test_a_resident_meets_nobody_elses_case_on_any_page(
    mongo: Client, home: Database
) -> None:
    async with neighbours(mongo, home) as house:
        await home["case_list"].delete_one({"_id": ANNAS})
        for query in ("", "?overdue=true", "?number=received", "?area=t3&only=true", "?sort=due"):
            text = await page(house, f"/board/cases{query}", Role.RESIDENT, sub="wx-anna")
            assert BOS not in text
            assert CARLS_FOR_BO not in text
        theirs = await house.ask(f"/board/cases/{BOS}", None, Role.RESIDENT, sub="wx-anna")
        nobody = f"/board/cases/{BOS.replace('b', 'c')}"
        none = await house.ask(nobody, None, Role.RESIDENT, sub="wx-anna")
        assert (theirs.status_code, none.status_code) == (404, 404)
        assert theirs.text.replace(BOS, "") == none.text.replace(BOS.replace("b", "c"), "")
        assert SECRET not in theirs.text


@stack
async def test_words_of_residents_are_never_markup(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, told(WISH_FACTS, "wish"), a_town(), RECIPE) as house:
        seal = await key_of_resident(house)
        box = seal.seal(STORY, "title", '<script>alert("1")</script>')
        await home["case_list"].update_one({"_id": STORY}, {"$set": {"title": box.model_dump()}})
        text = await page(house, "/board/cases")
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(&#34;1&#34;)" in text


async def key_of_resident(house: FrontEnd) -> Any:
    from tests.build import RESIDENT
    from tests.projections.front_end import key_of

    return await key_of(house.home, RESIDENT)


WRONG = [
    ("/board/nowhere", 404, "no-such-path", "没有这一页", "There is no such page"),
    (f"/board/cases/{STORY}", 404, "unknown-story", "没有这个案件", "There is no such case"),
    ("/board/cases/x", 422, "invalid-request", "有一项填写不对", "not filled in properly"),
    ("/board/cases?kind=nothing", 422, "unknown-kind", "没有这个类别", "has no such kind"),
    ("/board/cases?colour=red", 422, "unknown-parameter", "没有这个筛选项", "no such filter"),
    ("/board/cases?after=bm8=", 422, "bad-cursor", "翻页位置无效", "is not known"),
    ("/board/cases?only=true", 422, "area-missing", "请说明要看哪个区域", "Say which area"),
    ("/board/overview?area=t3/nowhere", 422, "unknown-area", "没有这个区域", "no such area"),
    ("/board/desk?unit=nobody", 422, "unknown-unit", "没有这个单位", "no such unit"),
    ("/board/cases?lang=fr", 422, "invalid-request", "有一项填写不对", "not filled in properly"),
    ("/board/static/nothing.css", 404, "unknown-story", "没有这个案件", "There is no such case"),
]


@stack
async def test_what_goes_wrong_on_a_page_is_a_page_with_the_same_status_and_code_in_words(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for path, status, code, *sentences in WRONG:
            for language, said in zip(("zh", "en"), sentences, strict=True):
                house.client.headers["accept-language"] = language
                answer = await house.ask(path)
                found = (path, answer.status_code, answer.headers["content-type"][:9])
                assert found == (path, status, "text/html")
                assert said in answer.text
                assert code in answer.text


@stack
async def test_a_mistake_of_ours_is_a_page_too_and_the_api_keeps_its_problems(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, told(WISH_FACTS, "wish"), a_town(), RECIPE) as house:
        await home["case_list"].update_one({"_id": STORY}, {"$set": {"moved": "lost"}})
        answer = await house.ask("/board/cases")
        assert (answer.status_code, answer.headers["content-type"][:9]) == (500, "text/html")
        assert "我们出错了" in answer.text
        api = await house.ask("/v1/cases")
        assert (api.status_code, api.json()["code"]) == (500, "our-mistake")
        wrong = await house.client.get("/board/sign-in", params={"lang": "en", "x": "1"})
        assert wrong.status_code == 200
        refused = await house.client.delete("/board/cases")
        assert (refused.status_code, refused.headers["content-type"][:9]) == (405, "text/html")
        assert refused.headers["allow"] == "GET"


@stack
async def test_every_page_is_sent_so_that_nothing_foreign_can_run_or_frame_it(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for path in ("/board/overview", "/board/cases", "/board/sign-in", "/board/nowhere"):
            headers = (await house.ask(path)).headers
            policy = dict(
                each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == policy["style-src"] == "'self'"
            assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cache-control"] == "no-store"


@stack
async def test_files_of_pages_are_kept_for_ever_under_their_digest_and_asked_for_again_without(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        text = (await house.client.get("/board/sign-in")).text
        found = re.findall(r'(?:href|src)="(/board/static/[^"]*\?v=[0-9a-f]+)"', text)
        assert len(found) >= 3
        for link in found:
            answer = await house.client.get(link)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["x-content-type-options"] == "nosniff"
            plain = await house.client.get(link.partition("?")[0])
            assert plain.headers["cache-control"] == "no-cache"
            other = await house.client.get(link[:-4] + "0000")
            assert (other.content, other.headers["cache-control"]) == (answer.content, "no-cache")
        for name in ("..%2Fsite.py", "vendor", "words.yaml"):
            assert (await house.client.get(f"/board/static/{name}")).status_code == 404


@stack
async def test_a_form_may_leave_fields_empty_the_api_may_not(mongo: Client, home: Database) -> None:
    async with half_a_year(mongo, home) as house:
        form = "?area=&state=accepted&kind=&category=&number=&from=&to=&sort=-submitted"
        listed = await page(house, f"/board/cases{form}")
        rows = await house.all_pages("/v1/cases", {"state": "accepted"})
        assert count_of(listed) == len(rows) > 0
        assert (await house.ask(f"/v1/cases{form}")).status_code == 422


async def sign_in(house: FrontEnd, token: str, to: str = "", **headers: str) -> Response:
    body = urlencode({"token": token, "to": to})
    said = {"Origin": HOME, "Content-Type": "application/x-www-form-urlencoded", **headers}
    return await house.client.post("/board/sign-in", content=body, headers=said)


@stack
async def test_who_signs_in_is_led_where_they_came_from_and_known_from_then_on_for_reading(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        asked = await house.client.get("/board/cases?state=closed")
        assert (asked.status_code, asked.headers["content-type"][:9]) == (401, "text/html")
        assert "请先登录" in asked.text
        assert 'name="to" value="/board/cases?state=closed"' in asked.text
        answer = await sign_in(house, IDENTITY.token("community"), "/board/cases?state=closed")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/board/cases?state=closed",
        )
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert "Max-Age" not in cookie
        house.client.cookies.set(COOKIE, IDENTITY.token("community"))
        text = (await house.client.get("/board/cases")).text
        assert "退出" in text
        assert (await house.client.get("/v1/town")).status_code == 200  # the stream of changes too
        out = await house.client.post("/board/sign-out", headers={"Origin": HOME})
        assert out.status_code == 303
        assert f'{COOKIE}=""' in out.headers["set-cookie"]
        assert "Max-Age=0" in out.headers["set-cookie"]


@stack
async def test_on_this_machine_the_cookie_may_go_without_tls(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, []) as house:
        for host, secure in (("127.0.0.1:8031", False), ("localhost", False), ("board.town", True)):
            answer = await sign_in(
                house, IDENTITY.token("officer"), Host=host, Origin=f"http://{host}"
            )
            assert (host, "Secure" in answer.headers["set-cookie"]) == (host, secure)


@stack
async def test_a_token_that_does_not_hold_is_answered_with_a_sentence_and_its_cookie_taken_away(
    mongo: Client, home: Database
) -> None:
    bad = ["", "nonsense", IDENTITY.token("officer", exp=1), IDENTITY.token("officer", iss="other")]
    async with front_end(mongo, home, []) as house:
        for token in (*bad, "x" * 9000):
            answer = await sign_in(house, token)
            assert (answer.status_code, answer.headers["content-type"][:9]) == (401, "text/html")
            assert "请重新登录" in answer.text
            assert "set-cookie" not in answer.headers
            assert not token or token[:40] not in answer.text
        house.client.cookies.set(COOKIE, bad[2])
        answer = await house.client.get("/board/overview")
        assert answer.status_code == 401
        assert "通行证已过期" in answer.text
        assert f'{COOKIE}=""' in answer.headers["set-cookie"]
        house.client.cookies.set(COOKIE, bad[2])
        api = await house.client.get("/v1/cases")
        assert (api.status_code, api.json()["code"]) == (401, "unauthenticated")


@stack
async def test_a_form_that_another_site_sends_signs_nobody_in_or_out(
    mongo: Client, home: Database
) -> None:
    async with front_end(mongo, home, []) as house:
        for origin in ("https://evil.example", "null", "", "http://town.evil.example", "//"):
            for path in ("/board/sign-in", "/board/sign-out"):
                body = urlencode({"token": IDENTITY.token("officer")})
                answer = await house.client.post(path, content=body, headers={"Origin": origin})
                assert (origin, answer.status_code) == (origin, 409)
                assert "set-cookie" not in answer.headers
        answer = await sign_in(house, IDENTITY.token("officer"), "//evil.example/board")
        assert answer.headers["location"] == "/board"


async def sent_on(method: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> dict[str, Any]:
    """The request as it comes out of the door."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {
        "type": "http",
        "method": method,
        "path": "/board/cases",
        "query_string": query,
        "headers": list(headers),
    }
    await Door(app)(scope, absent, absent)
    (found,) = seen
    told_: dict[str, Any] = found
    return told_


async def absent(*_: Any) -> Any:
    return None


async def test_the_cookie_becomes_the_header_for_reading_only_and_never_over_another() -> None:
    cookie = (b"cookie", f"a=b; {COOKIE}=abc.def; c=d".encode())
    for method in ("GET", "HEAD"):
        headers = dict((await sent_on(method, cookie))["headers"])
        assert headers[b"authorization"] == b"Bearer abc.def"
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert b"authorization" not in dict((await sent_on(method, cookie))["headers"])
    for own in ((b"authorization", b"Bearer own"), (b"x-api-key", b"own")):
        headers = dict((await sent_on("GET", cookie, own))["headers"])
        assert headers.get(b"authorization") == (own[1] if own[0] == b"authorization" else None)


async def test_what_a_form_left_empty_is_not_asked() -> None:
    asked = await sent_on("GET", query=b"area=&state=closed&kind=&from=2026-03-01")
    assert asked["query_string"] == b"state=closed&from=2026-03-01"


@stack
async def test_a_language_once_chosen_stays_and_a_link_keeps_what_was_asked(
    mongo: Client, home: Database
) -> None:
    async with half_a_year(mongo, home) as house:
        text = await page(house, "/board/cases?state=closed")
        assert '<html lang="zh-CN">' in text
        (switch,) = re.findall(r'href="([^"]*lang=en)"', text)
        assert html.unescape(switch) == "/board/cases?state=closed&lang=en"
        answer = await house.ask(html.unescape(switch))
        assert '<html lang="en">' in answer.text
        assert "wishgrid-lang=en" in answer.headers["set-cookie"]
        assert '<html lang="en">' in await page(house, "/board/overview")  # the client kept it
        assert "占收到的" not in await page(house, "/board/overview")


@stack
async def test_a_desk_shows_what_the_api_says_of_it(mongo: Client, home: Database) -> None:
    async with half_a_year(mongo, home) as house:
        for unit in ("drains", "lights", "police"):
            for query in ({}, {"stand": "done"}, {"overdue": "true"}):
                api = await house.told("/v1/desk", query, Role.UNIT, unit=unit)
                text = await page(house, f"/board/desk?{urlencode(query)}", Role.UNIT, unit=unit)
                shown = re.findall(r'id="case-([0-9a-f-]{36})"', text)
                assert shown == [row["story"] for row in api["items"]]
        assert "请选择" in await page(house, "/board/desk")


@stack
async def test_reading_a_page_is_noted_like_reading_the_api(mongo: Client, home: Database) -> None:
    facts = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case")]
    async with front_end(mongo, home, facts, a_town(), RECIPE) as house:
        await page(house, f"/board/cases/{STORY}")
        await page(house, "/board/cases")
        noted = await home["access_log"].distinct("purpose", {"stories": STORY})
        assert set(noted) == {"read-case", "read-timeline", "list-cases"}
