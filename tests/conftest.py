"""Fixtures that several test packages use, and builders of the facts they speak of."""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers, servers
from deploy.secrets import Secrets
from deploy.topics import Topic, ensure_topics
from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    CommandId,
    Sealed,
    StoryId,
    StreamId,
    SubjectId,
    TargetId,
    TownId,
    UnitId,
)
from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseDispatched,
    CaseOpened,
    CaseResolved,
    UnitReported,
)
from shared.contracts.intake import CaseStandNoted, RatingInvited, WishRated, WishSubmitted
from shared.contracts.recorded import Recorded, stream_id, to_wire
from shared.contracts.registry import AnyFact
from shared.kafka import FACTS, Record, fact_producer
from shared.kafka_access import KafkaAccess, access_in
from shared.mongo import Client, Database, connect, database
from shared.outgoing import Outgoing, Outlet
from shared.serving import House, furnish
from shared.settings import Settings
from shared.store import Cause, Commit, History
from shared.town import Towns, load_towns

TOWNS_FOLDER: Final = Path(__file__).parents[1] / "deploy" / "towns"
TOWNS: Final[Towns] = load_towns(TOWNS_FOLDER)
TOWN: Final = TownId("t3")
PROFILE: Final = TOWNS[TOWN].profiles[0].version
DAWN: Final = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
OFFICER: Final = ActorId("officer:ling")
UNIT: Final = UnitId("sanitation-station")
GRID: Final = AreaId("t3/west/g4")


@pytest.fixture(scope="session")
def stack_servers() -> Iterator[Servers]:
    """A real Kafka and mongod for the whole session; WISHGRID_KAFKA and WISHGRID_MONGO are used."""
    with servers(kafka=access_in(os.environ), mongo=os.environ.get("WISHGRID_MONGO")) as running:
        yield running


@pytest.fixture(scope="session")
def place(
    stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One installation for all journeys and the browser: two instances of each service.

    Waiting is generous: a busy machine is no reason for `not-yet`. Its towns are a copy."""
    folder = tmp_path_factory.mktemp("journeys")
    towns = shutil.copytree(TOWNS_FOLDER, folder / "towns")
    settings = {
        "WISHGRID_WAIT_SECONDS": "25",
        "WISHGRID_SESSION_TIMEOUT_SECONDS": "6",
        "WISHGRID_TOWNS": str(towns),
    }
    with installation(
        stack_servers, folder, name="journeys", instances=2, settings=settings
    ) as running:
        yield running


@pytest.fixture(scope="session")
async def mongo(stack_servers: Servers) -> AsyncIterator[Client]:
    """A client of the real mongod, made as the services make theirs."""
    client = connect(stack_servers.mongo)
    yield client
    client.close()


@pytest.fixture
async def home(mongo: Client) -> AsyncIterator[Database]:
    """A database no other test uses, read and written at majority."""
    name = f"test_{uuid.uuid4().hex}"
    yield database(mongo, name)
    await mongo.drop_database(name)


@pytest.fixture
async def topic(stack_servers: Servers) -> str:
    """A topic of facts no other test uses."""
    return await new_topic(stack_servers.kafka)


@pytest.fixture
async def producer(stack_servers: Servers) -> AsyncIterator[AIOKafkaProducer]:
    """A producer as the relay's."""
    producer = fact_producer(stack_servers.kafka, "test")
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
async def house(stack_servers: Servers, tmp_path: Path) -> AsyncIterator[House]:
    """An installation of its own on the real servers: prefixes no other test uses."""
    secrets = Secrets(tmp_path / "secrets").ensure()
    prefix = uuid.uuid4().hex
    furnished = furnish(
        Settings(
            kafka=stack_servers.kafka.servers,
            mongo=stack_servers.mongo,
            database_prefix=f"test_{prefix}",
            topic_prefix=f"{prefix}.",
            towns=TOWNS_FOLDER,
            master_key_file=secrets.folder / "master.key",
            index_key_file=secrets.folder / "index.key",
            token_keys_file=secrets.folder / "token-keys.json",
            instance="test-1",
            token_issuer="test",
        )
    )
    yield furnished
    for name in await furnished.mongo.list_database_names():
        if name.startswith(f"test_{prefix}"):
            await furnished.mongo.drop_database(name)
    furnished.mongo.close()


async def new_topic(kafka: KafkaAccess, partitions: int = 6) -> str:
    """A fresh topic of facts."""
    prefix = f"t{uuid.uuid4().hex}."
    await ensure_topics(kafka, prefix=prefix, topics=[Topic(FACTS, partitions)])
    return prefix + FACTS


async def until(
    condition: Callable[[], Awaitable[bool] | bool], what: str, seconds: float = 90.0
) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not in {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


async def cancelled(task: "asyncio.Task[Any]") -> None:
    """End a task as a killed process would end, and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def send(producer: AIOKafkaProducer, topic: str, facts: Sequence[Recorded]) -> None:
    """Publish the facts as the relay does: in this order, acknowledged."""
    sent = []
    for recorded in facts:
        key, value, headers = to_wire(recorded)
        sent.append(await producer.send(topic, value, key=key, headers=headers))
    await asyncio.gather(*sent)


@asynccontextmanager
async def reader(kafka: KafkaAccess, topic: str) -> AsyncIterator["Reader"]:
    """Reads a topic from its beginning, without a group."""
    consumer = AIOKafkaConsumer(**kafka.options(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, p) for p in await _partitions(kafka, topic)])
        yield Reader(consumer)
    finally:
        await consumer.stop()


class Reader:
    """All records of a topic so far, in order within a partition."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.records: list[Record] = []

    async def until(self, enough: Callable[[list[Record]], bool], what: str) -> list[Record]:
        """Read on until it is enough."""

        async def read() -> bool:
            await self.more()
            return enough(self.records)

        await until(read, what)
        return self.records

    async def more(self) -> None:
        """Read what is there within a moment."""
        for records in (await self._consumer.getmany(timeout_ms=100)).values():
            self.records += records

    async def to_the_end(self) -> list[Record]:
        """Read all there is now."""
        ends: Mapping[TopicPartition, int] = await self._consumer.end_offsets(
            list(self._consumer.assignment())
        )
        return await self.until(lambda records: len(records) >= sum(ends.values()), "the end")


async def _partitions(kafka: KafkaAccess, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
        return [each["partition"] for each in described["partitions"]]
    finally:
        await admin.close()


async def offsets_in_kafka(kafka: KafkaAccess, group: str) -> dict[int, int]:
    """What the group committed, by partition."""
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(group)
        return {p.partition: o.offset for p, o in committed.items()}
    finally:
        await admin.close()


def facts_to(topic: str) -> Outlet:
    """An outlet that sends facts to one topic and answers nobody."""

    def outgoing(recorded: Recorded) -> Iterator[Outgoing]:
        yield Outgoing(topic, *to_wire(recorded))

    return outgoing


def new_story() -> StoryId:
    """The id of a story nobody has told yet."""
    return StoryId(str(uuid.uuid4()))


def sealed(story: StoryId, size: int = 40) -> Sealed:
    """Something sealed, `size` characters long."""
    return Sealed(subject=SubjectId(story), box="A" * size)


def submitted(story: StoryId, size: int = 40) -> WishSubmitted:
    """A wish with words of `size` characters."""
    return WishSubmitted(
        by=OFFICER,
        submitted_by=OFFICER,
        kind=Code("appeal"),
        category=Code("sanitation"),
        area=GRID,
        channel=Code("patrol"),
        title=sealed(story),
        words=sealed(story, size),
    )


def following(
    history: History,
    *facts: AnyFact,
    command: str | None = None,
    at: datetime = DAWN,
    correlation: str = "c-1",
) -> Commit:
    """The commit of a new command (or `command`) that follows the history."""
    return history.next(
        facts,
        cause=Cause(CommandId(command or str(uuid.uuid4())), correlation),
        town=TOWN,
        profile=PROFILE,
        occurred=at,
        recorded=at,
    )


def wish_commit(story: StoryId | None = None, size: int = 40, command: str | None = None) -> Commit:
    """The first commit of a wish."""
    story = story or new_story()
    return following(History(stream_id("wish", story)), submitted(story, size), command=command)


def told(stream: StreamId, *commits: Sequence[AnyFact]) -> list[Recorded]:
    """A stream as it goes out: each sequence of facts one commit, an hour apart."""
    history = History(stream)
    for n, facts in enumerate(commits):
        at = DAWN + timedelta(hours=n)
        command = f"{stream}#{n}"
        history = History(
            stream, (*history.commits, following(history, *facts, command=command, at=at))
        )
    return [recorded for commit in history.commits for recorded in commit.recorded_facts()]


def whole_story(story: StoryId) -> tuple[list[Recorded], list[Recorded]]:
    """From submission to write-off: the facts of the wish (5) and those of the case (6)."""
    policy, unit = ActorId("policy:test"), ActorId(f"unit:{UNIT}")
    wish = told(
        stream_id("wish", story),
        [submitted(story)],
        [
            CaseStandNoted(by=policy, case_version=5, rateable=True, closed=False),
            RatingInvited(by=policy, case_version=5),
        ],
        [WishRated(by=OFFICER, case_version=5, resolved=True, satisfaction=4)],
        [CaseStandNoted(by=policy, case_version=6, rateable=False, closed=True)],
    )
    target = TargetId("assignment-1")
    case = told(
        stream_id("case", story),
        [
            CaseOpened(
                by=policy,
                wish_version=1,
                kind=Code("appeal"),
                category=Code("sanitation"),
                area=GRID,
            )
        ],
        [CaseAccepted(by=OFFICER, due=DAWN + timedelta(days=5))],
        [CaseDispatched(by=OFFICER, unit=UNIT, role="lead", assignment=target)],
        [UnitReported(by=unit, unit=UNIT, to=target)],
        [
            CaseResolved(
                by=unit,
                unit=UNIT,
                to=target,
                outcome=Code("resolved"),
                note=sealed(story),
                rating_asked=True,
            )
        ],
        [CaseClosed(by=policy, reason=Code("rated"), wish_version=4)],
    )
    return wish, case
