"""Generations on a real Kafka and mongod: built while the old one is read, and by whom."""

from dataclasses import replace
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from deploy.parked import Places
from services.projections.build import Build
from services.projections.completion import FEW, LOOKS, Completion
from services.projections.folding import Changes, Recipe
from services.projections.generations import Generation, NotOurs
from services.projections.listeners import Listeners
from services.projections.metrics import projections_metrics
from services.projections.positions import Move
from services.projections.readmodel import ReadModel
from services.projections.roll import KEPT, READING
from services.projections.scope import StoryArrivals
from services.projections.stories import FOLD_VERSION, Story
from services.projections.touching import fold_touched
from services.projections.views import Counted, Row, Tally
from services.projections.views.place import PLACE
from services.projections.views.registry import TALLIES, VIEWS
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded, from_wire
from shared.contracts.recorded import Unreadable as DoesNotRead
from shared.errors import NotYet
from shared.mongo import Document
from shared.serving import House
from tests.conftest import TOWNS, new_story, send, until, whole_story
from tests.projections.generations import (
    CHANNELS,
    PROFILE_OF,
    WITH_CHANNELS,
    WITHOUT_NUMBERS,
    Place,
    counted,
    place_of,
)

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens every second happens every twentieth of one."""
    monkeypatch.setattr("services.projections.upkeep.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("services.projections.projector.TOUCHED_SECONDS", 0.05)


@pytest.fixture
async def place(house: House, producer: AIOKafkaProducer) -> Place:
    return await place_of(house, producer)


def _every_story_twice(story: Story) -> Counted | None:
    """As a mistaken tally would count, or a better one."""
    counted = PLACE.count(story)
    return counted and replace(counted, numbers=(*counted.numbers, "received"))


NEXT: Final = Build.of(
    TOWNS, Recipe(VIEWS, (Tally("place", _every_story_twice),), PROFILE_OF), FOLD_VERSION + 1
)
"""A build that counts otherwise."""


async def test_the_first_process_begins_a_generation_and_the_next_ones_share_it(
    place: Place,
) -> None:
    facts = await place.told(3)
    async with place.running(), place.running(instance="2") as other:
        await place.has("g1", facts)
        await place.read("g1")
        assert other.read == "g1"
    async with place.running() as again:
        assert again.read == "g1"
    assert [(g["_id"], g["state"]) for g in await place.roll.all()] == [("g1", READING)]


async def test_a_changed_tally_is_built_beside_the_old_one_and_read_when_complete(
    place: Place,
) -> None:
    """A rolling upgrade: both builds run, each writes its own generation, both read the new one
    in the end, and the old one stays as current as before."""
    facts = await place.told(30)
    async with place.running() as old:
        await place.has("g1", facts)
        async with place.running(NEXT, "2") as new:
            assert (new.read, new.standing) == ("g1", None)
            await until(lambda: new.projecting, "it has seen that the old one writes")
            assert list(old.projectors) == ["g1"]
            async with place.telling() as arrived:
                await place.read("g2")
                await until(lambda: old.read == new.read == "g2", "both read it")
            facts += [*arrived, *await place.told(1)]
            for name in ("g1", "g2"):
                await place.has(name, facts)
            assert list(old.projectors) == ["g1"]
            assert list(new.projectors) == ["g2"]
    states = {g["_id"]: g["state"] for g in await place.roll.all()}
    assert states == {"g1": KEPT, "g2": READING}
    before, after = await place.documents("g1"), await place.documents("g2")
    assert (counted(before), counted(after)) == (len(facts) // 11, 2 * (len(facts) // 11))
    assert after == await place.clean(NEXT)


async def test_an_old_process_that_starts_late_in_an_upgrade_does_not_undo_it(
    place: Place,
) -> None:
    facts = await place.told(3)
    async with place.running(NEXT, "2"):
        await place.has("g1", facts)
        async with place.running() as old:
            assert (old.read, old.projectors) == ("g1", {})
            facts += await place.told(1)
            await place.has("g1", facts)
    assert [g["_id"] for g in await place.roll.all()] == ["g1"]


async def test_who_only_reads_is_ready_while_somebody_writes_what_it_reads(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.projections.onlooker.SHRINKING_SECONDS", 1.0)
    facts = await place.told(1)
    async with place.running(NEXT, "2"):
        await place.has("g1", facts)
    facts += await place.told(20)
    assert len(facts) > 2 * FEW
    async with place.running() as old:
        await until(lambda: old._onlooker._measured is not None, "it has looked")
        assert (old.projectors, old.projecting) == ({}, False)
        async with place.running(NEXT, "2"):
            await until(lambda: old.projecting, "somebody writes again", 60)
            await place.has("g1", facts)
        await place.told(20)
        await until(lambda: not old.projecting, "nobody writes any more", 60)


async def test_who_folds_otherwise_does_not_write_also_when_the_generation_changes_under_it(
    place: Place,
) -> None:
    facts = await place.told(3)
    async with place.running() as ours:
        await place.has("g1", facts)
        before = await place.documents("g1")
        projector = ours.projectors["g1"]
        async with projector._gate:  # between two polls
            await place.house.database("views")["generations"].update_one(
                {"_id": "g1"}, {"$set": {"folds": FOLD_VERSION + 1}}
            )
            await place.told(3)
        await until(lambda: not ours.projectors, "it leaves")
        assert await place.documents("g1") == before
    generation = Generation(place.house, "g1")
    partition = TopicPartition(place.topic, 0)
    stands = await generation.model().offset(partition)
    moves = {partition: Move(stands.expected, stands.following + 1, None, stands.touches)}
    with pytest.raises(NotOurs, match=f"was written by folds {FOLD_VERSION + 1}"):
        await generation.model().write(Changes(), moves, (), generation.check)
    assert await generation.model().offset(partition) == stands
    with pytest.raises(NotOurs):
        await generation.prepare()


async def test_a_view_that_is_new_is_filled_in_place_while_facts_arrive(place: Place) -> None:
    """And is not read before it is complete; the old process leaves, and reads on."""
    facts = await place.told(60)
    async with place.running(WITHOUT_NUMBERS) as old:
        await place.has("g1", facts)
        async with place.running(WITH_CHANNELS, "2") as new:
            async with place.telling() as arrived:
                assert new.read == "g1"
                for view in ("place", "channels"):
                    with pytest.raises(NotYet):
                        new.reading.model.view(view)
                await until(lambda: not old.projectors, "the old one leaves")
                await place.filled("g1")
                await until(lambda: not new.reading.model.unfilled, "it is read")
                assert old.read == "g1"
            facts += [*arrived, *await place.told(1)]
            await place.has("g1", facts)
            filled = await place.documents("g1")
    assert len(filled["channels"]) == counted(filled) == len(facts) // 11
    assert await place.house.database("views_g1")["touched"].find_one() is None
    indexes = await place.house.database("views_g1")["channels"].index_information()
    assert "channel_1" in indexes
    assert filled == await place.clean(WITH_CHANNELS)


class _Arrivals(StoryArrivals):
    """What somebody waits for who may see everything."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model

    async def _story(self, name: StoryId) -> Document | None:
        found: Document | None = await self._model.database["stories"].find_one({"_id": name})
        assert found is not None
        return found


def _raising(story: Story) -> Row | None:
    raise LookupError("a view with a bug")


async def test_a_view_that_raises_is_not_called_complete_until_a_mended_build_fills_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stories are told meanwhile by `wishgrid parked list`, though nothing of theirs waits."""
    facts = await place.told(3)
    async with place.running(WITHOUT_NUMBERS):
        await place.has("g1", facts)
    views = (*VIEWS, replace(CHANNELS, row=_raising))
    broken = Build.of(TOWNS, Recipe(views, TALLIES, PROFILE_OF))
    asked, looks = Completion._unfilled, 0

    async def counting(self: Completion, generation: Generation) -> bool:
        nonlocal looks
        touched = await generation.database["touched"].find_one()
        looks += touched is None
        return await asked(self, generation)

    monkeypatch.setattr(Completion, "_unfilled", counting)
    prefix = place.house.settings.database_prefix
    places = Places(place.house.mongo, prefix, ["projections"])
    async with place.running(broken) as ours:
        await until(lambda: looks > LOOKS, "all were folded, and looked at again and again")
        assert ours.reading.model.unfilled == {"channels", "place"}
        assert counted(await place.documents("g1")) == 3  # what else is filled is
        facts += await place.told(2)
        await place.has("g1", facts)  # and stories go on
        assert await place.house.database("views_g1")["parked"].find_one() is None
        assert await ours.reading.model.database["case_list"].count_documents({}) == 5
        assert not await _Arrivals(ours.reading.model).parked(facts[0].story)
        assert b"wishgrid_parked_records 5.0" in await projections_metrics(ours, Listeners()).text()
    (sick, *others) = await places.standstills()
    assert len(others) == 4
    story, text = facts[0].story, "LookupError: a view with a bug"
    stuck = await place.house.database("views_g1")["stories"].find_one({"_id": story}) or {}
    assert (stuck["stuck"], stuck["lacks"]) == ({"views": text}, ["channels"])
    assert (sick.what, sick.reason) == ("a view", "views: LookupError: a view with a bug")
    async with place.running(WITH_CHANNELS):
        await place.filled("g1")
        assert await places.standstills() == []
    assert await place.documents("g1") == await place.clean(WITH_CHANNELS)


async def test_a_crash_in_the_middle_of_filling_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = await place.told(80)
    async with place.running(WITHOUT_NUMBERS):
        await place.has("g1", facts)
    monkeypatch.setattr("services.projections.projector.MOST_TOUCHED", 7)
    touched = place.house.database("views_g1")["touched"]
    killed, left = 0, 80
    while left:
        async with place.running(WITH_CHANNELS, "1"):
            before = left

            async def some_were(before: int = before) -> bool:
                generation = await place.roll.one("g1") or {}
                begun = generation["filling"] and not generation["touching"]
                return (bool(begun) and await touched.count_documents({}) < before) or (
                    generation["filling"] == [] and "channels" in generation["views"]
                )

            await until(some_were, "some more were folded")
            killed += 1
        left = await touched.count_documents({})
    assert killed > 2
    async with place.running(WITH_CHANNELS):
        await place.filled("g1")
    assert await place.documents("g1") == await place.clean(WITH_CHANNELS)


async def test_of_two_owners_that_fill_one_partition_one_writes(place: Place) -> None:
    """Both read the same stories before one of them wrote; no record came, so no offset tells."""
    facts = await place.told(20)
    async with place.running(WITHOUT_NUMBERS):
        await place.has("g1", facts)
    generation = Generation(place.house, "g1", WITH_CHANNELS)
    await generation.make_collections()
    await generation.touch_all(["channels", "place"])
    ours, zombie = generation.model(), generation.model()
    moves = {p: await ours.offset(p) for p in (TopicPartition(place.topic, n) for n in range(4))}
    before = await place.documents("g1")
    filled = [
        await fold_touched(m, await m.touched(range(4), 99), WITH_CHANNELS.recipe)
        for m in (ours, zombie)
    ]
    assert await ours.write(filled[0], moves, (), generation.check)
    after = await place.documents("g1")
    assert (counted(before), counted(after)) == (0, 20)
    assert not await zombie.write(filled[1], moves, (), generation.check)
    late = {p: move._replace(following=move.following + 1) for p, move in moves.items()}
    assert not await zombie.write(Changes(), late, (), generation.check)  # a poll read before
    assert await place.documents("g1") == after


async def test_a_touched_story_is_folded_with_what_did_not_read_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact of its middle did not read, so the story stood still; now it reads."""
    wish, case = whole_story(new_story())
    unread = {wish[0].id, case[2].id}

    def from_wire_of_an_older_build(value: Any, headers: Any) -> Recorded:
        recorded = from_wire(value, headers)
        if recorded.id in unread:
            raise DoesNotRead("a mistake of the build")
        return recorded

    with monkeypatch.context() as older:
        older.setattr("services.projections.records.from_wire", from_wire_of_an_older_build)
        async with place.running():
            await send(place.producer, place.topic, [*wish, *case])
            await place.has("g1", case[:2])
            parked = place.house.database("views_g1")["parked"]
            await until_count(parked, len(wish) + len(case) - 2)
    touched = place.house.database("views_g1")["touched"]
    story = await place.house.database("views_g1")["stories"].find_one() or {}
    await touched.insert_one({"_id": wish[0].story, "partition": (story["partition"] + 1) % 4})
    async with place.running():
        await place.has("g1", [*wish, *case])
        assert await parked.find_one() is None
        assert await touched.find_one() is None
    assert await place.documents("g1") == await place.clean(Build.of(TOWNS))


async def until_count(collection: Any, count: int) -> None:
    async def so_many() -> bool:
        return bool(await collection.count_documents({}) == count)

    await until(so_many, f"there are {count}")


async def test_what_waits_in_the_new_one_alone_keeps_it_from_being_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = await place.told(3)
    async with place.running():
        await place.has("g1", facts)
        await place.roll.begin(NEXT, await place.roll.all())
        parked = place.house.database("views_g2")["parked"]
        await parked.insert_one({"_id": "something", "story": "s", "reason": "it stands still"})
        async with place.running(NEXT, "2") as new:
            await place.has("g2", facts)
            await until(lambda: "g2" in new._completion._indexed, "it is nearly complete")
            looks, seen = Completion._waits, 0

            async def counting(self: Completion, *names: str) -> bool:
                nonlocal seen
                seen += 1
                return await looks(self, *names)

            monkeypatch.setattr(Completion, "_waits", counting)
            await until(lambda: seen > 2 * LOOKS, "it was looked at again and again")
            assert await place.roll.reading() == "g1"
            await parked.delete_many({})
            await place.read("g2")


async def test_a_topic_that_lacks_its_beginning_stops_the_new_one_and_not_the_old_one(
    place: Place,
) -> None:
    facts = await place.told(12)
    async with place.running() as ours:
        await place.has("g1", facts)
        admin = AIOKafkaAdminClient(**place.house.kafka.options())
        await admin.start()
        await admin.delete_records({TopicPartition(place.topic, 0): RecordsToDelete(3)})
        await admin.close()
        await place.roll.begin(Build.of(TOWNS), await place.roll.all())
        await until(lambda: "g2" in ours.projectors, "it is begun")
        new = ours.projectors["g2"]
        await until(lambda: new.fault is not None, "it stops")
        assert "republish the stores into a new topic" in str(new.fault)
        assert ours.standing is not None
        assert ours.projecting
        facts += await place.told(2)
        await place.has("g1", facts)
        assert await place.roll.reading() == "g1"
