"""Changes over HTTP as they happen: real processes, a real topic, a real read model."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiokafka import AIOKafkaProducer
from httpx import AsyncClient

from deploy.local.servers import Servers
from shared.access import Role
from shared.contracts.base import AreaId, StoryId
from shared.contracts.recorded import Recorded, stream_id
from shared.mongo import Client, Database, database
from tests.conftest import cancelled, new_story, send, submitted, told, until, whole_story
from tests.projections.streams import Readers, Stream, a_client, readers

pytestmark = pytest.mark.stack

WEST = ["t3/west"]
UNIT = "sanitation-station"


@pytest.fixture(scope="module")
def place(stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    with readers(stack_servers, tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def views(place: Readers, mongo: Client) -> Database:
    return database(mongo, f"{place.databases}_views_g1")


def wish(area: str = "t3/west/g4") -> tuple[StoryId, Recorded]:
    """A new story of which only the wish is known."""
    story = new_story()
    fact = submitted(story).model_copy(update={"area": AreaId(area)})
    (recorded,) = told(stream_id("wish", story), [fact])
    return story, recorded


async def test_a_change_is_told_on_each_instance_once_it_can_be_read(
    place: Readers, producer: AIOKafkaProducer
) -> None:
    token = place.token(Role.COMMUNITY, areas=WEST)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        place.listening(token, 0) as one,
        place.listening(token, 1) as other,
        a_client() as client,
    ):
        story, fact = wish()
        await send(producer, place.topic, [fact])
        for n, stream in enumerate((one, other)):
            await stream.until(lambda s: story in s.stories(), "the change is told")
            url = f"{place.instances[n].url}/v1/cases/{story}"
            assert (await client.get(url, headers=headers)).status_code == 200
    said = {
        "story": story,
        "versions": {"wish": 1},
        "state": "submitted",
        "numbers": ["received", "open"],
    }
    assert one.told() == other.told() == [said]
    assert [e.id for e in one.events if e.kind] == [e.id for e in other.events if e.kind]


async def test_everybody_is_told_of_what_is_theirs_and_of_nothing_else(
    place: Readers, producer: AIOKafkaProducer, views: Database, mongo: Client
) -> None:
    """The resident's account is made with their first wish, while they listen already."""
    anna = new_story().replace("-", "")
    tokens = {
        "anna": place.token(Role.RESIDENT, "wx-anna"),
        "bo": place.token(Role.RESIDENT, "wx-bo"),
        "unit": place.token(Role.UNIT, "sweeper", unit=UNIT),
        "other unit": place.token(Role.UNIT, "keeper", unit="property-office"),
        "grid": place.token(Role.OFFICER, "g4", areas=["t3/west/g4"]),
        "next grid": place.token(Role.OFFICER, "g5", areas=["t3/west/g5"]),
        "nowhere": place.token(Role.COMMUNITY, "none"),
        "overseer": place.token(Role.OVERSEER, "eye", areas=["t3"]),
    }
    async with AsyncExitStack() as stack:
        streams = {
            who: await stack.enter_async_context(place.listening(token))
            for who, token in tokens.items()
        }
        residents = database(mongo, f"{place.databases}_keys")["residents"]
        await residents.insert_one({"_id": place.account_index("wx-anna"), "resident": anna})
        story = new_story()
        wish_facts, case_facts = whole_story(story)
        first = wish_facts[0]
        mine = first.fact.model_copy(update={"resident": anna})
        await send(producer, place.topic, [replace(first, fact=mine)])
        for who in ("anna", "grid", "overseer"):
            await streams[who].until(lambda s: story in s.stories(), who)
        await send(producer, place.topic, [*wish_facts[1:], *case_facts])
        for who in ("anna", "grid", "overseer", "unit"):
            await streams[who].until(lambda s: bool(closed(s)), who)
        last, fact = wish("t3/west/g5")
        await send(producer, place.topic, [fact])
        for who in ("next grid", "overseer"):
            await streams[who].until(lambda s: last in s.stories(), who)
        beat = {who: len(stream.events) for who, stream in streams.items()}
        for who, stream in streams.items():
            await stream.until(longer_than(beat[who]), "a sign of life")
        theirs = {who: stream.stories() for who, stream in streams.items()}
        heard = {who: json.dumps([vars(e) for e in s.events]) for who, s in streams.items()}
    both = {story, last}
    assert theirs == {
        **{who: set() for who in ("bo", "other unit", "nowhere")},
        **{who: {story} for who in ("anna", "unit", "grid")},
        "next grid": {last},
        "overseer": both,
    }
    for who, text in heard.items():
        assert {s for s in both if s in text} == theirs[who]
        assert anna not in text
        assert "AAAA" not in text  # what is sealed
    noted = (
        await database(mongo, f"{place.databases}_projections")["access_log"]
        .find({"purpose": "follow-changes", "stories": story})
        .to_list(None)
    )
    assert {each["principal"].partition(":")[0] for each in noted} == {
        "resident",
        "officer",
        "overseer",
        "unit",
    }


def longer_than(n: int) -> Callable[[Stream], bool]:
    return lambda stream: len(stream.events) > n


def told_of(story: StoryId) -> Callable[[Stream], bool]:
    return lambda stream: story in stream.stories()


def closed(stream: Stream) -> list[Any]:
    return [data for data in stream.told() if data["state"] == "closed"]


async def test_who_comes_back_to_any_instance_has_missed_nothing(
    place: Readers, producer: AIOKafkaProducer
) -> None:
    """Also to one that was restarted meanwhile, and with the id of a sign of life."""
    token = place.token(Role.COMMUNITY, areas=WEST)
    async with place.listening(token, 0) as one:
        first, fact = wish()
        await send(producer, place.topic, [fact])
        await one.until(lambda s: first in s.stories(), "the first")
        await one.until(lambda s: s.events[-1].kind == "" and bool(s.last), "a sign of life")
        last = one.last
    missed = [wish() for _ in range(3)]
    await send(producer, place.topic, [fact for _, fact in missed])
    await told_to(place, 1, token, last, {story for story, _ in missed})
    await asyncio.to_thread(place.instances[0].restart)
    stream = await told_to(place, 0, token, last, {story for story, _ in missed})
    ids = [event.id for event in stream.events if event.kind]
    assert ids == sorted(ids, key=lambda id_: [int(n) for n in str(id_).split(".")[1:]])
    async with place.listening(token, 1, stream.last) as again:
        await again.until(lambda s: len(s.events) > 2, "signs of life")
        assert again.told() == again.told("reset") == []
    for unknown in ("nonsense", f"g1.{int(time.time()) - 7200}.1.1", f"g9.{int(time.time())}.1.1"):
        async with place.listening(token, 0, unknown) as stranger:
            await stranger.until(lambda s: bool(s.told("reset")), "all is to be read again")
            assert stranger.told("reset") == [{"reason": "unknown-position"}]
            assert stranger.last is not None


async def told_to(
    place: Readers, n: int, token: str, last: str | None, stories: set[StoryId]
) -> Stream:
    async with place.listening(token, n, last) as stream:
        await stream.until(lambda s: s.stories() >= stories, "what was missed")
        assert stream.told("reset") == []
        assert stream.stories() == stories
    return stream


async def test_a_stream_ends_with_its_token(place: Readers) -> None:
    token = place.secrets.token(Role.OFFICER, "brief", "t3", WEST, hours=2.5 / 3600)
    async with place.listening(token) as stream:
        await stream.until(lambda s: s.ended, "the end")
        assert stream.told("dropped") == [{"reason": "token-expired"}]
        assert stream.events[-1].kind == "dropped"


async def test_five_hundred_listen_to_one_process_and_one_who_does_not_read_holds_up_nobody(
    place: Readers, producer: AIOKafkaProducer
) -> None:
    """Changes flow in one grid until the process gives up on the deaf one, who listens to all."""
    everything = place.token(Role.COMMUNITY, areas=["t3"])
    token = place.token(Role.OFFICER, "g5", areas=["t3/west/g5"])
    one = place.instances[0]
    deaf = NotReading(one.url, everything)
    crowd = await asyncio.gather(*(Hearer.at(one.url, token) for _ in range(500)))
    async with place.listening(everything) as attentive, a_client() as client:
        flood = asyncio.create_task(flow(producer, place.topic, has_dropped_one(client, one.url)))
        delays: list[float] = []
        while not flood.done() or not delays:
            story, fact = wish("t3/west/g5")
            began = time.monotonic()
            await send(producer, place.topic, [fact])
            await until(all_heard(crowd, story), "all 500 are told", 60)
            delays.append(time.monotonic() - began)
        flowed = await flood
        await attentive.until(lambda s: s.stories() >= flowed or bool(s.told("reset")), "all")
        assert attentive.told("dropped") == []
    print(f"{len(flowed)} changes; 500 told of one in {min(delays):.2f} to {max(delays):.2f} s")
    for hearer in crowd:
        await hearer.stop()
        assert b"dropped" not in hearer.heard
    rest = await asyncio.to_thread(deaf.rest)
    assert 'event: dropped\ndata: {"reason":"too-slow"}\n\n' in rest[-100:]


def asks(url: str, token: str) -> bytes:
    """A request for changes, as it is sent."""
    host = urlsplit(url).netloc
    credentials = f"Authorization: Bearer {token}"
    return f"GET /v1/changes HTTP/1.1\r\nHost: {host}\r\n{credentials}\r\n\r\n".encode()


class Hearer:
    """Somebody who takes what is sent, and no more than that: there are many."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = bytearray()
        self._writer = writer
        self._task = asyncio.create_task(self._read(reader))

    @classmethod
    async def at(cls, url: str, token: str) -> "Hearer":
        """One who listens; the answer has begun."""
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(asks(url, token))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.readuntil(b"id: ")
        return cls(reader, writer)

    async def stop(self) -> None:
        """Listen no more."""
        self._writer.close()
        await cancelled(self._task)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while came := await reader.read(65536):
            self.heard += came


def all_heard(crowd: Sequence[Hearer], story: StoryId) -> Callable[[], bool]:
    name = story.encode()
    return lambda: all(name in hearer.heard for hearer in crowd)


class NotReading:
    """Somebody who asks for changes and takes nothing of what is sent."""

    def __init__(self, url: str, token: str) -> None:
        place = urlsplit(url)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((place.hostname, place.port))
        self._socket.sendall(asks(url, token))
        assert self._socket.recv(15).startswith(b"HTTP/1.1 200")

    def rest(self) -> str:
        """All that was sent to them, to the end."""
        came = bytearray()
        with self._socket as taking:
            taking.settimeout(30)
            while piece := taking.recv(65536):
                came += piece
        return came.decode()


async def flow(
    producer: AIOKafkaProducer, topic: str, enough: Callable[[], Awaitable[bool]]
) -> set[StoryId]:
    """Wishes in one grid, until it is enough."""
    flowed: set[StoryId] = set()
    while not await enough():
        wishes = [wish("t3/west/g4") for _ in range(250)]
        await send(producer, topic, [fact for _, fact in wishes])
        flowed |= {story for story, _ in wishes}
        assert len(flowed) < 50_000
    return flowed


def has_dropped_one(client: AsyncClient, url: str) -> Callable[[], Awaitable[bool]]:
    async def held() -> bool:
        text = (await client.get(f"{url}/metrics")).text
        return "wishgrid_listeners_slow_total 1.0" in text

    return held


async def test_a_service_that_stops_ends_its_streams_at_once(
    place: Readers, producer: AIOKafkaProducer
) -> None:
    """Also that of somebody who has stopped reading, with unread bytes in the way."""
    token = place.token(Role.COMMUNITY, areas=["t3"])
    one = place.instances[1]
    deaf = NotReading(one.url, token)
    async with place.listening(token, 1) as stream, a_client() as client:
        await flow(producer, place.topic, has_dropped_one(client, one.url))
        began = time.monotonic()
        one.process.ask_to_end()
        await stream.until(lambda s: s.ended, "the end")
        assert stream.told("dropped") == [{"reason": "stopping"}]
        await until(lambda: not one.process.alive(), "it has ended", 18)
        print(f"ended within {time.monotonic() - began:.1f} s")
    assert "dropped" not in deaf.rest()  # it was in the way of that, too
    one.start()
    await asyncio.to_thread(one.wait)
    async with place.listening(token, 1, stream.last) as again:
        assert again.told("dropped") == []
