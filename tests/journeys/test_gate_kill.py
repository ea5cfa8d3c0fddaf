"""Members of the gate and leaders of the relays are killed among events: each is answered, once."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from pymongo import MongoClient

from deploy.local.installation import Installation, Instance
from shared.contracts.base import EventId
from tests.journeys.gate_client import Sender, sender
from tests.partner import Headers, binary, report, wish

pytestmark = pytest.mark.stack

ROUND = 60
"""References of a round; there are four events of each, and some of them twice."""
CODES = {"s": None, "r": "not-dispatched", "x": "unknown-reference", "t": "ref-taken"}
"""What each sort of event is answered."""


@dataclass(frozen=True)
class Told:
    """One event and how it is published."""

    id: str
    value: bytes
    headers: Headers
    key: bytes | None
    partition: int | None = None


async def test_every_event_is_answered_once_though_members_and_leaders_are_killed(
    place: Installation,
) -> None:
    intake, dispatch = place.services["intake"], place.services["dispatch"]
    async with sender(place) as partner:
        # One member of the gate is gone and stays away for this round.
        events = await during(partner, "one", [intake[0], *dispatch], restart=dispatch)
        await asyncio.to_thread(intake[0].restart)
        # By now all have been killed: the leaders of both relays were among them.
        events += await during(partner, "two", [intake[1], intake[0]], restart=intake)
        # Once what comes last on each partition is answered, nothing before it is still to come.
        last = [f"s-last-{partition}" for partition in range(3)]
        for partition, id_ in enumerate(last):
            await partner.send(wish(id_), binary(id_), None, partition)
        await partner.answered(last)
        answers = await partner.answered({told.id for told in events})
    expected = {told.id: [CODES[told.id[0]]] for told in events}
    said = {id_: [orjson.loads(body) for _, body in answers[EventId(id_)]] for id_ in expected}
    assert {id_: [body.get("code") for body in bodies] for id_, bodies in said.items()} == expected
    positions = [body["position"] for id_, (body,) in said.items() if id_[0] in "sr"]
    assert sorted(positions) == sorted(decided(place, set(expected)))


async def during(
    partner: Sender, name: str, killed: Sequence[Instance], restart: Sequence[Instance]
) -> list[Told]:
    """Publish a round of events; in the middle of it these are killed, one after the other. Return
    when all of it is answered."""
    events = list(round_of(name))
    step = len(events) // (len(killed) + 1)
    restarting = []
    for n, told in enumerate(events):
        await partner.send(told.value, told.headers, told.key, told.partition)
        if n % step == step - 1 and n // step < len(killed):
            instance = killed[n // step]
            instance.process.kill()
            if instance in restart:
                restarting.append(asyncio.create_task(asyncio.to_thread(instance.restart)))
    await asyncio.gather(*restarting)
    await partner.answered({told.id for told in events})
    return events


def round_of(name: str) -> Iterator[Told]:
    """In order per key; some events are told again on another partition, without a key."""
    for n in range(ROUND):
        ref = f"{name}-{n}"
        unknown = report(f"no-{ref}"), binary(f"x-{ref}", "unit-reported")
        told = (
            Told(f"s-{ref}", wish(ref), binary(f"s-{ref}"), ref.encode()),
            Told(f"r-{ref}", report(ref), binary(f"r-{ref}", "unit-reported"), ref.encode()),
            Told(f"x-{ref}", *unknown, ref.encode()),
            Told(f"t-{ref}", wish(ref), binary(f"t-{ref}"), ref.encode()),
        )
        yield from told
        if n % 3 == 0:
            for again in (told[0], told[2]):
                yield replace(again, key=None, partition=n % 2)


def decided(place: Installation, ids: set[str]) -> list[str]:
    """Where the stores say that these events were decided."""
    prefix = place.environment["WISHGRID_DATABASE_PREFIX"]
    found: list[str] = []
    answering = ("wish-submitted.v1", "report-refused.v1", "report-noted.v1", "unit-reported.v1")
    mongo: MongoClient[dict[str, Any]]
    with MongoClient(place.servers.mongo) as mongo:
        for service in ("intake", "dispatch"):
            commits: list[dict[str, Any]] = [*mongo[f"{prefix}_{service}"]["commits"].find()]
            for commit in commits:
                facts: list[dict[str, Any]] = commit["facts"]
                found += [
                    f"{commit['stream']}@{version}"
                    for version, fact in enumerate(facts, start=commit["first"])
                    if fact["type"] in answering and fact.get("request", {}).get("id") in ids
                ]
    return found
