"""What a topic tells of one service's streams beside what its store tells, fact by fact."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

import structlog

from shared.contracts.base import StreamId
from shared.contracts.recorded import Recorded, fact_id
from shared.errors import Conflict
from shared.gathering import Gathering, commit_of
from shared.marks import Mark
from shared.mongo import Document
from shared.mongo_store import MongoStore, from_document, key
from shared.store import Commit
from shared.topic_reading import TopicReading

_AT_ONCE: Final = 64
"""Streams that are looked at concurrently, so that what is taken in shares a journal."""

log = structlog.get_logger(__name__)

Alive = Callable[[], Awaitable[None]]


class Apart(Exception):
    """Store and topic tell two things, or the topic tells what follows on nothing."""


class _Hole(Exception):
    """A fact in the topic follows on one that is in neither."""


class Comparison:
    """A store, whose streams are of kind `own`, and a topic."""

    def __init__(self, store: MongoStore, own: str) -> None:
        self._store = store
        self._own = own
        self._early: list[Commit] = []
        self.taken = 0
        """Facts that the store lacked and has now."""

    async def behind(self, reading: TopicReading, marks: Mapping[int, Mark]) -> bool:
        """Whether the store lacks a fact of the topic. Raises Apart."""
        return await self._from(reading, marks, None)

    async def take_in(self, reading: TopicReading, marks: Mapping[int, Mark], alive: Alive) -> None:
        """Store what it lacks; `alive` is told now and then. Raises Apart."""
        await self._from(reading, marks, alive)

    async def _from(
        self, reading: TopicReading, marks: Mapping[int, Mark], alive: Alive | None
    ) -> bool:
        held = {n: mark for n, mark in marks.items() if await self._has(mark.own)}
        try:
            return await self._lacks(reading, held, alive)
        except _Hole as hole:
            if not held:
                raise Apart(_says(hole)) from None
        # What it follows on may lie before the marks.
        try:
            return await self._lacks(reading, {}, alive)
        except _Hole as hole:
            raise Apart(_says(hole)) from None

    async def _lacks(
        self, reading: TopicReading, marks: Mapping[int, Mark], alive: Alive | None
    ) -> bool:
        gathered: dict[int, Gathering] = {}
        self._early = []
        lacked = False
        async for partition, records, facts in reading.batches(marks, self._own):
            if alive is not None:
                await alive()
            gathering = gathered.setdefault(partition, Gathering())
            whole = [commit for fact in facts for commit in gathering.add(fact)]
            lacked |= await self._settle([*whole, *gathering.passed(records)], alive is not None)
            if lacked and alive is None:
                return True
        rest = [commit for gathering in gathered.values() for commit in gathering.rest()]
        lacked |= await self._settle(rest, alive is not None)
        for commit in sorted(self._early, key=lambda commit: commit.first):
            lacked |= await self._one(commit, take=True)
        return lacked

    async def _has(self, fact: str | None) -> bool:
        if fact is None:
            return True
        stream, _, version = fact.rpartition("@")
        there = await self._there(StreamId(stream))
        return there is not None and int(version) in there

    async def _settle(self, commits: list[Commit], take: bool) -> bool:
        """Whether the store lacked any of them."""
        names = [key(commit.stream, commit.first) for commit in commits]
        found = self._store.commits.find({"_id": {"$in": names}})
        there = {d["_id"]: _read(d) async for d in found}
        others: dict[StreamId, list[Commit]] = {}
        for name, commit in zip(names, commits, strict=True):
            if name not in there or there[name] not in (None, commit):
                others.setdefault(commit.stream, []).append(commit)
        room = asyncio.Semaphore(_AT_ONCE)

        async def stream(told: list[Commit]) -> bool:
            async with room:
                return any([await self._in_turn(commit, take) for commit in told])

        lacked = False
        for each in await asyncio.gather(*map(stream, others.values()), return_exceptions=True):
            if isinstance(each, BaseException):
                raise each
            lacked |= each
        return lacked

    async def _in_turn(self, commit: Commit, take: bool) -> bool:
        """The same of one that may have come before its turn: a lost fact that was published again
        lies behind what follows it."""
        try:
            return await self._one(commit, take)
        except _Hole:
            if take:
                self._early.append(commit)
            return True

    async def _one(self, commit: Commit, take: bool) -> bool:
        """Whether the store lacked some of it."""
        there = await self._there(commit.stream)
        if there is None:
            return False
        version = max(there, default=0)
        new = [fact for fact in commit.recorded_facts() if fact.version > version]
        for recorded in commit.recorded_facts():
            if recorded.version <= version and recorded.version not in there:
                raise Apart(f"{recorded.id} is missing in the store, which has what follows it")
            if there.get(recorded.version, recorded) != recorded:
                raise Apart(f"{recorded.id} is another fact in the topic than in the store")
        if not new:
            return False
        if new[0].version > version + 1:
            raise _Hole(fact_id(commit.stream, version + 1))
        if take:
            try:
                await self._store.append(commit_of(new))
            except Conflict:  # somebody stored it meanwhile: is it the same?
                return await self._one(commit, take)
            self.taken += len(new)
        return True

    async def _there(self, stream: StreamId) -> dict[int, Recorded] | None:
        """The facts of a stream by version; None where it does not read."""
        try:
            history = await self._store.load(stream)
        except ValueError as wrong:
            log.error("a stream cannot be compared", stream=stream, why=type(wrong).__name__)
            return None
        return {r.version: r for commit in history.commits for r in commit.recorded_facts()}


def _says(hole: _Hole) -> str:
    return f"{hole} is neither in the store nor in the topic, and what follows it is in the topic"


def _read(document: Document) -> Commit | None:
    """As the wire could tell it; None for what does not read, which is the relay's to say."""
    try:
        return replace(from_document(document), request=None)
    except ValueError:
        return None
