"""A real browser, and people who sign in with it at the one installation."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, ViewportSize, async_playwright

from deploy.demo.client import Client
from deploy.local.installation import Installation
from shared.access import Role
from tests.foreign import foreign

TOWN = "t3"
GRID = "t3/west/g8"
"""Cases of no other test are here."""
CREW = "sanitation-station"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

DESKTOP = ViewportSize(width=1280, height=900)

SignedIn = Callable[..., AbstractAsyncContextManager["Screen"]]


@dataclass
class Screen:
    """A page of somebody, and what the browser complained of."""

    page: Page
    home: str
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> Page:
        """Go to a page of the board."""
        await self.page.goto(self.home + path)
        return self.page

    def hear(self, message: ConsoleMessage) -> None:
        """A browser also says when a page itself is answered with 401 or 404: that is no fault."""
        of_itself = message.location.get("url") == self.page.url
        if message.type in ("error", "warning") and not (
            of_itself and message.text.startswith("Failed to load resource")
        ):
            self.complaints.append(f"{self.page.url}: {message.text}")


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """System Chromium, without a window."""
    path = foreign("chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        await running.close()


@pytest.fixture
def screen(browser: Browser, place: Installation) -> SignedIn:
    """`screen(role, …)`: somebody at the board; without a role nobody has signed in."""

    @asynccontextmanager
    async def somebody(
        role: Role | None = None, language: str = "zh-CN", phone: bool = False, **options: Any
    ) -> AsyncIterator[Screen]:
        home = place.url("projections")
        size = ViewportSize(width=390, height=844) if phone else DESKTOP
        context = await browser.new_context(viewport=size, locale=language, **options)
        if role is not None:
            token = token_of(place, role)
            await context.add_cookies([{"name": "wishgrid-token", "value": token, "url": home}])
        shown = Screen(await context.new_page(), home)
        shown.page.on("console", shown.hear)
        shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        yield shown
        await context.close()

    return somebody


def token_of(place: Installation, role: Role) -> str:
    """A token of somebody in this role."""
    areas = () if role in (Role.RESIDENT, Role.UNIT) else ("t3/west",)
    unit = CREW if role is Role.UNIT else None
    return place.secrets.token(role, f"browser-{role}", TOWN, areas, unit)


@dataclass
class People:
    """Those who move a case on, over HTTP."""

    resident: Client
    desk: Client
    crew: Client

    def submit(self, words: str) -> dict[str, Any]:
        """A new matter, and wait until it is opened."""
        wish = {"kind": "appeal", "category": "sanitation", "area": GRID, "channel": "wechat"}
        said = self.resident.submit({**wish, "title": words, "words": words})
        self.desk.get(f"/v1/cases/{said['story']}", at_least=said["position"], until="opened")
        return said

    def at_work(self, words: str) -> tuple[str, str]:
        """A matter whose unit has reported in: its story, and the position to go on from."""
        said = self.submit(words)
        story = said["story"]
        said = self.desk.do("accept", story, {}, said["position"])
        said = self.desk.do("dispatch", story, {"unit": CREW}, said["position"])
        said = self.crew.do("report", story, {}, said["position"])
        self.desk.get(f"/v1/cases/{story}", at_least=said["position"])
        return story, said["position"]


@pytest.fixture(scope="session")
def people(place: Installation) -> Iterator[People]:
    """They are the ones whom `screen` signs in."""
    known = People(
        Client(place, Role.RESIDENT, "browser-resident", TOWN),
        Client(place, Role.COMMUNITY, "browser-community", TOWN, ["t3/west"]),
        Client(place, Role.UNIT, "browser-unit", TOWN, unit=CREW),
    )
    yield known
    for client in (known.resident, known.desk, known.crew):
        client.close()


@pytest.fixture(scope="session")
def story(people: People) -> str:
    """A case in the middle of its way."""
    at_work, position = people.at_work("下水道堵了，污水流到路上，气味很大，老人出门要绕行。")
    noted = people.crew.do("progress", at_work, {"note": "车已在路上"}, position)
    people.desk.get(f"/v1/cases/{at_work}", at_least=noted["position"])
    people.submit("楼道灯不亮")
    return at_work
