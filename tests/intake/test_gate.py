"""The gate over a real store and real topics: one answer per event, whatever happens between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import bson
import orjson
import pytest
from faststream.kafka import KafkaBroker

from deploy.topics import Topic, ensure_topics, topics_of
from services.intake.claims import REMEMBERED, Claim, Claims
from services.intake.gate import VALUE_KEPT, Gate
from services.intake.inbound import read_event
from services.intake.partner_orders import Grants, PartnerOrders, command_of, story_of_ref
from services.intake.partner_topics import PartnerTopics
from services.intake.wish import WISH
from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import EventId, PartnerId, SourceRef, SubjectId
from shared.contracts.recorded import stream_id
from shared.errors import Conflict, KeyMissing
from shared.handling import Handler
from shared.kafka import DEAD, Record, broker
from shared.keystore import KeyWriter
from shared.mongo_store import MongoStore
from shared.serving import House
from tests.conftest import TOWN, TOWNS, reader
from tests.partner import (
    INBOUND,
    MATTER,
    PARTNER,
    SOURCE,
    Headers,
    about,
    binary,
    record,
    report,
    structured,
    wish,
)

pytestmark = pytest.mark.stack

GRANTS = TOWNS.partners()[PARTNER]
STRANGER = PartnerId("stranger")
SPEECHLESS = PartnerId("speechless")
CANARY = "金丝雀"


@dataclass
class Door:
    """One member of the gate, and what can be seen from outside."""

    house: House
    kafka: KafkaBroker
    store: MongoStore
    claims: Claims
    gate: Gate

    def __post_init__(self) -> None:
        self.offset = 0

    def inbound(
        self,
        value: bytes | None,
        headers: Headers,
        *,
        key: bytes | None = b"k",
        partition: int = 0,
        partner: PartnerId = PARTNER,
    ) -> Record:
        """The next record of a partner's topic."""
        self.offset += 1
        topic = self.house.in_kafka(inbound_topic(partner))
        return record(value, headers, self.offset, key=key, partition=partition, topic=topic)

    async def take(self, *records: Record) -> None:
        """A batch that goes through."""
        await self.gate.on_batch(records)

    async def answers(self, partner: PartnerId = PARTNER) -> list[Record]:
        """All that was answered."""
        return await self.read(answers_topic(partner))

    async def read(self, topic: str) -> list[Record]:
        """All that is on a topic now."""
        async with reader(self.house.kafka, self.house.in_kafka(topic)) as reading:
            return await reading.to_the_end()

    async def said(self, id_: str) -> tuple[str, str | None]:
        """Code and field of the one answer to an event."""
        ((_, body),) = about(await self.answers())[EventId(id_)]
        answer = orjson.loads(body)
        return answer["code"], answer.get("field")

    async def facts(self, ref: str) -> list[str]:
        """What is recorded under a reference."""
        story = story_of_ref(TOWN, SOURCE, SourceRef(ref))
        history = await self.store.load(stream_id("wish", story))
        return [fact.type for fact in history.facts]


@pytest.fixture
async def door(house: House) -> AsyncIterator[Door]:
    """A gate on topics of its own: those of the partner, and one of a stranger."""
    prefix, kafka = house.settings.topic_prefix, house.kafka
    await ensure_topics(kafka, prefix=prefix, topics=topics_of([PARTNER]))
    async with member(house, {PARTNER: GRANTS, SPEECHLESS: GRANTS}) as made:
        yield made


@contextlib.asynccontextmanager
async def member(house: House, partners: dict[PartnerId, Grants]) -> AsyncIterator[Door]:
    """One of several instances."""
    kafka = broker(house.kafka, "gate-test")
    await kafka.start()
    home = house.database("intake")
    keys = KeyWriter(house.database("keys"), house.secrets)
    store, claims = MongoStore(home), Claims(home, house.secrets)
    gate = Gate(
        claims,
        store,
        Handler(WISH, store, house.clock, keys),
        PartnerOrders(keys, TOWNS),
        partners,
        house.secrets,
        PartnerTopics(kafka, house.kafka),
        topic_prefix=house.settings.topic_prefix,
    )
    await claims.prepare()
    try:
        yield Door(house, kafka, store, claims, gate)
    finally:
        await kafka.stop()


async def test_submission_and_report_under_one_key_go_through_in_one_batch(door: Door) -> None:
    events = []
    for n in range(30):
        key = f"A-{n}".encode()
        events.append(door.inbound(wish(f"A-{n}"), binary(f"s-{n}"), key=key))
        events.append(door.inbound(report(f"A-{n}"), binary(f"r-{n}", "unit-reported"), key=key))
    await door.take(*events)
    for n in range(30):
        assert await door.facts(f"A-{n}") == ["wish-submitted.v1", "unit-report-received.v1"]
    assert await door.answers() == []  # the commits are the answers


async def test_a_refusal_stands_under_its_id_and_another_id_is_judged_anew(door: Door) -> None:
    early = report("A-1"), binary("r-1", "unit-reported")
    await door.take(door.inbound(*early))
    await door.take(door.inbound(wish("A-1"), binary("s-1")), door.inbound(*early))
    await door.take(door.inbound(*early, partition=2))
    await door.take(door.inbound(report("A-1"), binary("r-2", "unit-reported")))
    assert len(await door.answers()) == 3
    assert await door.said("r-1") == ("unknown-reference", "ref")
    assert await door.facts("A-1") == ["wish-submitted.v1", "unit-report-received.v1"]


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (wish("A-1", words="别的"), binary("s-1")),
        (wish("A-2"), binary("s-1")),
        (wish("A-1"), binary("s-1", time="2026-03-02T08:00:00Z")),
        (wish("A-1"), binary("s-1", "hazard-raised")),
        (report("A-1"), binary("s-1", "unit-reported")),
        (b"{", binary("s-1")),
        (structured({"ref": "A-2", **MATTER}, "s-1"), []),
    ],
    ids=["words", "ref", "time", "type", "type and data", "garbage", "form"],
)
async def test_an_id_used_for_something_else_is_refused(
    door: Door, value: bytes, headers: Headers
) -> None:
    await door.take(door.inbound(wish("A-1"), binary("s-1")))
    for _ in range(2):
        await door.take(door.inbound(value, headers))
    assert await door.said("s-1") == ("id-reused", "id")
    assert await door.facts("A-1") == ["wish-submitted.v1"]
    assert await door.facts("A-2") == []


async def test_a_repaired_event_needs_an_id_of_its_own(door: Door) -> None:
    await door.take(door.inbound(b"{", binary("s-1")))
    await door.take(door.inbound(wish("A-1"), binary("s-1")), door.inbound(b"{", binary("s-1")))
    answers = about(await door.answers())
    codes = {orjson.loads(body)["code"] for _, body in answers[EventId("s-1")]}
    assert codes == {"unreadable-event", "id-reused"}
    assert await door.facts("A-1") == []


@pytest.mark.parametrize(
    ("more", "time", "code", "field"),
    [
        ({}, "2999-01-01T00:00:00Z", "occurred-ahead", "time"),
        ({}, "2001-01-01T00:00:00+08:00", "occurred-too-far-back", "time"),
        ({}, "2026-03-02T08:00:00", "invalid-event", "time"),
        ({"kind": "none"}, None, "unknown-kind", "kind"),
        ({"category": "none"}, None, "unknown-category", "category"),
        ({"channel": "none"}, None, "unknown-channel", "channel"),
        ({"area": "t3/west/none"}, None, "unknown-area", "area"),
        (
            {"settled_on_spot": {"outcome": "none", "note": "好了"}},
            None,
            "unknown-outcome",
            "settled_on_spot.outcome",
        ),
    ],
)
async def test_what_the_town_does_not_know_or_allow_is_refused_by_name_and_what_follows_flows(
    door: Door, more: dict[str, object], time: str | None, code: str, field: str
) -> None:
    headers = binary("s-1", **({} if time is None else {"time": time}))
    await door.take(
        door.inbound(wish("A-1", **more), headers), door.inbound(wish("A-1"), binary("s-2"))
    )
    assert await door.said("s-1") == (code, field)
    assert await door.facts("A-1") == ["wish-submitted.v1"]


async def test_a_report_about_someone_who_was_erased_is_refused(door: Door, house: House) -> None:
    await door.take(door.inbound(wish("A-1", phone="13800000000"), binary("s-1")))
    keys = house.database("keys")["keys"]
    await keys.update_many({}, {"$unset": {"wrapped": 1}, "$set": {"erased_at": datetime.now(UTC)}})
    async with member(house, {PARTNER: GRANTS}) as later:  # one that never saw the key
        await later.take(
            later.inbound(report("A-1"), binary("r-1", "unit-reported")),
            later.inbound(wish("A-1", phone="13800000000"), binary("s-1")),
        )
    assert await door.said("r-1") == ("erased", None)
    assert len(await door.answers()) == 1


async def test_a_reference_that_is_taken_says_by_which_story(door: Door) -> None:
    await door.take(door.inbound(wish("A-1"), binary("s-1")))
    await door.take(door.inbound(wish("A-1"), binary("s-2")))
    ((_, body),) = about(await door.answers())[EventId("s-2")]
    story = story_of_ref(TOWN, SOURCE, SourceRef("A-1"))
    assert orjson.loads(body) == {
        "said": "refused",
        "source": SOURCE,
        "id": "s-2",
        "story": story,
        "version": 1,
        "position": f"wish-{story}@1",
        "code": "ref-taken",
        "field": "ref",
    }


@pytest.mark.parametrize("verb", ["wish-submitted", "unit-reported"])
async def test_one_event_on_two_partitions_at_once_is_judged_by_one_of_two_members(
    door: Door, house: House, verb: str
) -> None:
    value = wish("A-1") if verb == "wish-submitted" else report("A-1")
    async with member(house, {PARTNER: GRANTS}) as other:
        copies = [
            [at.inbound(value, binary(f"e-{n}", verb), key=None, partition=p) for n in range(20)]
            for p, at in enumerate((door, other))
        ]
        await asyncio.gather(insist(door, copies[0]), insist(other, copies[1]))
    answers = about(await door.answers())
    assert all(len(said) == 1 for said in answers.values())
    if verb == "unit-reported":
        assert len(answers) == 20
    else:
        assert len(answers) == 19  # one of them was first, the others' reference is taken
        assert await door.facts("A-1") == ["wish-submitted.v1"]


async def test_an_event_whose_record_was_claimed_by_a_dead_process_waits_for_that_record(
    door: Door,
) -> None:
    first = door.inbound(report("A-1"), binary("r-1", "unit-reported"), partition=1)
    copy = door.inbound(report("A-1"), binary("r-1", "unit-reported"), partition=2)
    await claimed(door, first)
    with pytest.raises(Conflict):
        await door.take(copy)
    await door.take(door.inbound(wish("A-1"), binary("s-1")))
    with pytest.raises(Conflict):
        await door.take(copy)
    await door.take(first)
    await door.take(copy)
    assert await door.facts("A-1") == ["wish-submitted.v1", "unit-report-received.v1"]
    assert await door.answers() == []


async def test_an_event_whose_first_record_is_gone_for_long_is_judged(door: Door) -> None:
    first, copy = (door.inbound(wish("A-1"), binary("s-1"), partition=p) for p in (0, 1))
    await claimed(door, first, datetime.now(UTC) - timedelta(hours=2))
    await door.take(copy)
    assert await door.facts("A-1") == ["wish-submitted.v1"]


async def test_what_was_accepted_stays_so_when_the_partner_loses_the_right(
    door: Door, house: House
) -> None:
    event = wish("A-1"), binary("s-1")
    await door.take(door.inbound(*event))
    fewer = {TOWN: GRANTS[TOWN].model_copy(update={"verbs": ("unit-reported",)})}
    async with member(house, {PARTNER: fewer}) as later:
        await later.take(later.inbound(*event), later.inbound(wish("A-2"), binary("s-2")))
    assert list(about(await door.answers())) == ["s-2"]


async def test_one_key_that_has_to_wait_holds_up_what_follows_it_and_no_other_key(
    door: Door,
) -> None:
    first = door.inbound(wish("A-1"), binary("s-1"), partition=1)
    await claimed(door, first)
    batch = [
        door.inbound(wish("A-1"), binary("s-1"), key=b"A-1"),
        door.inbound(wish("A-2"), binary("s-2"), key=b"A-1"),
        door.inbound(wish("A-3"), binary("s-3"), key=b"A-3"),
        door.inbound(wish("A-4"), binary("s-4"), key=None),
    ]
    with pytest.raises(Conflict):
        await door.take(*batch)
    assert [await door.facts(f"A-{n}") for n in (1, 2)] == [[], []]
    assert [await door.facts(f"A-{n}") for n in (3, 4)] == [["wish-submitted.v1"]] * 2
    await door.take(first)
    await door.take(*batch)
    assert await door.facts("A-2") == ["wish-submitted.v1"]


async def test_dead_letters_are_sealed_whole_and_say_where_they_came_from(door: Door) -> None:
    words = f"{CANARY}，不成事件".encode()
    dead = door.inbound(words, [("ce_id", b"\xff"), ("x", CANARY.encode())], partition=1)
    await door.take(dead, door.inbound(wish("A-1"), binary("s-1")))
    (letter,) = await door.read(DEAD)
    place = f"{INBOUND}:1:{dead.offset}"
    headers = dict(letter.headers)
    assert (headers["place"], headers["code"]) == (place.encode(), b"no-event-id")
    assert CANARY.encode() not in b"".join([letter.value or b"", *headers.values()])
    subject = SubjectId(f"dead-letter:{place}")
    opened = bson.decode(door.house.secrets.unwrap(subject, letter.value or b""))
    assert opened == {
        "key": b"k",
        "headers": [["ce_id", b"\xff"], ["x", CANARY.encode()]],
        "value": words,
        "length": len(words),
    }
    with pytest.raises(KeyMissing):
        door.house.secrets.unwrap(SubjectId("dead-letter:elsewhere"), letter.value or b"")
    (answer,) = await door.answers()
    assert orjson.loads(answer.value or b"")["place"] == place
    assert await door.facts("A-1") == ["wish-submitted.v1"]


async def test_a_record_of_any_size_is_a_dead_letter_and_answered(door: Door) -> None:
    huge = [
        door.inbound(b"x" * 1_048_000, binary("big-value")),
        door.inbound(b"{}", [*binary("big-header"), ("h", b"x" * 1_048_000), ("ce_id", b"2")]),
        door.inbound(b"{", binary("big-key"), key=b"x" * 1_048_000),
        door.inbound(b"\0" * 5_000_000, binary("was-compressed")),
        door.inbound(b"{" * 5_000_000, []),
    ]
    await door.take(*huge)
    letters = {bytes(dict(letter.headers)["place"]): letter for letter in await door.read(DEAD)}
    assert len(letters) == len(huge)
    place = f"{INBOUND}:0:{huge[0].offset}"
    sealed = letters[place.encode()].value or b""
    opened = bson.decode(door.house.secrets.unwrap(SubjectId(f"dead-letter:{place}"), sealed))
    assert (len(opened["value"]), opened["length"]) == (VALUE_KEPT, 1_048_000)
    assert await door.said("big-value") == ("too-large", None)
    assert await door.said("was-compressed") == ("too-large", None)
    assert len(about(await door.answers())) == len(huge)


async def test_whom_nobody_knows_or_nobody_can_answer_is_a_dead_letter_and_others_flow(
    door: Door,
) -> None:
    await door.take(
        door.inbound(wish("A-1"), binary("s-1"), partner=STRANGER),
        door.inbound(wish("A-2"), binary("s-2"), partner=SPEECHLESS),
        door.inbound(wish("A-3"), binary("s-3")),
    )
    letters = await door.read(DEAD)
    assert {dict(letter.headers)["code"] for letter in letters} == {b"unknown-partner"}
    places = {dict(letter.headers)["place"].decode().split(":")[0] for letter in letters}
    assert places == {inbound_topic(STRANGER), inbound_topic(SPEECHLESS)}
    assert [await door.facts(f"A-{n}") for n in (1, 2, 3)] == [[], [], ["wish-submitted.v1"]]


async def test_who_can_be_answered_from_now_on_is_heard_from_now_on(door: Door) -> None:
    await door.take(door.inbound(b"{", binary("e-1"), partner=SPEECHLESS))
    settings = door.house.settings
    topics = [Topic(answers_topic(SPEECHLESS), 1)]
    await ensure_topics(door.house.kafka, prefix=settings.topic_prefix, topics=topics)
    await door.take(door.inbound(b"{", binary("e-2"), partner=SPEECHLESS))
    assert list(about(await door.answers(SPEECHLESS))) == ["e-2"]


async def test_nothing_that_an_event_says_is_in_its_answer(door: Door) -> None:
    """Fields, made-up names of fields, headers: only ids, codes and our names of fields."""
    texts = ("words", "title", "name", "phone", "address", "kind", "category", "area", "town")
    broken = [wish(f"A-{n}", **{field: [CANARY]}) for n, field in enumerate(texts)]
    broken += [wish("B-1", **{CANARY: 1}), wish("B-2", canary=1), wish("B-3", words=CANARY)]
    broken += [report("B-3", unit=CANARY), report("B-3", story=CANARY), CANARY.encode()]
    verbs = ["wish-submitted", "hazard-raised", "unit-reported", "progress-reported", CANARY]
    hidden = ("x", CANARY.encode()), (CANARY, b""), ("ce_subject", CANARY.encode())
    events = [
        door.inbound(value, [*binary(f"e-{n}-{m}", verb), *hidden], key=CANARY.encode())
        for n, value in enumerate(broken)
        for m, verb in enumerate(verbs)
    ]
    events += [
        door.inbound(value, [*binary(CANARY), *hidden], key=CANARY.encode()) for value in broken
    ]
    await door.take(*events)
    answers = await door.answers()
    assert len(about(answers)) > 80
    for answer in answers:
        said = b"".join([answer.key or b"", answer.value or b"", *dict(answer.headers).values()])
        assert CANARY.encode() not in said
        assert b"canary" not in said


async def test_events_are_forgotten_after_a_while_and_decisions_are_not(door: Door) -> None:
    indexes = await door.house.database("intake")["inbound"].index_information()
    forgets = [index.get("expireAfterSeconds") for index in indexes.values()]
    assert int(REMEMBERED.total_seconds()) in forgets
    await door.take(door.inbound(wish("A-1"), binary("s-1")))
    await door.house.database("intake")["inbound"].delete_many({})
    again = door.inbound(wish("A-1"), binary("s-1"))
    await door.take(again, door.inbound(report("A-1"), binary("r-1", "unit-reported")))
    assert await door.facts("A-1") == ["wish-submitted.v1", "unit-report-received.v1"]
    await door.house.database("intake")["inbound"].delete_many({})
    await door.take(door.inbound(wish("A-1", words="别的"), binary("s-1")))
    assert await door.said("s-1") == ("id-reused", "id")


async def insist(door: Door, records: Sequence[Record]) -> None:
    """As the consumer does: the same batch again until it goes through."""
    for _ in range(20):
        with contextlib.suppress(Conflict):
            return await door.take(*records)
    raise AssertionError("it never went through")


async def claimed(door: Door, event: Record, at: datetime | None = None) -> None:
    """What a process leaves behind that died between claiming and deciding."""
    read = read_event(event.value, event.headers)
    place = f"{INBOUND}:{event.partition}:{event.offset}"
    story = story_of_ref(TOWN, SOURCE, SourceRef(read.body["ref"]))
    said = door.claims.digest(read.raw)
    stream = stream_id("wish", story)
    await door.claims.make(
        Claim(command_of(PARTNER, read), said, place, at or datetime.now(UTC), stream)
    )
