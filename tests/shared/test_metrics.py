"""What a process tells Prometheus: to anybody, without ids, and also when half of it is away."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from pymongo.errors import AutoReconnect

from shared import metrics as module
from shared.access import Principal, Role
from shared.errors import Refused
from shared.metrics import Metrics, Reading, counter, faults, gauge, gauges
from shared.web import Allow, create_app
from tests.build import STORY, IdentityProvider

IDENTITY = IdentityProvider()
OFFICERS = Annotated[Principal, Depends(Allow(Role.OFFICER))]

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """By name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def requests(found: Samples) -> dict[tuple[str, ...], float]:
    """By method, path and status."""
    return {
        tuple(value for _, value in labels): count
        for (name, labels), count in found.items()
        if name == "wishgrid_http_requests_total"
    }


def endpoints() -> APIRouter:
    outer, routes = APIRouter(), APIRouter(prefix="/v1")

    @routes.get("/stories/{story}")
    async def story(story: str, who: OFFICERS) -> str:
        return story

    @routes.post("/refused")
    async def refused(who: OFFICERS) -> None:
        raise Refused("no-such-thing")

    @routes.get("/bug")
    async def bug(who: OFFICERS) -> None:
        raise RuntimeError("ours")

    outer.include_router(routes)
    return outer


def app_with(metrics: Metrics | None = None) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    return create_app(
        "of the test", endpoints(), IDENTITY.doorkeeper(), ready, {}, lifespan, metrics
    )


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://town") as client:
        yield client


async def scraped(client: AsyncClient) -> Samples:
    """As Prometheus asks: without credentials."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


async def test_answers_are_counted_by_the_template_of_their_path() -> None:
    officer = IDENTITY.bearer(Role.OFFICER)
    async with client_of(app_with()) as client:
        for _ in range(2):
            await client.get(f"/v1/stories/{STORY}", headers=officer)
        await client.get(f"/v1/stories/{STORY}")
        await client.post("/v1/refused", headers=officer)
        await client.get(f"/nowhere/{STORY}", headers=officer)
        found = await scraped(client)
        assert STORY not in (await client.get("/metrics")).text
    assert requests(found) == {
        ("GET", "/v1/stories/{story}", "200"): 2,
        ("GET", "/v1/stories/{story}", "401"): 1,
        ("POST", "/v1/refused", "409"): 1,
        ("GET", "(no route)", "404"): 1,
    }


async def test_a_bug_is_counted_though_its_answer_goes_past_everybody() -> None:
    async with client_of(app_with()) as client:
        answer = await client.get("/v1/bug", headers=IDENTITY.bearer(Role.OFFICER))
        assert answer.status_code == 500
        assert requests(await scraped(client)) == {("GET", "/v1/bug", "500"): 1}


async def test_health_and_scrapes_are_not_counted() -> None:
    async with client_of(app_with()) as client:
        for path in ("/livez", "/readyz", "/metrics", "/metrics"):
            await client.get(path)
        assert requests(await scraped(client)) == {}


async def test_two_apps_of_one_process_count_apart() -> None:
    async with client_of(app_with()) as one, client_of(app_with()) as other:
        await one.get("/nowhere")
        assert requests(await scraped(one)) == {("GET", "(no route)", "404"): 1}
        assert requests(await scraped(other)) == {}


async def test_numbers_are_those_of_the_moment() -> None:
    size = 1

    def held() -> list[Metric]:
        return [
            gauge("wishgrid_size", "how large", size),
            counter("wishgrid_things", "how many", 10 * size),
            faults({"relay": size > 1}),
        ]

    async def read() -> list[Metric]:
        return [gauges("wishgrid_lag", "how far", "partition", {"0": size, "1": 2 * size})]

    metrics = Metrics(held, {"lag": read})
    for size in (1, 3):  # `held` and `read` look at it
        found = samples((await metrics.text()).decode())
        assert found[("wishgrid_size", ())] == size
        assert found[("wishgrid_things_total", ())] == 10 * size
        assert found[("wishgrid_fault", (("check", "relay"),))] == (size > 1)
        assert found[("wishgrid_lag", (("partition", "1"),))] == 2 * size
        assert found[("wishgrid_readable", (("reading", "lag"),))] == 1


async def test_what_cannot_be_read_is_missing_and_said_and_the_rest_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "READING_SECONDS", 0.05)

    async def away() -> list[Metric]:
        raise AutoReconnect("connection refused")

    async def silent() -> list[Metric]:
        await asyncio.Event().wait()
        return []

    async def well() -> list[Metric]:
        return [gauge("wishgrid_size", "how large", 1)]

    readings: Mapping[str, Reading] = {"away": away, "silent": silent, "well": well}
    found = samples((await Metrics(tuple, readings).text()).decode())
    assert found == {
        ("wishgrid_size", ()): 1,
        ("wishgrid_readable", (("reading", "away"),)): 0,
        ("wishgrid_readable", (("reading", "silent"),)): 0,
        ("wishgrid_readable", (("reading", "well"),)): 1,
    }
