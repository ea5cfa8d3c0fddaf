"""How processes take no more than they can, and how they end: nothing is lost either way."""

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pymongo import MongoClient

from deploy.local.installation import READY_SECONDS, SERVICES, Installation, Instance, installation
from deploy.local.process import Process
from deploy.local.servers import Servers
from deploy.local.supervisor import supervised
from shared.access import Role
from tests.conftest import until
from tests.journeys.conftest import TOWN, WISH, log_of
from tests.journeys.gate_client import sender
from tests.partner import binary, wish

pytestmark = pytest.mark.stack

AT_ONCE: Final = 40
QUEUED: Final = 10
LEASE_SECONDS: Final = 120
"""Longer than anybody waits here: whoever leads sooner was let."""
GRACE_SECONDS: Final = 40
"""`stop_grace_period` in the compose file."""
MEGABYTES_MORE: Final = 48
RUSH: Final = 240
RUSH_MEGABYTES: Final = 12
"""A third of what they take, or less, where nobody is turned away."""
LONG: Final = "字" * 4000
UNBOUNDED: Final = {
    "WISHGRID_REQUESTS_AT_ONCE": "1000000",
    "WISHGRID_QUEUE_COMMITS": "1000000",
    "WISHGRID_WAITING_MEGABYTES": "100000",
}
LEADING: Final = "wishgrid_relay_leading"


@pytest.fixture(scope="module")
def crowd(
    stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Two instances of each service with little room."""
    folder = tmp_path_factory.mktemp("ends")
    settings = {
        "WISHGRID_REQUESTS_AT_ONCE": str(AT_ONCE),
        "WISHGRID_QUEUE_COMMITS": str(QUEUED),
        "WISHGRID_LEASE_SECONDS": str(LEASE_SECONDS),
        "WISHGRID_SESSION_TIMEOUT_SECONDS": "6",
        "WISHGRID_WAIT_SECONDS": "4",
    }
    with installation(
        stack_servers, folder, name="ends", instances=2, settings=settings
    ) as running:
        yield running


@contextmanager
def hanging(place: Installation) -> Iterator[None]:
    """MongoDB says nothing any more until the block ends."""
    server = place.servers.mongo_server
    assert server is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


@contextmanager
def slow(place: Installation, collection: str, seconds: float) -> Iterator[None]:
    """MongoDB takes so long for each insert into a collection of intake's, while the block runs."""
    mongo: MongoClient[dict[str, Any]]
    with MongoClient(place.servers.mongo) as mongo:
        name = f"{place.environment['WISHGRID_DATABASE_PREFIX']}_intake.{collection}"
        said = {
            "failCommands": ["insert"],
            "namespace": name,
            "blockConnection": True,
            "blockTimeMS": int(seconds * 1000),
        }
        fail = {"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": said}
        mongo.admin.command(fail)
        try:
            yield
        finally:
            mongo.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@dataclass
class Residents:
    """Many who submit at the same time, at one instance of intake."""

    place: Installation
    http: httpx.AsyncClient

    async def submit(self, words: str, key: str | None = None, n: int = 0) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        url = f"{self.place.url('intake', n)}/v1/wishes"
        return await self.http.post(url, json={**WISH, "words": words}, headers=headers)

    async def at_work(self, n: int = 0) -> float:
        """How many requests an instance works on."""
        return await number(self.http, self.place.url("intake", n), "wishgrid_requests_at_work")


@asynccontextmanager
async def residents(place: Installation) -> AsyncIterator[Residents]:
    token = place.secrets.token(Role.RESIDENT, "wx-crowd", TOWN)
    async with httpx.AsyncClient(
        headers={"Authorization": f"Bearer {token}"},
        timeout=90,
        limits=httpx.Limits(max_connections=None),
    ) as http:
        yield Residents(place, http)


async def number(http: httpx.AsyncClient, url: str, name: str) -> float:
    """One number of an instance."""
    text = (await http.get(f"{url}/metrics")).text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def megabytes(process: Process) -> float:
    """What a process holds in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return next(int(li.split()[1]) for li in status.splitlines() if li.startswith("VmRSS")) / 1024


def stored(place: Installation, stories: Sequence[str]) -> list[int]:
    """How many first commits the store has of each."""
    mongo: MongoClient[dict[str, Any]]
    with MongoClient(place.servers.mongo) as mongo:
        commits: Any = mongo[f"{place.environment['WISHGRID_DATABASE_PREFIX']}_intake"]["commits"]
        return [commits.count_documents({"stream": f"wish-{s}", "first": 1}) for s in stories]


async def test_a_full_queue_is_told_with_a_key_under_which_it_is_stored_once_later(
    crowd: Installation,
) -> None:
    async with residents(crowd) as many:
        assert (await many.submit("先来一件")).status_code == 201
        with hanging(crowd):
            asking = [asyncio.create_task(many.submit(f"排队{n}")) for n in range(90)]
            # Two flushes hang, the queue is full, and there is no more room at the door.
            await until(lambda: sum(map(asyncio.Task.done, asking)) >= 90 - AT_ONCE, "noes", 90)
            assert await many.at_work() <= AT_ONCE
        answers = await asyncio.gather(*asking)
        assert {each.status_code for each in answers} <= {201, 503}
        stories, noes = [], Counter[str]()
        for n, each in enumerate(answers):
            if each.status_code == 503:
                noes[each.json()["code"]] += 1
                assert each.headers["Content-Type"] == "application/problem+json"
                assert each.headers["Retry-After"] == "1"
                again = await many.submit(f"排队{n}", key=each.headers["Idempotency-Key"])
                assert again.status_code == 201, again.text
                stories.append(again.json()["story"])
                once_more = await many.submit(f"排队{n}", key=each.headers["Idempotency-Key"])
                assert once_more.json() == again.json()
            else:
                stories.append(each.json()["story"])
    assert noes["overloaded"] >= 90 - AT_ONCE
    assert len(set(stories)) == 90
    assert set(stored(crowd, stories)) == {1}


async def test_slow_mongodb_slows_intake_and_fills_no_memory(crowd: Installation) -> None:
    instance = crowd.services["intake"][0]
    codes = Counter[int]()
    most_at_work = 0.0
    async with residents(crowd) as many, sender(crowd) as partner:
        before = megabytes(instance.process)

        async def one(words: str) -> None:
            answer = await many.submit(words)
            codes[answer.status_code] += 1

        with slow(crowd, "commits", seconds=2), slow(crowd, "inbound", seconds=2):
            events = [f"slow-{n}" for n in range(200)]
            for id_ in events:
                await partner.send(wish(id_), binary(id_), id_.encode())
            sent: list[Awaitable[None]] = []
            for n in range(400):  # nobody waits for the one before
                sent.append(asyncio.create_task(one(f"慢{n}" + "字" * 3000)))
                await asyncio.sleep(0.005)
                if n % 50 == 0:
                    most_at_work = max(most_at_work, await many.at_work())
            grown = megabytes(instance.process) - before
        await asyncio.gather(*sent)
        answers = await partner.answered(events)
    assert most_at_work <= AT_ONCE
    assert grown < MEGABYTES_MORE, f"{grown:.0f} MB more"
    assert set(codes) == {201, 503}
    assert set(answers) >= set(events)


async def test_without_its_bounds_the_same_load_would_fill_memory(crowd: Installation) -> None:
    bounded, other = crowd.services["intake"]
    unbounded = other.process.told(**UNBOUNDED)
    other.process.terminate()
    unbounded.start()
    try:
        await asyncio.to_thread(unbounded.wait_until, other.ready, READY_SECONDS)
        async with residents(crowd) as many:
            for n in (0, 1):  # nobody is warmed up by the load itself
                assert (await many.submit("先来一件", n=n)).status_code == 201
            with hanging(crowd):
                with_bounds, some = await rushed(many, 0, bounded.process)
                without, others = await rushed(many, 1, unbounded)
            answers = await asyncio.gather(*some)
            await asyncio.gather(*others)
    finally:
        unbounded.terminate(GRACE_SECONDS)
        other.start()
        await asyncio.to_thread(other.wait)
    assert Counter(each.status_code for each in answers)[503] >= RUSH - AT_ONCE
    said = f"{with_bounds:.0f} MB more with bounds, {without:.0f} MB without"
    assert without > with_bounds + RUSH_MEGABYTES, said


async def rushed(
    many: Residents, n: int, process: Process
) -> tuple[float, list[asyncio.Task[httpx.Response]]]:
    """How many megabytes more a process holds of a rush of residents, and what they still ask."""
    before = megabytes(process)
    asking = [asyncio.create_task(many.submit(LONG, n=n)) for _ in range(RUSH)]

    async def all_are_held_or_turned_away() -> bool:
        return sum(map(asyncio.Task.done, asking)) + await many.at_work(n) >= RUSH

    await until(all_are_held_or_turned_away, "all of the rush have come", 120)
    return megabytes(process) - before, asking


async def test_who_is_told_to_end_answers_first_and_leaves_the_lead_to_another(
    crowd: Installation,
) -> None:
    async with residents(crowd) as many:
        leaving = {each: await leader(many.http, crowd, each) for each in ("intake", "dispatch")}
        leaving["projections"] = 0
        going = {each: crowd.services[each][n] for each, n in leaving.items()}
        followed = asyncio.create_task(follow(many.http, going["projections"].url))
        with slow(crowd, "commits", seconds=5):
            # Each has something to wait for: intake MongoDB, the others what does not come.
            submitted = [many.submit(f"{n}", n=leaving["intake"]) for n in range(8)]
            waiting = [
                waits(crowd, many.http, going[each]) for each in ("dispatch", "projections") * 8
            ]
            asking = [asyncio.create_task(each) for each in (*submitted, *waiting)]
            urls = [each.url for each in going.values()]
            await until(lambda: busy(many.http, urls), "requests in flight", 60)
            began = time.monotonic()
            for each in going.values():
                each.process.ask_to_end()
            await until(lambda: not any(e.process.alive() for e in going.values()), "ends", 90)
        took = time.monotonic() - began
        answers = await asyncio.gather(*asking)
        assert {
            service: each.process.returncode() for service, each in going.items()
        } == dict.fromkeys(SERVICES, 0)
        assert took < GRACE_SECONDS
        assert {each.status_code for each in answers[:8]} == {201}
        assert set(stored(crowd, [each.json()["story"] for each in answers[:8]])) == {1}
        assert {each.json()["code"] for each in answers[8:]} == {"not-yet"}
        assert "event: dropped" in await followed
        for service in ("intake", "dispatch"):
            assert await leader(many.http, crowd, service) == 1 - leaving[service]
    await asyncio.gather(*(asyncio.to_thread(each.restart) for each in going.values()))


async def leader(http: httpx.AsyncClient, place: Installation, service: str) -> int:
    """Which instance relays, once one does."""
    found: list[int] = []

    async def one_leads() -> bool:
        for n, each in enumerate(place.services[service]):
            if each.process.alive() and await number(http, each.url, LEADING):
                found.append(n)
        return bool(found)

    await until(one_leads, f"an instance of {service} leads", 60)
    return found[0]


async def waits(place: Installation, http: httpx.AsyncClient, instance: Instance) -> httpx.Response:
    """A request that waits for what nobody has said."""
    story = uuid.uuid4()
    verb, path = ("POST", "/accept") if instance.service == "dispatch" else ("GET", "")
    token = place.secrets.token(Role.COMMUNITY, "west-desk", TOWN, ["t3/west"])
    return await http.request(
        verb,
        f"{instance.url}/v1/cases/{story}{path}",
        params={"at_least": f"wish-{story}@1"},
        json={} if verb == "POST" else None,
        headers={"Authorization": f"Bearer {token}"},
    )


async def busy(http: httpx.AsyncClient, urls: Sequence[str]) -> bool:
    """Whether each of them is at work on all it was asked."""
    at_work = [await number(http, url, "wishgrid_requests_at_work") for url in urls]
    return min(at_work) >= 8


async def follow(http: httpx.AsyncClient, url: str) -> str:
    """What a stream of changes says until its end; nothing where there is none."""
    return (await http.get(f"{url}/v1/changes")).text


def test_consumers_that_stand_still_are_started_again_and_go_on(
    stack_servers: Servers, tmp_path: Path
) -> None:
    frozen = tmp_path / "frozen"
    settings = {
        "WISHGRID_WATCHDOG_SECONDS": "10",
        "PYTHONPATH": str(Path(__file__).parents[1] / "frozen"),
        "FROZEN": str(frozen),
    }
    with installation(stack_servers, tmp_path, name="frozen", settings=settings) as place:
        pids = {each.service: each.process.pid for each in place.instances()}
        with supervised(each.process for each in place.instances()):
            frozen.touch()
            asyncio.run(_goes_round(place))
        ended = {
            each.service for each in place.instances() if each.process.pid != pids[each.service]
        }
        logs = {service: log_of(place, service) for service in SERVICES}
    assert ended == set(SERVICES)
    for log in logs.values():
        assert "a consumer is stuck" in log
        assert "ended to be started anew" in log


async def _goes_round(place: Installation) -> None:
    """What is said by HTTP and Kafka becomes cases that are read."""
    async with residents(place) as many, sender(place) as partner:
        answer = await many.submit("冻住了")
        await partner.send(wish("frozen-1"), binary("frozen-1"), b"frozen-1")
        url = f"{place.url('projections')}/v1/cases/{answer.json()['story']}"

        async def opened() -> bool:
            try:
                case = await many.http.get(url)
            except httpx.TransportError:
                return False  # it is being started again
            return case.status_code == 200 and case.json()["state"] == "opened"

        await until(opened, "the wish is a case", 240)
        await partner.answered(["frozen-1"])
