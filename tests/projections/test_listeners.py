"""Who is told what: those it concerns, the newest only, nothing lost between two streams."""

import random
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projections.changes_api import _Stream
from services.projections.listeners import Change, Listener, Listeners, Mark, Place
from services.projections.scope import Circle, circles_around, circles_of, in_scope, sees
from services.projections.views.case_list import areas_around
from shared.access import Principal, Role
from shared.contracts.base import AreaId, ResidentId, TownId
from tests.projections.model import AREAS, MIXED_RECIPE, UNITS, History, Model, histories

WEST = frozenset({("t3", "area", "t3/west")})
EAST = frozenset({("t3", "area", "t3/east")})
NOW = int(time())


def change(story: str, seconds: int, nth: int = 1, circles: Any = WEST) -> Change:
    return Change(Place(NOW + seconds, 1, nth), story, circles, f"{story}@{seconds};".encode())


def mark(seconds: int, nth: int = 0, generation: str = "g1") -> Mark:
    return Mark(generation, Place(NOW + seconds, 1, nth))


def listeners(**most: int) -> Listeners:
    made = Listeners(**most)
    made.begin(mark(-100))
    return made


def told(listener: Listener, size: int = 10**6) -> list[str]:
    return [c.told.decode().rstrip(";") for c in listener.take(size)]


def publish(all_of_them: Listeners, *changes: Change) -> None:
    all_of_them.publish(changes, changes[-1].place)


def test_a_change_goes_to_those_it_concerns_and_to_them_once() -> None:
    house = listeners()
    both = WEST | EAST
    with (
        house.listening(WEST) as west,
        house.listening(EAST) as east,
        house.listening(both) as all_,
    ):
        publish(house, change("a", 1), change("b", 2, circles=EAST), change("c", 3, circles=both))
        assert told(west) == ["a@1", "c@3"]
        assert told(east) == ["b@2", "c@3"]
        assert told(all_) == ["a@1", "b@2", "c@3"]
    assert len(house) == 0
    publish(house, change("d", 4))
    assert told(west) == []


def test_of_a_story_only_the_newest_change_waits_and_in_its_own_place() -> None:
    house = listeners()
    with house.listening(WEST) as west:
        publish(house, change("a", 1), change("b", 2))
        publish(house, change("a", 3))
        assert told(west) == ["b@2", "a@3"]
        assert not west.news.is_set()


def test_who_comes_back_is_told_what_came_after_their_mark() -> None:
    house = listeners()
    publish(
        house, change("a", 1), change("b", 2), change("c", 2, nth=2), change("d", 3, circles=EAST)
    )
    with house.listening(WEST, str(mark(2, 1))) as west:
        assert (west.reset, told(west)) == (None, ["c@2"])
    with house.listening(WEST, str(mark(-100))) as west:
        assert (west.reset, told(west)) == (None, ["a@1", "b@2", "c@2"])
    with house.listening(WEST, str(house.here)) as west:
        assert (west.reset, told(west)) == (None, [])


def test_who_was_further_on_another_instance_is_not_told_again() -> None:
    house = listeners()
    with house.listening(WEST, str(mark(5, 1))) as west:
        publish(house, change("a", 4), change("b", 5), change("c", 5, nth=2))
        assert (west.reset, told(west)) == (None, ["c@5"])


@pytest.mark.parametrize(
    "last",
    [
        "",
        "nonsense",
        "g1.1.2",
        "g1.1.2.x",
        "g1.1.2.-3",
        f"g1.{'9' * 11}.1.1",
        "g1.٣.1.1",
        str(mark(5, generation="g2")),
        str(mark(-101)),
        str(mark(10**6)),
    ],
    ids=range(10),  # marks tell the time: they are no names
)
def test_who_comes_with_a_mark_that_says_nothing_here_reads_all_again(last: str) -> None:
    house = listeners()
    with house.listening(WEST, last) as west:
        assert west.reset == "unknown-position"
        assert west.news.is_set()


def test_what_is_kept_for_those_who_come_back_is_bounded() -> None:
    house = listeners(most_kept=2)
    publish(house, *(change(name, n) for n, name in enumerate("abcd")))
    with house.listening(WEST, str(mark(1, 1))) as west:
        assert (west.reset, told(west)) == (None, ["c@2", "d@3"])
    with house.listening(WEST, str(mark(0, 1))) as west:
        assert west.reset == "unknown-position"


def test_who_reads_but_is_flooded_reads_all_again_and_who_does_not_read_is_dropped() -> None:
    house = listeners(most_waiting=3)
    with house.listening(WEST) as quick, house.listening(WEST) as slow:
        slow.reading = False
        publish(house, *(change(name, n) for n, name in enumerate("abcdef")))
        assert (quick.reset, quick.dropped, told(quick)) == ("too-much", None, [])
        assert (slow.reset, slow.dropped, told(slow)) == (None, "too-slow", [])
        quick.reset = None
        publish(house, change("g", 9))
        assert told(quick) == ["g@9"]
        assert told(slow) == []
    assert house.slow == 1


def test_another_generation_makes_everybody_read_all_again() -> None:
    house = listeners()
    with house.listening(WEST) as west:
        publish(house, change("a", 1))
        house.begin(mark(2, generation="g2"))
        assert (west.reset, told(west)) == ("new-beginning", [])
    with house.listening(WEST, str(mark(1, 1))) as west:
        assert west.reset == "unknown-position"


def test_who_listens_when_the_house_stops_or_later_is_sent_away() -> None:
    house = listeners()
    with house.listening(WEST) as west:
        house.stop()
        assert (west.dropped, west.news.is_set()) == ("stopping", True)
    with house.listening(WEST) as late:
        assert late.dropped == "stopping"


@given(st.integers(0, 10**6))
def test_over_any_number_of_streams_and_instances_the_newest_of_each_story_was_told(
    seed: int,
) -> None:
    """Two instances take the same commits in batches of their own; one client goes from one to
    the other at any moment, with the mark of the last event, or of a sign of life."""
    dice = random.Random(seed)
    commits = [change(dice.choice("abcdef"), n // 3, n % 3 + 1) for n in range(dice.randint(1, 40))]
    houses, reached = [listeners(), listeners()], [0, 0]

    def go_on(n: int) -> None:
        upto = dice.randint(reached[n], len(commits))
        batch = {c.story: c for c in commits[reached[n] : upto]}
        changes = sorted(batch.values(), key=lambda c: c.place)
        if upto > reached[n]:
            houses[n].publish(changes, commits[upto - 1].place)
        reached[n] = upto

    last, seen = str(mark(-100)), dict[str, Place]()

    def listen(n: int, rounds: int) -> None:
        nonlocal last
        with houses[n].listening(WEST, last) as west:
            assert west.reset is None
            for _ in range(rounds):
                go_on(n)
                for taken in west.take(dice.choice((1, 20, 10**6))):
                    assert taken.place > placed(last)
                    seen[taken.story], last = taken.place, str(Mark("g1", taken.place))
                here = houses[n].here
                if here is not None and not west.waiting and dice.random() < 0.5:
                    last = str(here) if here.place > placed(last) else last

    for _ in range(dice.randint(1, 5)):
        n = dice.randrange(2)
        go_on(n)
        listen(n, dice.randint(0, 4))
    houses[0].publish(commits[reached[0] :], commits[-1].place)
    reached[0] = len(commits)
    listen(0, len(commits))
    assert seen == {c.story: c.place for c in commits}


def placed(last: str) -> Place:
    found = Mark.read(last)
    assert found is not None
    return found.place


NOBODY = Principal("street:x", Role.STREET, TownId("t3"))
PEOPLE = [
    NOBODY,
    Principal("community:w", Role.COMMUNITY, TownId("t3"), (AreaId("t3/west"),)),
    Principal("overseer:w", Role.OVERSEER, TownId("t3"), (AreaId("t3"),)),
    Principal("officer:x", Role.OFFICER, TownId("t9"), (AreaId("t3/west"),)),
    Principal("unit:d", Role.UNIT, TownId("t3"), unit=UNITS[0]),
    Principal("unit:n", Role.UNIT, TownId("t3"), (AreaId("t3"),)),
    Principal("resident:1", Role.RESIDENT, TownId("t3"), account="a"),
    Principal("resident:2", Role.RESIDENT, TownId("t9"), account="a"),
]


@given(st.data())
def test_the_circles_of_a_story_hold_exactly_those_who_may_list_it(data: st.DataObject) -> None:
    """`in_scope` asks the rows in the database; circles ask the story: they say the same."""
    resident = st.sampled_from(["r1", "r2", None])
    units = data.draw(st.lists(st.sampled_from(UNITS), unique=True))
    wish = {"resident": data.draw(resident), "proxy": data.draw(resident)}
    wish["area"] = data.draw(st.sampled_from([*AREAS, AreaId("t3"), AreaId("t30/west")]))
    story = {"_id": "s", "town": "t3", "parts": {"wish": wish, "case": {"units": units}}}
    row = {
        "town": "t3",
        "within": areas_around(str(wish["area"])),
        "units": units,
        "residents": [wish["resident"], wish["proxy"]],
    }
    for who in PEOPLE:
        asks = ResidentId("r1") if who.account and data.draw(st.booleans()) else None
        query = in_scope(who, asks)
        listed = all(_matches(row[field], wanted) for field, wanted in query.items())
        assert sees(who, asks, story) == listed
        assert listed == bool(circles_of(who, asks) & circles_around(story))


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return bool(set(wanted["$in"]) & set(value))
    return wanted in value if isinstance(value, list) else bool(value == wanted)


@given(histories())
def test_no_fact_takes_a_story_out_of_a_circle(history: History) -> None:
    """So whoever was told of a story may go on reading it. A fact that changes this must first
    say how those learn of it who lose it."""
    model, circles = Model(), frozenset[Circle]()
    for fact in history.told():
        model.poll([fact], MIXED_RECIPE)
        now = circles_around(model.stories[history.story])
        assert circles <= now
        circles = now


async def test_a_stream_that_always_has_something_to_tell_ends_with_its_token() -> None:
    class Here:
        """What a stream asks of the feed and of the reader."""

        listeners = listeners()
        heartbeat_seconds = 15.0
        access_log: Any

        async def note(self, *_: Any) -> None: ...

    here: Any = Here()
    here.access_log = here
    ends = datetime.now(UTC) - timedelta(seconds=1)
    who = Principal("officer:o", Role.OFFICER, TownId("t3"), (AreaId("t3/west"),), expires_at=ends)
    stream = _Stream(here, here, who, None, None)
    said: list[bytes] = []
    with stream._listening as stream._listener:
        async for chunk in stream._chunks():
            said.append(chunk)
            publish(here.listeners, change(f"s{len(said)}", len(said)))
            assert len(said) < 5, "it goes on after its token"
    assert b"token-expired" in said[-1]
