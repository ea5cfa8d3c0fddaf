"""Every page in both languages on desk and phone: no complaint of the browser, none of axe."""

from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page

from shared.access import Role
from tests.browser.conftest import GRID, SignedIn

pytestmark = pytest.mark.stack

AXE: Final = Path(__file__).parents[1] / "node" / "node_modules" / "axe-core" / "axe.min.js"
RUN: Final = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
  .filter(each => ["serious", "critical"].includes(each.impact))
  .map(each => `${each.id}: ${each.nodes.map(node => node.html.slice(0, 200)).join(" | ")}`))"""
TOO_WIDE: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL: Final = """
  [...document.querySelectorAll("button, .menu a, .self a, .tiles .figure, summary")]
  .filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)"""
SIZES: Final = ((1280, 900), (390, 844), (360, 740))


def pages(story: str) -> list[tuple[Role | None, str]]:
    return [
        (Role.COMMUNITY, f"/board/overview?area={GRID}"),
        (Role.COMMUNITY, "/board/overview?area=t3/west"),
        (Role.COMMUNITY, f"/board/cases?area={GRID}&sort=due"),
        (Role.COMMUNITY, f"/board/cases/{story}"),
        (Role.COMMUNITY, "/board/desk?unit=sanitation-station"),
        (Role.COMMUNITY, "/board/cases?kind=nothing"),
        (Role.OVERSEER, f"/board/cases/{story}"),
        (Role.UNIT, "/board/desk"),
        (Role.RESIDENT, "/board/cases"),
        (None, "/board/overview"),
    ]


async def found_by_axe(page: Page) -> list[str]:
    """What axe finds serious or critical."""
    return list(await page.evaluate(f"{AXE.read_text(encoding='utf-8')};{RUN}"))


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_nobody_is_shut_out_of_a_page(screen: SignedIn, story: str, language: str) -> None:
    wrong: dict[str, Any] = {}
    for role, path in pages(story):
        async with screen(role, language) as shown:
            page = await shown.open(path)
            assert await page.locator("html").get_attribute("lang") == language
            await page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
            for width, height in SIZES:
                await page.set_viewport_size({"width": width, "height": height})
                faults = await found_by_axe(page) if width != 360 else []
                if (wide := await page.evaluate(TOO_WIDE)) > 0:
                    faults.append(f"{wide} pixels too wide")
                if width == 390:
                    faults += [f"too small to touch: {e}" for e in await page.evaluate(SMALL)]
                if faults:
                    wrong[f"{path} {role} {width}"] = faults
            if shown.complaints:
                wrong[f"{path} {role} console"] = shown.complaints
    assert wrong == {}


async def test_axe_is_awake(screen: SignedIn) -> None:
    """What it must find, it finds."""
    async with screen() as shown:
        page = await shown.open("/board/sign-in")
        await page.evaluate("document.querySelector('label').remove()")
        assert any(each.startswith("label:") for each in await found_by_axe(page))
