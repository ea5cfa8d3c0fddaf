"""The oracle finds nothing in what is sound, and names each loss and each doubling."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from deploy.lag import Installation
from deploy.topics import Topic, ensure_topics
from shared.backlog import LEASES, RELAY
from shared.contracts.base import CommandId, FactId, StoryId
from shared.contracts.recorded import Recorded, to_wire
from shared.kafka import DEAD
from shared.mongo import server_time
from shared.mongo_store import MongoStore
from shared.serving import House
from tests.chaos.oracle import Acknowledged, Restless, duplicates, settled, violations
from tests.conftest import TOWNS, send, whole_story
from tests.deploy.test_verify import Place, commits_of, one_command_each, place_of
from tests.partner import ANSWERS, INBOUND, binary, wish

pytestmark = pytest.mark.stack


@pytest.fixture
async def sound(house: House, producer: AIOKafkaProducer) -> AsyncIterator[Place]:
    """Thirteen stories that are over, as stores, topic and read model tell them; a partner that
    said nothing yet."""
    topics = [Topic(name, 1) for name in (INBOUND, ANSWERS, DEAD)]
    await ensure_topics(house.kafka, prefix=house.settings.topic_prefix, topics=topics)
    async with place_of(house, producer) as place:
        keys = [{"_id": wish[0].story, "wrapped": b""} for wish, _ in place.told]
        await house.database("keys")["keys"].insert_many(keys)
        yield place


def acknowledged(place: Place) -> list[Acknowledged]:
    """Every fact of every story, as its client was told of it."""
    return [
        Acknowledged(service, recorded.id, recorded.command_id)
        for wish, case in place.told
        for service, facts in (("intake", wish), ("dispatch", case))
        for recorded in facts
    ]


Damage = Callable[[Place, StoryId], Awaitable[Any]]


async def without_the_last_commit(place: Place, story: StoryId) -> None:
    await place.commits("case").delete_one({"_id": f"case-{story}@0000000006"})


async def with_a_command_twice(place: Place, story: StoryId) -> None:
    command = {"command_id": f"case-{story}@1#"}
    await place.commits("case").update_one({"_id": f"case-{story}@0000000002"}, {"$set": command})


async def with_a_fact_that_was_not_published(place: Place, story: StoryId) -> None:
    """The relay is gone after the commit."""
    await stored(place, one_command_each(whole_story(StoryId(f"unpublished-{story}"))[0])[:1])


async def with_a_fact_nobody_reacted_to(place: Place, story: StoryId) -> None:
    facts = one_command_each(whole_story(StoryId(f"unopened-{story}"))[0])[:1]
    await stored(place, facts)
    await send(place.producer, place.topic, facts)
    await place.projected()


async def with_other_bytes(place: Place, story: StoryId) -> None:
    """Another relay would say the same in other bytes: to whoever reads them it is the same."""
    (told,) = [wish for wish, _ in place.told if wish[0].story == story]
    key, value, headers = to_wire(told[0])
    await place.producer.send_and_wait(place.topic, b" " + value, key=key, headers=headers)
    await place.projected()


async def with_another_cell(place: Place, story: StoryId) -> None:
    first = await place.views["place"].find().sort("_id", 1).to_list(1)
    await place.views["place"].update_one(first[0], {"$inc": {"cells.0.received": 1}})


async def without_a_timeline_entry(place: Place, story: StoryId) -> None:
    await place.views["timeline"].delete_one({"_id": f"case-{story}@2"})


async def without_its_key(place: Place, story: StoryId) -> None:
    await place.house.database("keys")["keys"].delete_one({"_id": story})


async def with_an_event_nobody_answered(place: Place, story: StoryId) -> None:
    topic = place.house.in_kafka(INBOUND)
    await place.producer.send_and_wait(topic, wish(story), headers=binary(story))


async def with_two_answers_under_one_name(place: Place, story: StoryId) -> None:
    for said in (b'{"said":"accepted"}', b'{"said":"refused"}'):
        headers = [("ce_id", f"answer-{story}".encode())]
        await place.producer.send_and_wait(place.house.in_kafka(ANSWERS), said, headers=headers)


async def with_a_refusal_that_was_not_told(place: Place, story: StoryId) -> None:
    refusal = {"said": "refused", "id": "e-1", "code": "unknown-type"}
    claim = {"_id": story, "place": f"place-{story}", "answer": refusal}
    await place.house.database("intake")["inbound"].insert_one(claim)


DAMAGES: list[tuple[Damage, str]] = [
    (
        without_the_last_commit,
        "case-{story}@6 was acknowledged by dispatch and is not in its store",
    ),
    (
        with_a_command_twice,
        "case-{story}@1 was acknowledged; its command case-{story}@1# is at "
        "case-{story}@1, case-{story}@2",
    ),
    (
        with_a_fact_that_was_not_published,
        "wish-unpublished-{story}@1 is in its store and not in the topic",
    ),
    (
        with_a_fact_nobody_reacted_to,
        "open-case of wish-unopened-{story}@1 on case-unopened-{story} was never decided",
    ),
    (with_other_bytes, "otherwise than its relay makes it of wish-{story}@1"),
    (with_another_cell, "is not what the facts fold into: cells"),
    (without_a_timeline_entry, "timeline case-{story}@2 is missing in the read model"),
    (without_its_key, "wish-{story}@1 has a text sealed for {story}, of whom there is no key"),
    (with_an_event_nobody_answered, f"{INBOUND}:0:0 was never answered"),
    (with_two_answers_under_one_name, "answer answer-{story} is in"),
    (
        with_a_refusal_that_was_not_told,
        "event place-{story} was refused (unknown-type) and its partner not told",
    ),
]


async def test_what_is_sound_has_no_violation_and_each_damage_is_one(sound: Place) -> None:
    """All damages at once, each to another story."""
    where, said = sound.installation, acknowledged(sound)
    assert (await violations(where, TOWNS, said), await duplicates(where)) == ([], 0)
    wish, case = sound.told[0]
    await send(sound.producer, sound.topic, [*wish, *case])  # told again: counted, and no harm
    await sound.projected()
    assert (await violations(where, TOWNS, said), await duplicates(where)) == ([], 11)
    nowhere = Acknowledged("intake", FactId("wish-nowhere@1"), None)
    other = replace(said[-1], command=CommandId("never-seen"))
    strange = Acknowledged("nobody", said[0].position, None)
    for (damage, _), (told, _) in zip(DAMAGES, sound.told, strict=False):
        await damage(sound, told[0].story)
    found = await violations(where, TOWNS, [*said, nowhere, other, strange])
    for (_, sentence), (told, _) in zip(DAMAGES, sound.told, strict=False):
        named = sentence.format(story=told[0].story)
        assert [line for line in found if named in line], (named, found)
    assert "wish-nowhere@1 was acknowledged by intake and is not in its store" in found
    assert f"{other.position} was acknowledged; its command never-seen is at nowhere" in found
    assert f"{strange.position} was acknowledged by nobody, which has no store" in found


async def test_it_is_at_rest_once_all_is_relayed_and_read_and_not_before(sound: Place) -> None:
    where = sound.installation
    waits = await what_waits(where)
    assert "intake has a commit that was not relayed for" in waits
    assert "wishgrid.dispatch.reactions is behind by" in waits
    await relayed_and_read(sound, where)
    await settled(where, TOWNS, seconds=60)
    offsets = await sound.views["offsets"].find({"next": {"$gt": 3}}).to_list(1)
    await sound.views["offsets"].update_one(offsets[0], {"$inc": {"next": -3}})
    assert "wishgrid.projections.g1 is behind by 3 records" in await what_waits(where)


async def what_waits(where: Installation) -> str:
    with pytest.raises(Restless) as restless:
        await settled(where, TOWNS, seconds=1)
    return str(restless.value)


async def relayed_and_read(place: Place, where: Installation) -> None:
    """As relays and consumers would leave it."""
    for service in ("intake", "dispatch"):
        home = place.house.database(service)
        mark = {"_id": RELAY, "cluster_time": await server_time(home)}
        await home[LEASES].insert_one(mark)
    topics = {place.topic: 4, place.house.in_kafka(INBOUND): 1}
    for group in where.groups:
        consumer = AIOKafkaConsumer(
            **where.kafka.options(), group_id=where.topic_prefix + group, enable_auto_commit=False
        )
        await consumer.start()
        partitions = [TopicPartition(t, p) for t, count in topics.items() for p in range(count)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.commit({p: OffsetAndMetadata(end, "") for p, end in ends.items()})
        await consumer.stop()


async def stored(place: Place, facts: list[Recorded]) -> None:
    """These facts in intake's store, and no relay that sees them."""
    store = MongoStore(place.house.database("intake"))
    for commit in commits_of(facts):
        await store.append(commit)
    await store.close()
    keys = [{"_id": facts[0].story, "wrapped": b""}]
    await place.house.database("keys")["keys"].insert_many(keys)
