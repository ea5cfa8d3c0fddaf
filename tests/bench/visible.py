"""From 201 to visible: wishes come at a steady pace, whoever sent one waits until it is read.

Open loop: each is sent at its time, however long the others take. From the moment the 201 is
there, the case is asked for with `at_least` its position; the read API holds the question and
looks every 20 ms, which is the resolution of these figures.
"""

import asyncio
import time
from typing import Any, Final

import httpx
import uvloop

from deploy.local.installation import Installation
from shared.access import Role
from tests.bench.accepts import a_wish
from tests.bench.facts import town

PER_SECOND: Final = 50
RESIDENTS: Final = 100
RESOLUTION_MS: Final = 20


def visible(place: Installation, seconds: float) -> dict[str, Any]:
    """The percentiles, and every sample in milliseconds."""
    return uvloop.run(_visible(place, seconds))


async def _visible(place: Installation, seconds: float) -> dict[str, Any]:
    residents = [f"visible-{n}" for n in range(RESIDENTS)]
    tokens = [place.secrets.token(Role.RESIDENT, who, town().id) for who in residents]
    limits = httpx.Limits(max_connections=400, max_keepalive_connections=400)
    async with httpx.AsyncClient(timeout=httpx.Timeout(60, pool=None), limits=limits) as client:
        for token in tokens[:PER_SECOND]:  # warm up: connections, caches, the first poll
            await _one(client, place, token)
        start = time.perf_counter() + 0.5
        sent = [
            _at(start + n / PER_SECOND, client, place, tokens[n % RESIDENTS])
            for n in range(int(seconds * PER_SECOND))
        ]
        samples = await asyncio.gather(*sent)
    accepted, seen = ([sample[n] for sample in samples] for n in (0, 1))
    return {
        **percentiles(seen),
        "accepted_ms": percentiles(accepted),
        "per_second": PER_SECOND,
        "resolution_ms": RESOLUTION_MS,
        "samples": seen,
    }


async def _at(
    when: float, client: httpx.AsyncClient, place: Installation, token: str
) -> tuple[float, float]:
    await asyncio.sleep(when - time.perf_counter())
    accepted, seen = await _one(client, place, token)
    return round(1000 * (accepted - when), 1), round(1000 * (seen - accepted), 1)


async def _one(client: httpx.AsyncClient, place: Installation, token: str) -> tuple[float, float]:
    """When the 201 was there, and when the case was."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{place.url('intake')}/v1/wishes"
    answer = (await client.post(url, json=a_wish(), headers=headers)).raise_for_status().json()
    accepted = time.perf_counter()
    url = f"{place.url('projections')}/v1/cases/{answer['story']}"
    asked = await client.get(url, params={"at_least": answer["position"]}, headers=headers)
    asked.raise_for_status()
    return accepted, time.perf_counter()


def percentiles(samples: list[float]) -> dict[str, float]:
    """p50 and p99."""
    ordered = sorted(samples)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[len(ordered) * 99 // 100]}
