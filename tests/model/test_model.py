"""The house over twins, with everything that may befall it, against the model.

`HYPOTHESIS_PROFILE=nightly` tries new ways for as long as a night allows; without it the same
ones are tried each time.
"""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final, cast
from unittest.mock import patch

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pymongo.errors import PyMongoError

from services.dispatch.commands import CaseCommand
from services.intake.commands import Submit, WishCommand
from services.projections import projector
from services.projections.roll import BUILDING
from shared.contracts.base import CommandId, StoryId
from shared.contracts.recorded import Recorded, from_wire, to_wire
from shared.errors import Conflict, OutcomeUnknown, Refused
from shared.handling import Handled, command_id
from shared.kafka import Record
from shared.mongo_store import from_document
from shared.store import Commit
from tests.build import LIGHTS
from tests.dispatch.scenes import ACCEPT, ORDER_REWORK, VERIFY, dispatch, report_in, resolve
from tests.intake.scenes import SENT, SUPPLEMENT, WITHDRAW, rate, submit
from tests.model.hosts import LATE_SECONDS, Host, Outcome, Strike
from tests.model.model import Collections, Model
from tests.model.mongod import Stored
from tests.model.suite import (
    BUILD,
    LEASE_SECONDS,
    STORIES,
    Asked,
    Reader,
    Servers,
    Writer,
    begin_generation,
    new_consumer,
)
from tests.model.virtual_time import VirtualTimeLoop
from tests.samples import SETTLED

Command = WishCommand | CaseCommand

LONG: Final[tuple[Command, ...]] = (
    submit(),
    ACCEPT,
    dispatch(),
    report_in(),
    resolve(),
    rate(solved=False),
    dispatch(LIGHTS),
    report_in(LIGHTS),
    resolve(LIGHTS),
    rate(solved=True),
)
SHORT: Final[tuple[Command, ...]] = (
    submit(SENT.model_copy(update={"settled_on_spot": SETTLED})),
    rate(solved=False),
    dispatch(),
    report_in(),
    resolve(),
    rate(solved=True),
)
WAYS: Final = dict(zip(STORIES, (LONG, SHORT), strict=True))
ASIDE: Final[tuple[Command, ...]] = (SUPPLEMENT, WITHDRAW, VERIFY, ORDER_REWORK)
SERVICES: Final = ("wish", "case", "views")
STORING: Final = ("commits.insert",)
PUBLISHING: Final = ("kafka.send", "leases.update", "feed")
REACTING: Final = ("commits.insert", "issues.update", "kafka.commit")
PROJECTING: Final = ("offsets.write", "stories.write", "commit", "stories.find")
ANY_CALL: Final[tuple[Outcome, ...]] = (
    "fails",
    "lost",
    "stops",
    "stops after",
    "dies",
    "dies after",
)
HOLE: Final = Strike("kafka.send", "hole")
REST_SECONDS: Final = 120
FOLDED: Final = ("stories", "timeline", *sorted(BUILD.views))
ASIDE_OF_FOLDS: Final = ("parked", "touched")
CALM_SECONDS: Final = 1.0


def strikes(operations: tuple[str, ...]) -> st.SearchStrategy[Strike]:
    return st.builds(Strike, st.sampled_from(operations), st.sampled_from(ANY_CALL))


INSTANCES: Final = st.sampled_from([0, 1])
WHICH_STORY: Final = st.sampled_from(STORIES)


class House(RuleBasedStateMachine):
    """Clients ask, processes work, things go wrong; the model watches."""

    def __init__(self) -> None:
        super().__init__()
        self._logged = structlog.testing.capture_logs()
        self._logged.__enter__()
        self._twin = patch.object(projector, "new_consumer", new_consumer)
        self._twin.start()
        self.loop = VirtualTimeLoop()
        self.loop.set_exception_handler(lambda *_: None)  # what nobody asked for is in `bugs`
        self.servers = Servers(self.loop)
        self.model = Model()
        self.running: dict[str, list[Any]] = {}
        self.unanswered: dict[Any, Asked] = {}
        self.in_flight: dict[Any, int] = defaultdict(int)
        self.steps: dict[StoryId, int] = defaultdict(int)
        self.asked = 0
        self.holes = False
        self.wrong: list[str] = []
        self.read: dict[Stored, Commit] = {}
        self.published: list[Recorded] = []
        self.parsed: dict[int, int] = defaultdict(int)

    @initialize(steps=st.tuples(*(st.integers(0, len(way)) for way in WAYS.values())))
    def starts(self, steps: tuple[int, ...]) -> None:
        """Nothing goes wrong until each story has taken some steps."""
        for kind in SERVICES:
            self.running[kind] = [self._started(kind, n) for n in (0, 1)]
        for story, count in zip(STORIES, steps, strict=True):
            for _ in range(count):
                self.loop.passes(CALM_SECONDS)
                self.goes_on(story, 0)

    @rule(story=WHICH_STORY, instance=INSTANCES)
    def goes_on(self, story: StoryId, instance: int) -> None:
        """The next step on the straight way."""
        if (command := self._next(story)) is not None:
            self._ask(story, command, instance)

    @rule(story=WHICH_STORY, instance=INSTANCES, command=st.sampled_from(ASIDE))
    def says(self, story: StoryId, instance: int, command: Command) -> None:
        """Something else."""
        self._ask(story, command, instance)

    @rule(instance=INSTANCES)
    def asks_again(self, instance: int) -> None:
        """Who got no answer sends the same again, perhaps to the other instance."""
        for asked in list(self.unanswered.values()):
            self._put(asked, instance)

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 5.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.passes(seconds)

    @rule(
        kind=st.sampled_from(["wish", "case"]),
        instance=INSTANCES,
        strike=st.one_of(
            strikes(STORING),
            strikes(PUBLISHING),
            strikes(REACTING),
            st.just(Strike("commits.insert", "late")),
            st.just(HOLE),
            st.just(Strike("feed", "forgotten")),
        ),
    )
    def writer_is_struck(self, kind: str, instance: int, strike: Strike) -> None:
        self.holes = self.holes or strike.outcome == "hole"
        self.running[kind][instance].host.strikes.append(strike)

    @rule(
        story=WHICH_STORY,
        instance=INSTANCES,
        outcome=st.sampled_from(["fails", "lost", "late", "stops", "dies", "dies after"]),
    )
    def is_struck_while_it_stores(self, story: StoryId, instance: int, outcome: Outcome) -> None:
        """The next step, and something happens to its insert."""
        for kind in ("wish", "case"):
            self.running[kind][instance].host.strikes.append(Strike("commits.insert", outcome))
        self.goes_on(story, instance)

    @rule(story=WHICH_STORY, strike=strikes(PUBLISHING))
    def is_struck_while_it_publishes(self, story: StoryId, strike: Strike) -> None:
        """The next step, and something happens to whoever carries it to Kafka."""
        for kind in ("wish", "case"):
            for writer in self.running[kind]:
                writer.host.strikes.append(strike)
        self.goes_on(story, 0)

    @rule(instance=INSTANCES, strike=strikes(PROJECTING))
    def reader_is_struck(self, instance: int, strike: Strike) -> None:
        self.running["views"][instance].host.strikes.append(strike)

    @rule(story=WHICH_STORY, instance=INSTANCES)
    def a_stopped_reader_slept_through_a_hole(self, story: StoryId, instance: int) -> None:
        """A record gets through before the one it follows; who has read it alone is stopped, and
        wakes when another has taken over and read both."""
        self.holes = True
        writers = [w.host for kind in ("wish", "case") for w in self.running[kind]]
        for host in writers:
            host.strikes.append(HOLE)
        self.running["views"][instance].host.strikes.append(Strike("stories.find", "stops after"))
        self.goes_on(story, 0)
        self.loop.passes(CALM_SECONDS)
        for host in writers:
            host.strikes = [strike for strike in host.strikes if strike != HOLE]
        self.partitions_move()
        self.loop.passes(2 * LEASE_SECONDS)
        self.wakes()

    @rule(kind=st.sampled_from(SERVICES), instance=INSTANCES)
    def is_started_again(self, kind: str, instance: int) -> None:
        """Killed, if it still runs, and started."""
        self.running[kind][instance].host.kill()
        self.loop.passes(0)
        self.running[kind][instance] = self._started(kind, instance)

    @rule()
    def wakes(self) -> None:
        """Whoever was stopped goes on as if nothing had happened."""
        for host in self._hosts():
            host.awake.set()

    @rule()
    def partitions_move(self) -> None:
        """Kafka gives out partitions anew: who is not heard of is thrown out."""
        for group in self.servers.kafka.groups.values():
            group.rebalance()

    @rule(kind=st.sampled_from(["wish", "case"]), offset=st.integers(0, 10))
    def reads_again(self, kind: str, offset: int) -> None:
        """A group goes back to what it had read before."""
        for partition in range(len(self.servers.kafka.log)):
            self.servers.kafka.rewind(kind, partition, offset)
        self.servers.kafka.groups[kind].rebalance()

    @rule(story=WHICH_STORY)
    def is_republished(self, story: StoryId) -> None:
        """All that is stored of a story is published once more."""
        for name, stream in self.model.streams.items():
            if name.endswith(story):
                for recorded in stream:
                    self.servers.kafka.append(*to_wire(recorded))

    @rule()
    def is_rebuilt(self) -> None:
        """An operator asks for a new generation."""
        self.loop.gives(begin_generation(self.servers))

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        """Whatever is going on."""
        self.loop.passes(0.02)
        self._look()

    def teardown(self) -> None:
        """Faults end, everybody works, and all comes to rest as it should."""
        try:
            if self.running and sys.exc_info()[0] is None:
                self._comes_to_rest()
        finally:
            self._end()

    def _comes_to_rest(self) -> None:
        for host in self._hosts():
            host.strikes.clear()
            host.awake.set()
        self.loop.passes(LATE_SECONDS + CALM_SECONDS)
        for kind, instances in self.running.items():
            for n, process in enumerate(instances):
                if not process.host.alive:
                    instances[n] = self._started(kind, n)
        self.partitions_move()
        for _ in range(REST_SECONDS):
            self.asks_again(0)
            self.loop.passes(CALM_SECONDS)
            self._look()
            if (left := self._left()) is None:
                break
        else:
            raise AssertionError(f"no rest in {REST_SECONDS} s: {left}")
        self._replays_everything()

    def _left(self) -> str | None:
        """What somebody has still to do; None at rest."""
        if self.unanswered:
            return f"not answered: {list(self.unanswered.values())}"
        if unpublished := self.model.unpublished():
            return f"recorded, and never published: {unpublished}"
        ends = dict(enumerate(map(len, self.servers.kafka.log)))
        for kind in ("wish", "case"):
            committed = {p: self.servers.kafka.committed.get((kind, p), 0) for p in ends}
            if committed != ends:
                return f"not reacted to by {kind}: {committed} of {ends}"
        for name, there in self._generations(ASIDE_OF_FOLDS).items():
            if any(there.values()):
                return f"{name} waits: {there}"
        for name, there in self._generations(FOLDED).items():
            if lacking := self.model.lacking(there):
                return f"{name} lacks what is recorded: {lacking}"
        if any(each["state"] == BUILDING for each in self._roll()):
            return f"a generation is not read yet: {self._roll()}"
        return None

    def _replays_everything(self) -> None:
        """The whole log into reactions that know nothing but their database."""
        before = dict(self.model.streams)
        for kind in ("wish", "case"):
            writer = Writer(kind, 9, self.servers)
            for records in self.servers.kafka.log:
                self.loop.gives(writer.reactions.on_batch(cast("Sequence[Record]", records)))
        self._look()
        assert self.model.streams == before, "replaying the log appended something"

    def _look(self) -> None:
        for host in self._hosts():
            assert not host.bugs, host.bugs
        assert not self.wrong, self.wrong
        self.model.sees_stores(self._commits())
        for partition, records in enumerate(self.servers.kafka.log):
            for record in records[self.parsed[partition] :]:
                self.published.append(from_wire(record.value, record.headers))
                self.parsed[record.partition] += 1
        self.model.sees_log(self.published, in_order=not self.holes)
        for there in self._generations(FOLDED).values():
            self.model.sees_read_model(there, BUILD.recipe, self._partition_of)

    def _commits(self) -> Iterator[Commit]:
        for kind in ("wish", "case"):
            for stored in self.servers.mongod.documents((kind, "commits")).values():
                if stored not in self.read:
                    self.read[stored] = from_document(stored.copy())
                yield self.read[stored]

    def _roll(self) -> list[dict[str, Any]]:
        roll = self.servers.mongod.documents(("views", "generations"))
        return [stored.document for stored in roll.values()]

    def _generations(self, collections: Sequence[str]) -> dict[str, Collections]:
        """These collections of each generation, as committed."""
        return {
            each["_id"]: {
                name: {
                    n: stored.copy()
                    for n, stored in self.servers.mongod.documents(
                        (f"views_{each['_id']}", name)
                    ).items()
                }
                for name in collections
            }
            for each in self._roll()
        }

    def _partition_of(self, story: StoryId) -> int:
        return self.servers.kafka.partition_of(story.encode())

    def _hosts(self) -> Iterator[Host]:
        for instances in self.running.values():
            yield from (process.host for process in instances)

    def _started(self, kind: str, number: int) -> Writer | Reader:
        process: Writer | Reader
        if kind == "views":
            process = Reader(number, self.servers)
        else:
            process = Writer(kind, number, self.servers)
        process.start()
        return process

    def _next(self, story: StoryId) -> Command | None:
        return next(iter(WAYS[story][self.steps[story] :]), None)

    def _ask(self, story: StoryId, command: Command, instance: int) -> None:
        self.asked += 1
        self.servers.clock.at += timedelta(minutes=1)
        name = command_id("client", str(self.asked))
        asked = Asked(name, story, command, opens=isinstance(command, Submit))
        self.unanswered[name] = asked
        self._put(asked, instance)

    def _put(self, asked: Asked, instance: int) -> None:
        writer = self.running[asked.kind][instance]
        if writer.host.alive:
            writer.host.spawn(self._answer(asked, writer))

    async def _answer(self, asked: Asked, writer: Writer) -> None:
        """What the client is told, if anything."""
        self.in_flight[asked.name] += 1
        try:
            handled = await asked.put_to(writer.handler)
        except Refused:
            self._told(asked, None)
        except OutcomeUnknown:
            if self.in_flight[asked.name] == 1 and asked.name in self._recorded():
                self.wrong.append(f"recorded, and its outcome is called unknown: {asked}")
        except (PyMongoError, Conflict):
            return  # a 503: the client asks again
        else:
            self._told(asked, handled)
        finally:
            self.in_flight[asked.name] -= 1

    def _told(self, asked: Asked, handled: Handled | None) -> None:
        self.unanswered.pop(asked.name, None)
        model = self.model
        if handled is not None and handled.said == "decided":
            self.steps[asked.story] += asked.command is self._next(asked.story)
            before = model.decided.setdefault(asked.name, handled.position)
            model.refused.discard(asked.name)
            if before != handled.position:
                self.wrong.append(f"answered {before}, then {handled.position}: {asked}")
        elif asked.name in model.decided:
            self.wrong.append(f"decided, and then not: {asked}")
        elif self.in_flight[asked.name] == 1:
            model.refused.add(asked.name)

    def _recorded(self) -> set[CommandId]:
        return {commit.cause.command_id for commit in self._commits()}

    def _end(self) -> None:
        for host in self._hosts():
            host.kill()
        self.loop.ends()
        self._twin.stop()
        self._logged.__exit__(None, None, None)


NIGHTLY: Final = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
"""New ways each time, and many; else always the same few."""
House.TestCase.settings = settings(
    max_examples=3000 if NIGHTLY else 40,
    stateful_step_count=40 if NIGHTLY else 25,
    derandomize=not NIGHTLY,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestHouse = pytest.mark.timeout(0 if NIGHTLY else 300)(House.TestCase)
