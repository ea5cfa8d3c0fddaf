"""The door: how much is taken on at a time, and that whoever is turned away can come again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import StreamingResponse
from httpx import ASGITransport, AsyncClient
from httpx import Response as Answer

from shared.access import Role
from shared.commands import Asked, asked
from shared.room import Room
from shared.web import create_app
from tests.build import IdentityProvider
from tests.conftest import until

IDENTITY = IdentityProvider()


class Desk:
    """An app whose one command waits until `go`."""

    def __init__(self, room: Room) -> None:
        self.go = asyncio.Event()
        self.streaming = asyncio.Event()
        self.commands: list[str] = []
        self.app = self._app(room)

    def _app(self, room: Room) -> FastAPI:
        router = APIRouter()

        @router.post("/command")
        async def command(ask: Annotated[Asked, asked("command", Role.OFFICER)]) -> str:
            await self.go.wait()
            self.commands.append(ask.command_id)
            return ask.command_id

        @router.get("/wait")
        async def wait(ask: Annotated[Asked, asked("wait", Role.OFFICER)]) -> Response:
            await self.go.wait()
            return Response()

        @router.get("/stream")
        async def stream(ask: Annotated[Asked, asked("stream", Role.OFFICER)]) -> Response:
            return StreamingResponse(self._told())

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield

        async def ready() -> dict[str, bool]:
            return {}

        doorkeeper = IDENTITY.doorkeeper()
        return create_app("of the test", router, doorkeeper, ready, {}, lifespan, room=room)

    async def _told(self) -> AsyncIterator[bytes]:
        self.streaming.set()
        await self.go.wait()
        yield b"told"

    def client(self) -> AsyncClient:
        return AsyncClient(
            transport=ASGITransport(self.app),
            base_url="http://town",
            headers=IDENTITY.bearer(Role.OFFICER),
        )


async def at_work(room: Room, requests: int) -> None:
    await until(lambda: room.at_work >= requests, "requests at work")


def is_overloaded(answer: Answer) -> bool:
    said = answer.json()
    return (
        (answer.status_code, said["code"]) == (503, "overloaded")
        and answer.headers["content-type"] == "application/problem+json"
        and answer.headers["retry-after"] == "1"
        and "x-correlation-id" in answer.headers
    )


async def test_one_too_many_is_turned_away_with_a_key_and_taken_later_under_it() -> None:
    room = Room(requests=2)
    desk = Desk(room)
    async with desk.client() as http:
        first = [asyncio.create_task(http.post("/command")) for _ in range(2)]
        await at_work(room, 2)
        turned = await http.post("/command")
        own = await http.post("/command", headers={"Idempotency-Key": "my-own"})
        assert is_overloaded(turned)
        assert is_overloaded(own)
        assert own.headers["idempotency-key"] == "my-own"
        assert (await http.get("/livez")).status_code == 200
        assert "wishgrid_requests_turned_away_total 2.0" in (await http.get("/metrics")).text
        desk.go.set()
        assert {each.status_code for each in await asyncio.gather(*first)} == {200}
        key = turned.headers["idempotency-key"]
        again = await http.post("/command", headers={"Idempotency-Key": key})
    assert again.status_code == 200
    assert again.headers["idempotency-key"] == key
    assert (room.at_work, room.held) == (0, 0)


async def test_bodies_are_bounded_together_and_let_go_when_their_answers_begin() -> None:
    room = Room(size=300)
    desk = Desk(room)
    async with desk.client() as http:
        first = asyncio.create_task(http.post("/command", content=b"x" * 200))
        await at_work(room, 1)
        assert is_overloaded(await http.post("/command", content=b"x" * 200))
        assert room.held == 200
        desk.go.set()
        assert (await first).status_code == 200
        assert room.held == 0
        assert (await http.post("/command", content=b"x" * 200)).status_code == 200


async def test_an_answer_that_goes_on_for_long_takes_no_room() -> None:
    room = Room(requests=1)
    desk = Desk(room)
    async with desk.client() as http:
        listening = asyncio.create_task(http.get("/stream"))
        await desk.streaming.wait()
        assert room.at_work == 0
        desk.go.set()
        assert (await listening).text == "told"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("POST", "/command", "outcome-unknown"), ("GET", "/wait", "not-ready")],
)
async def test_what_is_cut_off_at_the_end_is_answered_all_the_same(
    method: str, path: str, code: str
) -> None:
    room = Room()
    desk = Desk(room)
    async with desk.client() as http:
        asking = asyncio.create_task(
            http.request(method, path, headers={"Idempotency-Key": "my-own"})
        )
        await at_work(room, 1)
        (task,) = [each for each in asyncio.all_tasks() if each is asking]
        task.cancel()  # as the server does to requests that take longer than it waits
        answer = await asking
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert answer.headers["idempotency-key"] == "my-own"
    assert (room.at_work, room.held) == (0, 0)
