"""The event store keeps its promises, in memory and on a real mongod alike."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from deploy.local.servers import Servers
from shared.contracts.base import ActorId, SubjectId
from shared.contracts.dispatch import CaseAccepted, CaseOpened
from shared.contracts.recorded import stream_id
from shared.errors import Conflict, OutcomeUnknown, Overloaded, TooLarge
from shared.group_commit import GroupInsert
from shared.mongo import Client, Database, connect, database
from shared.mongo_store import MongoStore
from shared.store import COMMIT_LIMIT, FACT_LIMIT, Commit, EventStore, MemoryStore, RequestSeal
from tests.conftest import DAWN, following, new_story, submitted, until, whole_story, wish_commit

stack = pytest.mark.stack


@pytest.fixture
async def memory() -> EventStore:
    """The store in memory."""
    return MemoryStore()


@pytest.fixture
async def real(home: Database) -> AsyncIterator[MongoStore]:
    """The store on the real mongod."""
    store = MongoStore(home)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture(params=["memory", pytest.param("real", marks=stack)])
def store(request: pytest.FixtureRequest) -> EventStore:
    """Each store in turn."""
    store: EventStore = request.getfixturevalue(request.param)
    return store


async def outcomes(store: EventStore, commits: Sequence[Commit]) -> list[BaseException | None]:
    """What became of appending all at once."""
    return await asyncio.gather(*(store.append(c) for c in commits), return_exceptions=True)


def unencodable(commit: Commit) -> Commit:
    """The same with half a character in a field: what a validated fact cannot hold."""
    (fact,) = commit.facts
    return replace(commit, facts=(fact.model_copy(update={"by": ActorId("officer:\ud83d")}),))


async def test_a_stream_is_loaded_as_it_was_appended(store: EventStore) -> None:
    wish, case = whole_story(new_story())
    for told in (wish, case):
        history = await store.load(told[0].stream)
        assert history.version == 0
        for recorded in told:
            at = recorded.recorded
            commit = following(history, recorded.fact, at=at, correlation=recorded.id)
            commit = replace(
                commit,
                cause=replace(commit.cause, causation=recorded.id, traceparent="00-1-2-03"),
                request=RequestSeal(SubjectId("r-1"), bytes(range(32))),
            )
            await store.append(commit)
            history = await store.load(recorded.stream)
            assert history.commits[-1] == commit
        assert history.facts == [recorded.fact for recorded in told]
        assert [commit.first for commit in history.commits] == list(range(1, len(told) + 1))


async def test_streams_of_one_story_do_not_mix(store: EventStore) -> None:
    story = new_story()
    await store.append(wish_commit(story))
    assert (await store.load(stream_id("case", story))).commits == ()
    assert (await store.load(stream_id("wish", story))).version == 1


async def test_what_was_decided_in_some_streams_is_told_without_loading_them(
    store: EventStore,
) -> None:
    one, other, third = (wish_commit(command=f"c-{n}") for n in range(3))
    for commit in (one, other, third):
        await store.append(commit)
    streams = [one.stream, third.stream, stream_id("case", new_story())]
    assert await store.decided(streams) == {"c-0", "c-2"}
    assert await store.decided([]) == set()


async def test_who_comes_second_gets_a_conflict(store: EventStore) -> None:
    story = new_story()
    first = wish_commit(story)
    await store.append(first)
    with pytest.raises(Conflict):
        await store.append(wish_commit(story))
    assert (await store.load(first.stream)).commits == (first,)


async def test_the_same_command_twice_is_a_conflict_that_a_reload_explains(
    store: EventStore,
) -> None:
    commit = wish_commit()
    await store.append(commit)
    with pytest.raises(Conflict):
        await store.append(commit)
    history = await store.load(commit.stream)
    assert history.commits == (commit,)
    assert history.decided_by(commit.cause.command_id) == commit


async def test_a_command_stored_elsewhere_in_the_stream_is_a_conflict(store: EventStore) -> None:
    """Two tries of one command, another writer between them: an answer to the try that lost
    would name a place where its facts are not."""
    story = new_story()
    lost_a_race, won = wish_commit(story, command="retried"), wish_commit(story)
    await store.append(won)
    history = await store.load(won.stream)
    retried = following(history, submitted(story), command="retried")
    await store.append(retried)
    with pytest.raises(Conflict):
        await store.append(lost_a_race)
    assert (await store.load(won.stream)).commits == (won, retried)


async def test_facts_of_one_commit_are_stored_all_or_none(store: EventStore) -> None:
    story = new_story()
    stream = stream_id("case", story)
    _, case = whole_story(story)
    opened, accepted = case[0].fact, case[1].fact
    assert isinstance(opened, CaseOpened)
    assert isinstance(accepted, CaseAccepted)
    both = following(await store.load(stream), opened, accepted)
    await store.append(both)
    assert both.last == 2
    assert both.position == f"{stream}@2"
    too_large = following(await store.load(stream), opened, submitted(story, FACT_LIMIT))
    with pytest.raises(TooLarge):
        await store.append(too_large)
    history = await store.load(stream)
    assert history.facts == [opened, accepted]
    assert history.version == 2


async def test_the_next_commit_is_never_recorded_earlier(store: EventStore) -> None:
    first = wish_commit()
    await store.append(first)
    fact = first.facts[0]
    late = following(await store.load(first.stream), fact, at=DAWN - timedelta(days=1))
    await store.append(late)
    loaded = (await store.load(first.stream)).commits
    assert [c.recorded for c in loaded] == [DAWN, DAWN]
    assert loaded[1].occurred == DAWN - timedelta(days=1)


async def test_a_fact_over_the_limit_is_too_large(store: EventStore) -> None:
    commit = wish_commit(size=FACT_LIMIT)
    with pytest.raises(TooLarge):
        await store.append(commit)
    assert (await store.load(commit.stream)).version == 0


async def test_text_that_cannot_be_encoded_is_refused_before_it_is_queued(
    store: EventStore,
) -> None:
    commit = unencodable(wish_commit())
    with pytest.raises(ValueError):  # noqa: PT011  # whoever meets it first words it
        await store.append(commit)
    assert (await store.load(commit.stream)).version == 0


@stack
async def test_a_commit_over_the_limit_is_too_large(real: MongoStore) -> None:
    story = new_story()
    facts = [submitted(story, FACT_LIMIT - 2000)] * (COMMIT_LIMIT // FACT_LIMIT + 2)
    stream = stream_id("wish", story)
    with pytest.raises(TooLarge):
        await real.append(following(await real.load(stream), *facts))
    assert (await real.load(stream)).version == 0


@stack
@pytest.mark.parametrize(
    ("bad", "error"),
    [(wish_commit(size=FACT_LIMIT), TooLarge), (unencodable(wish_commit()), ValueError)],
    ids=["too large", "not encodable"],
)
async def test_of_64_at_once_the_bad_one_fails_alone(
    real: MongoStore, bad: Commit, error: type[Exception]
) -> None:
    commits = [wish_commit() for _ in range(63)]
    commits.insert(31, bad)
    results = await outcomes(real, commits)
    assert isinstance(results.pop(31), error)
    assert results == [None] * 63
    assert await real.commits.count_documents({}) == 63
    assert real.group.flushed < 10  # they shared the journal


@stack
async def test_of_two_writers_of_one_stream_one_gets_through_200_times(home: Database) -> None:
    ours, theirs = MongoStore(home), MongoStore(home)
    stories = [new_story() for _ in range(200)]
    mine, yours = [wish_commit(s) for s in stories], [wish_commit(s) for s in stories]
    my_results, your_results = await asyncio.gather(outcomes(ours, mine), outcomes(theirs, yours))
    for a, b, my, your in zip(mine, yours, my_results, your_results, strict=True):
        won, lost = (a, your) if my is None else (b, my)
        assert (my is None) != (your is None)
        assert isinstance(lost, Conflict)
        assert (await ours.load(won.stream)).commits == (won,)
    assert await ours.commits.count_documents({}) == 200


@stack
async def test_one_command_sent_to_two_instances_at_once_is_stored_once(home: Database) -> None:
    ours, theirs = MongoStore(home), MongoStore(home)
    commits = [wish_commit() for _ in range(100)]
    both = await asyncio.gather(outcomes(ours, commits), outcomes(theirs, commits))
    for commit, *results in zip(commits, *both, strict=True):
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
        history = await ours.load(commit.stream)  # who lost sees at once what it lost to
        assert history.decided_by(commit.cause.command_id) == commit
    assert await ours.commits.count_documents({}) == 100


@stack
async def test_a_full_queue_refuses_and_writes_nothing(real: MongoStore) -> None:
    real.group = GroupInsert(real.commits, queue=2)
    commits = [wish_commit() for _ in range(5)]
    results = await outcomes(real, commits)
    assert results[:2] == [None, None]
    assert all(isinstance(result, Overloaded) for result in results[2:])
    assert await real.commits.distinct("stream") == sorted(c.stream for c in commits[:2])
    assert await outcomes(real, commits[2:4]) == [None, None]  # there is room again


@stack
async def test_the_server_stamps_each_commit(real: MongoStore) -> None:
    await outcomes(real, [wish_commit() for _ in range(10)])
    stamps = [d["ts"] async for d in real.commits.find().sort("_id", 1)]
    assert len(set(stamps)) == 10
    assert all(stamp.time > 1_700_000_000 for stamp in stamps)


class Faulty:
    """Makes the next inserts of one client fail in the server."""

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name

    async def inserts(self, times: int, **how: Any) -> None:
        data = {"failCommands": ["insert"], "appName": self._name, **how}
        await self._client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
        )

    async def off(self) -> None:
        await self._client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@pytest.fixture
async def faulty(mongo: Client, home: Database) -> AsyncIterator[Faulty]:
    """Faults for clients that call themselves by the name of the database."""
    faulty = Faulty(mongo, home.name)
    yield faulty
    await faulty.off()


@pytest.fixture
async def unlucky(stack_servers: Servers, home: Database) -> AsyncIterator[MongoStore]:
    """A store whose client the faults are for."""
    client = connect(f"{stack_servers.mongo}&appName={home.name}")
    store = MongoStore(database(client, home.name))
    yield store
    await store.close()
    client.close()


async def send_again(store: EventStore, commit: Commit) -> None:
    """As a client told OutcomeUnknown does; who gets a Conflict looks, as the handler does."""
    with contextlib.suppress(Conflict):
        await store.append(commit)


LATE: Final = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting timed out"}


@stack
async def test_commits_whose_journal_is_late_are_read_back_or_unknown(
    unlucky: MongoStore, faulty: Faulty
) -> None:
    commits = [wish_commit() for _ in range(8)]
    await faulty.inserts(1, writeConcernError=LATE)
    for commit, result in zip(commits, await outcomes(unlucky, commits), strict=True):
        if isinstance(result, OutcomeUnknown):  # no majority has it yet
            await send_again(unlucky, commit)
        else:
            assert result is None
        assert (await unlucky.load(commit.stream)).commits == (commit,)
    assert await unlucky.commits.count_documents({}) == 8


@stack
async def test_a_conflict_is_told_also_when_the_journal_is_late(
    unlucky: MongoStore, faulty: Faulty
) -> None:
    story = new_story()
    first = wish_commit(story)
    await unlucky.append(first)
    await faulty.inserts(1, writeConcernError=LATE)
    conflict, other = await outcomes(unlucky, [wish_commit(story), wish_commit()])
    assert isinstance(conflict, Conflict)
    assert other is None or isinstance(other, OutcomeUnknown)
    assert (await unlucky.load(first.stream)).commits == (first,)


@stack
async def test_one_broken_connection_is_retried_unseen(unlucky: MongoStore, faulty: Faulty) -> None:
    commit = wish_commit()
    await faulty.inserts(1, closeConnection=True)
    await unlucky.append(commit)
    assert (await unlucky.load(commit.stream)).commits == (commit,)


@stack
async def test_a_commit_that_never_arrived_is_unknown_and_may_be_repeated(
    unlucky: MongoStore, faulty: Faulty
) -> None:
    commit = wish_commit()
    await faulty.inserts(2, closeConnection=True)  # the driver tries twice
    with pytest.raises(OutcomeUnknown):
        await unlucky.append(commit)
    assert (await unlucky.load(commit.stream)).version == 0
    await unlucky.append(commit)
    assert (await unlucky.load(commit.stream)).commits == (commit,)


@stack
async def test_a_commit_that_arrives_after_its_client_gave_up_is_stored_once(
    stack_servers: Servers, home: Database, faulty: Faulty
) -> None:
    client: Client = AsyncIOMotorClient(
        stack_servers.mongo, tz_aware=True, appName=home.name, socketTimeoutMS=200
    )
    hasty, patient = MongoStore(database(client, home.name)), MongoStore(home)
    commit = wish_commit()
    await faulty.inserts(2, blockConnection=True, blockTimeMS=1000)
    with pytest.raises(OutcomeUnknown):
        await hasty.append(commit)

    async def arrived() -> bool:
        return (await patient.load(commit.stream)).version == 1

    await until(arrived, "the write that was given up arrives")
    await send_again(patient, commit)
    assert (await patient.load(commit.stream)).commits == (commit,)
    await hasty.close()
    client.close()
