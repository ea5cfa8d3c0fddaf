"""People at the board: signing in, numbers that lead to their cases, news without a reload."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from deploy.local.installation import Installation
from shared.access import Role
from tests.browser.conftest import GRID, People, SignedIn, token_of

pytestmark = pytest.mark.stack

PATIENCE = 30_000
"""Milliseconds: a busy machine is no reason to fail."""
COUNTS_STREAMS = """
  const opened = [], Real = EventSource;
  window.EventSource = class extends Real {
    constructor(...those) { super(...those); opened.push(this); }
  };
  window.streams = () => opened.filter((each) => each.readyState !== Real.CLOSED).length;
  window.look = (here) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => !here });
    document.dispatchEvent(new Event("visibilitychange"));
  };
"""
"""How many streams a page has open, and looking at it or away."""


async def live(page: Page) -> None:
    """Wait until the page says that it is."""
    await expect(page.locator("#liveness")).to_have_text(
        re.compile("实时更新中|Live"), timeout=PATIENCE
    )


async def test_who_signs_in_comes_to_numbers_that_lead_to_the_cases_they_count(
    screen: SignedIn, place: Installation, people: People, story: str
) -> None:
    told = people.desk.get("/v1/overview", area=GRID)
    token = token_of(place, Role.COMMUNITY)
    async with screen() as shown:
        page = await shown.open(f"/board/overview?area={GRID}")
        await expect(page.get_by_text("请先登录")).to_be_visible()
        await page.get_by_label("通行证").fill(token)
        await page.get_by_role("button", name="登录").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("第八网格")
        assert token not in page.url
        (cookie,) = [c for c in await page.context.cookies() if c["name"] == "wishgrid-token"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        for section, numbers in (("now", told["standing"]), ("period", told["numbers"])):
            for number in ("open", "received"):
                if number not in numbers:
                    continue
                await shown.open(f"/board/overview?area={GRID}")
                link = numbers[number]["cases"].replace("/v1/", "/board/")
                tile = page.locator(f"section[aria-labelledby={section}] a[href='{link}']")
                await expect(tile.locator("b")).to_have_text(str(numbers[number]["count"]))
                await tile.click()
                count = page.locator(".count")
                await expect(count).to_have_attribute("data-count", str(numbers[number]["count"]))
                await expect(page.locator("tr[id^=case-]")).to_have_count(numbers[number]["count"])
        await page.get_by_role("button", name="退出").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("登录")
        await shown.open("/board/cases")
        await expect(page.get_by_text("请先登录")).to_be_visible()
        assert shown.complaints == []


async def test_a_language_is_chosen_with_one_click_and_kept(screen: SignedIn, story: str) -> None:
    async with screen(Role.COMMUNITY, phone=True) as shown:
        page = await shown.open(f"/board/cases/{story}")
        await page.get_by_role("link", name="English").click()
        await expect(page.get_by_role("heading", name="What happened")).to_be_visible()
        steps = page.locator(".timeline .what")
        for n, said in enumerate(("点单 Wish submitted", "立案 Case opened", "受理 Case accepted")):
            await expect(steps.nth(n)).to_have_text(said)
        await shown.open("/board/overview")
        assert await page.locator("html").get_attribute("lang") == "en"


async def test_what_happens_to_a_case_appears_on_its_page_without_a_reload(
    screen: SignedIn, people: People
) -> None:
    story, position = people.at_work("井盖松动")
    async with screen(Role.COMMUNITY) as shown:
        page = await shown.open(f"/board/cases/{story}")
        await live(page)
        await page.evaluate("window.here = 'still'")
        await page.locator("#technical summary").click()
        await page.locator("#technical summary").focus()
        stood = await page.evaluate("scrollTo({top: 120, behavior: 'instant'}), scrollY")
        done = {"outcome": "resolved", "note": "已更换井盖"}
        people.crew.do("resolve", story, done, position)
        await expect(page.locator(".stands .state").first).to_have_text("已办结", timeout=PATIENCE)
        await expect(page.get_by_text("已更换井盖")).to_be_visible()
        await expect(page.locator(".timeline .what", has_text="邀请评单")).to_be_visible(
            timeout=PATIENCE
        )
        assert await page.evaluate("window.here") == "still"
        assert await page.locator("#technical").get_attribute("open") is not None
        assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert await page.evaluate("window.scrollY") == stood
        assert shown.complaints == []


async def test_numbers_and_lists_follow_and_what_somebody_types_stays(
    screen: SignedIn, people: People, story: str
) -> None:
    async with screen(Role.COMMUNITY) as shown, screen(Role.RESIDENT) as own:
        overview = await shown.open(f"/board/overview?area={GRID}")
        mine = await own.open("/board/cases")
        await live(overview)
        await live(mine)
        before = people.desk.get("/v1/overview", area=GRID)["numbers"]["received"]["count"]
        await overview.locator("input[name=from]").fill("2026-01-02")
        people.submit("健身器材坏了")
        tile = overview.locator("section[aria-labelledby=period] .figure b").first
        await expect(tile).to_have_text(str(before + 1), timeout=PATIENCE)
        await expect(mine.get_by_role("link", name="健身器材坏了")).to_be_visible(timeout=PATIENCE)
        assert await overview.locator("input[name=from]").input_value() == "2026-01-02"
        assert (shown.complaints, own.complaints) == ([], [])


async def test_a_page_says_since_when_it_is_not_live_and_catches_up(
    screen: SignedIn, people: People
) -> None:
    async with screen(Role.COMMUNITY, "en") as shown:
        away: list[Any] = []

        async def refuse(route: Any) -> None:
            away.append(route)
            await route.abort()

        await shown.page.context.route("**/v1/changes", refuse)
        page = await shown.open(f"/board/cases?area={GRID}")
        said = page.locator("#liveness")
        await expect(said).to_have_text(
            re.compile(r"Not live since \d\d:\d\d:\d\d"), timeout=PATIENCE
        )
        people.submit("断线时提交的")
        await expect(page.get_by_role("link", name="断线时提交的")).to_have_count(0)
        await shown.page.context.unroute("**/v1/changes")
        await live(page)
        await expect(page.get_by_role("link", name="断线时提交的")).to_be_visible(timeout=PATIENCE)
        assert away


async def test_a_page_that_nobody_looks_at_gives_its_stream_back(
    screen: SignedIn, story: str
) -> None:
    async with screen(Role.COMMUNITY) as shown:
        await shown.page.add_init_script(COUNTS_STREAMS)
        page = await shown.open(f"/board/cases/{story}")
        await live(page)
        for _ in range(3):
            await page.evaluate("look(false)")
            assert await page.evaluate("streams()") == 0
            await page.evaluate("look(true)")
            assert await page.evaluate("streams()") == 1
        await live(page)
        assert shown.complaints == []


async def test_without_scripts_all_is_there_and_it_says_that_it_does_not_update_itself(
    screen: SignedIn, story: str
) -> None:
    async with screen(Role.COMMUNITY, java_script_enabled=False) as shown:
        page = await shown.open(f"/board/cases/{story}")
        await expect(page.locator("#liveness")).to_contain_text("不自动更新")
        await expect(page.locator(".timeline li")).not_to_have_count(0)
        await shown.open("/board/cases")
        await page.locator("#filter summary").click()
        await page.get_by_label("状态").select_option("underway")
        await page.get_by_role("button", name="查看").click()
        assert "state=underway" in page.url
        await expect(page.locator(f"#case-{story}")).to_be_visible()


async def test_the_keyboard_reaches_the_content_first(screen: SignedIn) -> None:
    async with screen(Role.COMMUNITY) as shown:
        page = await shown.open("/board/cases")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
