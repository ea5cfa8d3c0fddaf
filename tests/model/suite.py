"""The house over twins: two instances each of intake, dispatch and projections."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import SimpleNamespace
from typing import Any, Final, cast

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from pymongo.errors import PyMongoError

from services.dispatch import policies as of_dispatch
from services.dispatch.case import CASE
from services.dispatch.commands import CaseCommand, Contact
from services.intake import policies as of_intake
from services.intake.commands import WishCommand
from services.intake.wish import WISH
from services.projections.build import Build
from services.projections.roll import Roll
from services.projections.upkeep import Upkeep
from shared.clock import Clock
from shared.contracts.base import ActorId, CommandId, StoryId
from shared.contracts.intake import WishSupplemented
from shared.contracts.recorded import Recorded, stream_id
from shared.handling import Handled, Handler, Order, Prepared
from shared.kafka import INFRASTRUCTURE, Gate
from shared.lease import Lease
from shared.mongo_store import MongoStore
from shared.policy import Policy, Reaction
from shared.profile import Profile
from shared.reactions import Reactions
from shared.relay import Relay
from shared.store import Cause
from shared.town import Town, Towns
from tests.build import OTHER_STORY, STORY, HandClock, KeyRing, a_town, sealed
from tests.conftest import facts_to
from tests.model.hosts import Host
from tests.model.kafka import TOPIC, Consumer, Kafka, Producer
from tests.model.mongo_client import Client, database
from tests.model.mongod import Mongod

STORIES: Final = (STORY, OTHER_STORY)
PLACE: Final[Town] = a_town()
TOWNS: Final = Towns({PLACE.id: PLACE})
BUILD: Final = Build.of(TOWNS)
LEASE_SECONDS: Final = 4.0
PASS_ON: Final = "pass-on"
READING: Final = "wishgrid.projections."


def react_to_wishes(recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
    """Dispatch's policy, and one that has two targets: a supplement is told to both cases."""
    told: tuple[Reaction[CaseCommand], ...] = ()
    if isinstance(recorded.fact, WishSupplemented):
        contact = Contact(by=ActorId(f"policy:{PASS_ON}"), note=sealed("补充"))
        told = tuple(Reaction(PASS_ON, stream_id("case", story), contact) for story in STORIES)
    return (*of_dispatch.react(recorded, town), *told)


class Servers:
    """What outlives every process."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.mongod = Mongod(loop)
        self.kafka = Kafka(loop)
        self.clock = HandClock()

    def host(self, name: str) -> Host:
        """A process that comes up."""
        return Host(name, self._loop)


class Writer:
    """One instance of intake (`wish`) or dispatch (`case`)."""

    def __init__(self, kind: str, number: int, servers: Servers) -> None:
        self.host = host = servers.host(f"{kind}-{number}")
        self.kind = kind
        home = database(servers.mongod, host, kind)
        self._store = MongoStore(home)
        self._relay = Relay(
            self._store.commits,
            Lease(home["leases"], "relay", host.name, LEASE_SECONDS),
            facts_to(TOPIC),
            lambda: cast("Any", Producer(servers.kafka, host)),
            lease_seconds=LEASE_SECONDS,
        )
        self.handler = handler_of(kind, self._store, servers.clock)
        policy, listens_to = _POLICIES[kind]
        complete = of_dispatch.complete if kind == "case" else None
        self.reactions = Reactions[Any, Any](
            home, self.handler, policy, TOWNS, listens_to=listens_to, complete=complete
        )
        self._consumer = Consumer(servers.kafka, kind, host, from_committed=True)

    def start(self) -> None:
        self.host.spawn(self._relay.run())
        self.host.spawn(self._read())

    async def _read(self) -> None:
        """As FastStream's consumer and `consume` read for the reactions."""
        gate = Gate()
        self._consumer.subscribe([TOPIC], listener=gate)
        while True:
            try:
                await self._consumer.start()
                break
            except KafkaError:
                await asyncio.sleep(1)
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=200, max_records=500)
                async with gate.lock:
                    await self._handle(fetched)
            except INFRASTRUCTURE:
                await asyncio.sleep(0.1)

    async def _handle(self, fetched: Mapping[TopicPartition, Sequence[Any]]) -> None:
        try:
            await self.reactions.on_batch(list(chain.from_iterable(fetched.values())))
            done = {p: OffsetAndMetadata(r[-1].offset + 1, "") for p, r in fetched.items()}
            await self._consumer.commit(done)
        except INFRASTRUCTURE:
            for partition, records in fetched.items():
                self._consumer.seek(partition, records[0].offset)
            raise


_POLICIES: Final[dict[str, tuple[Policy[Any], str]]] = {
    "case": (react_to_wishes, "wish"),
    "wish": (of_intake.react, "case"),
}


def handler_of(kind: str, store: Any, clock: Clock) -> Handler[Any, Any, Any]:
    """What decides in one service."""
    decider: Any = WISH if kind == "wish" else CASE
    return Handler(decider, store, clock, KeyRing())


@dataclass(frozen=True)
class Asked:
    """A command somebody sends, as often as it takes."""

    name: CommandId
    story: StoryId
    command: WishCommand | CaseCommand
    opens: bool = False

    @property
    def kind(self) -> str:
        return "wish" if isinstance(self.command, WishCommand) else "case"

    async def put_to(self, handler: Handler[Any, Any, Any]) -> Handled:
        async def prepare(_: object, __: Profile, ___: object) -> Prepared[Any]:
            return Prepared(self.command)

        cause = Cause(self.name, "c")
        stream = stream_id(self.kind, self.story)
        return await handler.handle(Order(stream, PLACE, cause, prepare, opens=self.opens))


class Reader:
    """One instance of projections."""

    kind = "views"

    def __init__(self, number: int, servers: Servers) -> None:
        self.host = host = servers.host(f"views-{number}")
        house = SimpleNamespace(
            mongo=Client(servers.mongod, host),
            kafka=(servers.kafka, host),
            towns=TOWNS,
            settings=SimpleNamespace(
                session_timeout_seconds=6.0, instance=host.name, most_stories_parked=100
            ),
            database=lambda name: database(servers.mongod, host, name),
            in_kafka=lambda name: name,
        )
        self._upkeep = Upkeep(cast("Any", house), TOPIC, BUILD)

    def start(self) -> None:
        self.host.spawn(self._run())

    async def _run(self) -> None:
        try:
            await self._upkeep.prepare()
        except PyMongoError:  # a process that cannot start is ended, and started again
            self.host.kill()
            return
        await self._upkeep.run()


def new_consumer(kafka: tuple[Kafka, Host], group: str, _: str, __: float) -> Consumer:
    """In place of the projector's own."""
    servers, host = kafka
    return Consumer(servers, group, host, from_committed=False)


async def begin_generation(servers: Servers) -> None:
    """What `wishgrid rebuild` asks for, if none is being built."""
    roll = Roll(database(servers.mongod, servers.host("operator"), "views"))
    known = await roll.all()
    if known and all(each["state"] != "building" for each in known):
        await roll.begin(BUILD, known)
