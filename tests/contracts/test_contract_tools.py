"""The contract under the tools of others: AsyncAPI's parser, Spectral, and a browser offline."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import ConsoleMessage, Request, async_playwright

from deploy.contract.document import asyncapi
from deploy.contract.page import contract_page
from shared.contracts.answer_codes import ANSWER_CODES
from shared.contracts.registry import FACTS
from tests.foreign import foreign

pytestmark = pytest.mark.stack

NODE: Final = Path(__file__).parents[1] / "node"
SPECTRAL: Final = (
    NODE / "node_modules/@stoplight/spectral-cli/dist/index.js",
    "lint",
    "--ruleset",
    NODE / "spectral.yaml",
    "--fail-severity=warn",
)
SIZES: Final = {"desktop": (1280, 900), "phone": (360, 740)}


def judged(document: dict[str, Any], folder: Path, *tool: str | Path) -> tuple[int, str]:
    """What a tool of Node's says of a document, and whether it passes (0)."""
    file = folder / "asyncapi.json"
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    argv = [foreign("node"), *map(str, tool), str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_the_parser_of_asyncapi_finds_no_fault(tmp_path: Path) -> None:
    code, said = judged(asyncapi(), tmp_path, NODE / "asyncapi.mjs")
    assert code == 0, said


def test_the_parser_of_asyncapi_finds_a_fault(tmp_path: Path) -> None:
    broken = asyncapi()
    broken["operations"]["readFacts"]["channel"]["$ref"] = "#/channels/nowhere"
    code, said = judged(broken, tmp_path, NODE / "asyncapi.mjs")
    assert code == 1
    assert "nowhere" in said


def test_spectral_finds_no_fault(tmp_path: Path) -> None:
    code, said = judged(asyncapi(), tmp_path, *SPECTRAL)
    assert code == 0, said


def test_spectral_finds_what_is_not_described(tmp_path: Path) -> None:
    broken = asyncapi()
    del broken["operations"]["readFacts"]["description"]
    code, said = judged(broken, tmp_path, *SPECTRAL)
    assert code == 1
    assert "asyncapi-3-operation-description" in said


@pytest.mark.parametrize("size", SIZES)
async def test_the_page_needs_no_network_and_fits(tmp_path: Path, size: str) -> None:
    file = tmp_path / "index.html"
    file.write_text(contract_page(), encoding="utf-8")
    width, height = SIZES[size]
    asked: list[str] = []
    faults: list[str] = []

    def on_request(request: Request) -> None:
        asked.append(request.url)

    def on_console(message: ConsoleMessage) -> None:
        faults.append(message.text)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=foreign("chromium"), args=["--no-sandbox"]
        )
        context = await browser.new_context(
            viewport={"width": width, "height": height}, offline=True
        )
        page = await context.new_page()
        page.on("request", on_request)
        page.on("console", on_console)
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(file.as_uri())
        wide = await page.evaluate("document.documentElement.scrollWidth")
        headings = await page.locator("h2").all_inner_texts()
        codes = await page.locator("#codes ~ div td:first-child").all_inner_texts()
        await page.locator("summary", has_text="case-closed.v1").click()
        closed = await page.locator("[id='fact-case-closed.v1']").inner_text()
        dead = await page.evaluate(
            "[...document.querySelectorAll('a')].filter(a => !document.querySelector("
            "a.getAttribute('href'))).length"
        )
        await browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert faults == []
    assert wide <= width
    assert "The facts" in headings
    assert set(ANSWER_CODES) <= set(codes)
    assert "结案, 销号" in closed
    assert dead == 0


def test_the_page_shows_every_fact_and_both_sides_of_a_partner() -> None:
    page = contract_page()
    assert [tag for tag in FACTS if f'id="fact-{tag}"' not in page] == []
    for word in ("wishgrid.inbound.{partner}.v1", "wishgrid.answers.{partner}.v1", "kcat"):
        assert word in page
