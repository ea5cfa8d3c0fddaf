"""A client of a run takes no answer for one that is none, and lets none pass that may not be."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from shared.contracts.base import FactId
from shared.handling import command_id
from tests.chaos.insisting import Client, Closing, Desk, GivenUp, No, Yes
from tests.chaos.ledger import Ledger

POSITION: Final = FactId("wish-5b79bcd9-8dc6-5e8a-9c08-9a04390b9571@1")
DECIDED: Final = {"story": POSITION[5:-2], "position": POSITION, "said": "decided"}

Answer = Callable[[httpx.Request], httpx.Response]


def yes(_: httpx.Request) -> httpx.Response:
    return httpx.Response(201, json=DECIDED)


def problem(status: int, code: str, **headers: str) -> Answer:
    """A refusal in the form all have; a 503 repeats the key."""

    def answer(request: httpx.Request) -> httpx.Response:
        sent = {"content-type": "application/problem+json", **headers}
        if status == 503:
            sent |= {"Retry-After": "1", "Idempotency-Key": request.headers["Idempotency-Key"]}
        return httpx.Response(status, json={"code": code}, headers=sent)

    return answer


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody there", request=request)


class Services:
    """Answers in turn, the last one for ever."""

    def __init__(self, *answers: Answer, up_for: float = 0.0) -> None:
        self.asked: list[httpx.Request] = []
        self.ledger = Ledger()
        self.closing = asyncio.Event()
        self._answers = list(answers)
        self._up_for = up_for

    async def ask(self, **more: Any) -> Yes | No:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self._answer)) as http:
            desk = Desk(
                lambda service, n: f"http://{service}-{n % 2}",
                http,
                self.ledger,
                self.closing,
                -1000.0,
                lambda: self._up_for,
            )
            client = Client(desk, "token", "t3", "unit:of-police-post")
            return await client.command("intake", "/v1/wishes", "submit", {}, key="k", **more)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(request)


async def test_a_yes_is_kept_with_its_position_and_the_command_it_must_have() -> None:
    services = Services(yes)
    assert await services.ask() == Yes(POSITION[5:-2], POSITION, "decided")
    (kept,) = services.ledger.acknowledged
    mine = command_id("t3", "unit:of-police-post", "submit", "k")
    assert (kept.service, kept.position, kept.command) == ("intake", POSITION, mine)
    assert services.ledger.violations == []


async def test_what_is_already_so_was_done_by_another_command() -> None:
    services = Services(lambda _: httpx.Response(200, json={**DECIDED, "said": "already-so"}))
    await services.ask()
    assert services.ledger.acknowledged[0].command is None


async def test_the_same_goes_to_the_other_instance_until_somebody_answers() -> None:
    services = Services(unreachable, problem(503, "store-away"), problem(409, "conflict"), yes)
    await services.ask()
    assert [request.url.host for request in services.asked] == [
        f"intake-{n % 2}" for n in (1, 2, 3, 4)
    ]
    assert {request.headers["Idempotency-Key"] for request in services.asked} == {"k"}
    assert services.ledger.violations == []
    assert services.ledger.again == 1
    assert services.ledger.longest["intake"].seconds > 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (problem(500, "our-mistake"), "500 our-mistake"),
        (lambda _: httpx.Response(503, text="away"), "503 without problem details"),
        (problem(503, "never-heard-of"), "503 never-heard-of"),
        (problem(503, "already-closed"), "503 already-closed"),
    ],
)
async def test_what_no_service_may_say_is_a_violation_and_is_asked_again(
    answer: Answer, said: str
) -> None:
    services = Services(answer, yes)
    await services.ask()
    assert services.ledger.violations == [f"intake said {said} to submit k"]


async def test_a_refusal_that_may_be_is_an_answer_and_any_other_is_a_violation() -> None:
    services = Services(problem(409, "already-closed"))
    assert await services.ask(may=["already-closed"]) == No("already-closed")
    assert services.ledger.violations == []
    with pytest.raises(GivenUp):
        await services.ask()
    assert services.ledger.violations == ["intake refused submit k as 409 already-closed"]


async def test_a_503_that_names_no_key_or_no_time_is_a_violation() -> None:
    bare = {"content-type": "application/problem+json"}
    services = Services(
        lambda _: httpx.Response(503, json={"code": "overloaded"}, headers=bare), yes
    )
    await services.ask()
    assert services.ledger.violations == ["503 to submit k lacks Retry-After or its key"]


async def test_two_instances_that_answer_one_command_otherwise_are_a_violation() -> None:
    other = httpx.Response(201, json={**DECIDED, "position": POSITION[:-1] + "2"})
    services = Services(yes, lambda _: other)
    await services.ask(twice=True)
    assert "was answered in two ways" in services.ledger.violations[0]


async def test_who_is_not_answered_though_all_has_been_up_for_long_was_forgotten() -> None:
    services = Services(unreachable, up_for=100.0)
    with pytest.raises(GivenUp):
        await services.ask()
    assert services.ledger.violations == ["intake never answered submit k"]


async def test_nobody_begins_anything_once_the_run_is_over() -> None:
    services = Services(yes)
    services.closing.set()
    with pytest.raises(Closing):
        await services.ask()
    assert services.asked == []
