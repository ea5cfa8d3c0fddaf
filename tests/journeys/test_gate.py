"""Foreign systems publish on Kafka: what they say is in the timeline, and each is answered."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient

from deploy.demo.client import Client
from deploy.local.installation import Installation
from deploy.local.jars import kafka_jars
from deploy.local.preflight import java
from deploy.topics import ensure_topics, topics_of
from shared.access import Role
from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import EventId, PartnerId
from shared.kafka import DEAD
from tests.conftest import reader
from tests.foreign import foreign
from tests.journeys.conftest import Person
from tests.journeys.gate_client import Sender, program, sender
from tests.partner import (
    PARTNER,
    SOURCE,
    UNIT,
    attributes,
    binary,
    report,
    send_misnamed,
    structured,
    wish,
)

pytestmark = pytest.mark.stack

HOTLINE: Final = PartnerId("county-hotline")
PLATFORM: Final = PartnerId("town-platform")
Publish = Callable[[Installation, str, str, dict[str, str], bytes], Awaitable[None]]


async def with_kcat(
    place: Installation, topic: str, key: str, said: dict[str, str], value: bytes
) -> None:
    """By kcat, as the README of intake shows it."""
    kcat = foreign("kcat")
    headers = [word for name, text in said.items() for word in ("-H", f"ce_{name}={text}")]
    await program(
        [kcat, "-P", "-b", place.servers.kafka.servers, "-t", topic, "-k", key, *headers], value
    )


async def with_console_producer(
    place: Installation, topic: str, key: str, said: dict[str, str], value: bytes
) -> None:
    """By the console producer that comes with Kafka."""
    headers = ",".join(f"ce_{name}:{text}" for name, text in said.items())
    tool = [java(), "-cp", f"{kafka_jars()}/*", "org.apache.kafka.tools.ConsoleProducer"]
    reads = [
        word
        for setting in ("parse.headers=true", "parse.key=true")
        for word in ("--reader-property", setting)
    ]
    argv = [*tool, "--bootstrap-server", place.servers.kafka.servers, "--topic", topic, *reads]
    await program(argv, f"{headers}\t{key}\t".encode() + value + b"\n")


@pytest.fixture
async def partner(place: Installation) -> AsyncIterator[Sender]:
    async with sender(place) as made:
        yield made


@pytest.fixture
def police(person: Person) -> Client:
    return person(Role.UNIT, "police", unit=UNIT)


@pytest.mark.parametrize("publish", [with_kcat, with_console_producer])
async def test_a_unit_reported_by_a_foreign_client_is_in_the_timeline_and_answered(
    place: Installation, partner: Sender, desk: Client, publish: Publish
) -> None:
    ref, story = await dispatched(partner, desk)
    said = attributes(f"r-{ref}", "unit-reported")
    await publish(place, partner.topic, ref, said, report(ref))
    answer = await partner.answer(f"r-{ref}")
    entries = desk.get(f"/v1/cases/{story}/timeline", at_least=answer["position"])
    assert entries[-1]["type"] == "unit-reported.v1"
    assert answer == {
        "said": "accepted",
        "source": SOURCE,
        "id": f"r-{ref}",
        "story": story,
        "version": 4,
        "position": f"case-{story}@4",
    }


async def test_a_unit_reported_on_a_closed_case_is_refused_by_the_rule_that_says_so(
    partner: Sender, desk: Client, police: Client
) -> None:
    ref, story = await dispatched(partner, desk)
    await partner.send(report(ref), binary(f"r-{ref}", "unit-reported"))
    said = await partner.answer(f"r-{ref}")
    done = {"outcome": "resolved", "note": "好了"}
    said = police.do("resolve", story, done, said["position"])
    desk.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
    noted = structured({"ref": ref, "unit": UNIT, "note": "补记"}, f"p-{ref}", "progress-reported")
    await partner.send(noted, [])
    await partner.send(report(ref), binary(f"late-{ref}", "unit-reported"))
    for id_ in (f"p-{ref}", f"late-{ref}"):
        answer = await partner.answer(id_)
        assert (answer["said"], answer["code"]) == ("refused", "already-closed")
        assert answer["story"] == story


async def test_what_no_event_can_be_read_from_is_answered_and_what_follows_flows(
    partner: Sender,
) -> None:
    """One record of each sort in front of each partition, and of what a broker lets through."""
    run = uuid.uuid4().hex
    named = {
        "unreadable-event": (b"\xff\xfe", binary(f"{run}-1")),
        "too-large": (b"x" * 1_047_000, binary(f"{run}-2")),
        "duplicate-attribute": (b"{}", [*binary(f"{run}-3"), ("ce_type", b"x")]),
        "unknown-specversion": (b"{}", binary(f"{run}-4", specversion="2.0")),
        "invalid-event": (b"{}", binary(f"{run}-5", time="yesterday")),
        "unknown-type": (b"{}", binary(f"{run}-6", "wish-granted")),
    }
    places = [
        await partner.send(value, headers, key, partition)
        for partition in range(3)
        for value, headers in [(b"", []), (b"\xff", [("ce_id", b"\xff")]), (b"[" * 100_000, [])]
        for key in (None, b"k", b"\xff")
    ]
    places.append(await partner.send(None, [], b"tombstone"))
    for value, headers in named.values():
        await partner.send(value, headers)
    name, other = [(b"ce_\xff", b"x")], binary(f"{run}-7")
    known = [(header.encode(), text) for header, text in other]
    for partition in range(3):
        bad = [(b"k", b"{}", name), (b"k", wish(run), [*known, *name]), (None, b"{}", name)]
        await send_misnamed(partner.producer, partner.topic, bad, partition=partition)
        await partner.send(b"{", binary(f"{run}-after-{partition}"), None, partition)
    await partner.send(wish(run), binary(f"{run}-last"))

    ids = [*(f"{run}-{n}" for n in range(1, 8)), *(f"{run}-after-{n}" for n in range(3))]
    answers = await partner.answered([*ids, *places, f"{run}-last"])
    assert all(len(answers[EventId(id_)]) == 1 for id_ in (*ids, *places))
    for (code, _), id_ in zip(named.items(), ids, strict=False):
        assert (await partner.answer(id_))["code"] == code
    assert (await partner.answer(f"{run}-7"))["code"] == "unreadable-header"
    assert (await partner.answer(f"{run}-last"))["said"] == "accepted"


async def test_a_partner_whose_topics_are_made_later_is_answered_within_ten_seconds(
    place: Installation,
) -> None:
    let_in(place, HOTLINE)
    await stop(place)
    await start(place)
    started = time.monotonic()
    await make_topics(place, HOTLINE)
    await hear(place, HOTLINE)
    assert time.monotonic() - started < 10


async def test_topics_made_or_deleted_while_nobody_listens_are_heard_or_forgotten(
    place: Installation, partner: Sender
) -> None:
    """By members who come back before Kafka could have missed them, as in an upgrade."""
    gone = PartnerId("soon-gone")
    await make_topics(place, gone)
    async with sender(place, gone) as nobody:
        await buried(place, await nobody.send(b"", []))  # it is heard, by whoever it may be
    let_in(place, PLATFORM)
    await stop(place)
    await delete_topics(place, gone)
    await make_topics(place, PLATFORM)
    await start(place)
    await hear(place, PLATFORM)
    id_ = uuid.uuid4().hex
    await partner.send(b"{", binary(id_))
    assert (await partner.answer(id_))["code"] == "unreadable-event"


async def test_a_topic_of_nobody_we_know_is_a_dead_letter_and_others_flow(
    place: Installation, partner: Sender
) -> None:
    name = PartnerId("nobody")
    await make_topics(place, name)
    async with sender(place, name) as nobody:
        where = await nobody.send(wish("A-1"), binary("e-1"))
    assert await buried(place, where) == b"unknown-partner"
    id_ = uuid.uuid4().hex
    await partner.send(b"{", binary(id_))
    assert (await partner.answer(id_))["code"] == "unreadable-event"


async def dispatched(partner: Sender, desk: Client) -> tuple[str, str]:
    """Reference and story of a matter that a partner handed in and the police post was given."""
    ref = uuid.uuid4().hex
    await partner.send(wish(ref), binary(f"s-{ref}"))
    said = await partner.answer(f"s-{ref}")
    story = said["story"]
    said = desk.do("accept", story, {}, said["position"])
    desk.do("dispatch", story, {"unit": UNIT}, said["position"])
    return ref, story


async def hear(place: Installation, name: PartnerId) -> None:
    """A matter on each of the partner's partitions is accepted."""
    async with sender(place, name) as partner:
        for n in range(3):
            await partner.send(wish(f"A-{n}"), binary(f"e-{n}", source=f"/{name}"), partition=n)
        answers = await partner.answered([f"e-{n}" for n in range(3)])
    assert all(b'"accepted"' in body for said in answers.values() for _, body in said)


async def buried(place: Installation, where: str) -> bytes:
    """The code of the dead letter that a record has become."""
    dead = place.environment["WISHGRID_TOPIC_PREFIX"] + DEAD
    async with reader(place.servers.kafka, dead) as reading:
        found = await reading.until(
            lambda records: where.encode() in {r.key for r in records}, "its dead letter"
        )
    return next(dict(r.headers)["code"] for r in found if r.key == where.encode())


async def stop(place: Installation) -> None:
    """Both members of the gate, at once."""
    processes = [member.process for member in place.services["intake"]]
    await asyncio.gather(*(asyncio.to_thread(each.terminate, 30) for each in processes))


async def start(place: Installation) -> None:
    """Both members again; return when they are ready."""
    members = place.services["intake"]
    await asyncio.gather(*(asyncio.to_thread(member.restart) for member in members))


async def make_topics(place: Installation, name: PartnerId) -> None:
    """As the topics job does."""
    prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
    await ensure_topics(place.servers.kafka, prefix=prefix, topics=topics_of([name]))


async def delete_topics(place: Installation, name: PartnerId) -> None:
    """As an operator would who lets a partner go."""
    prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
    admin = AIOKafkaAdminClient(**place.servers.kafka.options())
    await admin.start()
    await admin.delete_topics([prefix + inbound_topic(name), prefix + answers_topic(name)])
    await admin.close()


def let_in(place: Installation, name: PartnerId) -> None:
    """Write another partner into the town's file; it speaks for one source, `/<name>`."""
    file = Path(place.environment["WISHGRID_TOWNS"]) / "t3" / "partners.yaml"
    said = yaml.safe_load(file.read_text(encoding="utf-8"))
    known = next(each for each in said["partners"] if each["id"] == PARTNER)
    said["partners"].append({**known, "id": name, "sources": [f"/{name}"]})
    file.write_text(yaml.safe_dump(said), encoding="utf-8")
