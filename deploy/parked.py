"""What stands still in an installation, and asking for it to be tried again.

Reactions are tried again by the service that owns them, a read model by its projector: here it is
only asked for, and waited for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from services.projections.touching import stuck_alone
from shared.mongo import Client, Database, Document, database
from shared.parking import BEHIND, in_order, partition_of
from shared.replays import REPLAYS

REACTING: Final = ("intake", "dispatch")
PROJECTIONS: Final = "projections"
TOUCHED: Final = "touched"
"""In a generation, `{_id: story, partition}`: stories its projector is to fold again."""
DROPPED: Final = "dropped"
"""Beside each `parked`, what was dropped of it: the documents as they were and when, for ever."""
_UNREAD: Final[Document] = {"fact": None, "reason": {"$exists": True}}
"""What does not read, of reactions and of a read model: neither has a fact, and both a reason."""
_NOT_SAID: Final = "it waits for what its story lacks"
_LOOK_AGAIN_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Standstill:
    """A story that stands still in one place: the fact that is to be mended (None: a record that
    does not read, or, where nothing `waits`, a view that raises), why, since when if that is
    known, and how many wait behind it."""

    where: str
    story: str
    fact: str | None
    reason: str
    since: datetime | None
    behind: int
    partition: int
    waits: bool = True

    @property
    def what(self) -> str:
        """What is to be mended."""
        return self.fact or ("a record" if self.waits else "a view")

    def as_json(self) -> dict[str, object]:
        """For machines; `records` is what `/metrics` counts."""
        since = None if self.since is None else self.since.isoformat(timespec="seconds")
        return {
            "where": self.where,
            "story": self.story,
            "fact": self.fact,
            "reason": self.reason,
            "since": since,
            "behind": self.behind,
            "records": self.behind + 1,
        }


@dataclass(frozen=True)
class Record:
    """One that does not read, and why not."""

    where: str
    place: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What became of a story that was tried again: `handled` facts, `left` of them still wait.
    `taken_up` is False while nobody has finished with it."""

    where: str
    story: str
    taken_up: bool
    handled: int
    left: int
    reason: str | None = None
    partition: int | None = None


class Places:
    """Where stories can stand still in an installation."""

    def __init__(self, mongo: Client, prefix: str, services: Iterable[str]) -> None:
        self._mongo = mongo
        self._prefix = prefix
        self._services = tuple(services)

    async def standstills(self, story: str | None = None) -> list[Standstill]:
        """All there are, or those of one story. Raises PyMongoError."""
        return [
            standstill
            for where, home in await self._homes()
            async for standstill in _of(where, home, story)
        ]

    async def replay(self, those: Sequence[Standstill], seconds: float) -> AsyncIterator[Outcome]:
        """Ask for all of them to be tried again, and tell of each what became of it, or after
        `seconds` that nobody has done it yet: it stays asked for. Raises PyMongoError."""
        homes = dict(await self._homes())
        for each in those:
            await _ask(homes[each.where], each)
        deadline = time.monotonic() + seconds
        for each in those:
            yield await _outcome(homes[each.where], each, deadline)

    async def unreadable(self, story: str) -> list[Record]:
        """The records of one story that do not read. Raises PyMongoError."""
        return [
            Record(where, str(each.get("place", each["_id"])), str(each["reason"]))
            for where, home in await self._homes()
            async for each in home["parked"].find({"story": story, **_UNREAD}).sort("_id", 1)
        ]

    async def drop(self, story: str) -> int:
        """Let its records that do not read wait no more; they are kept in `dropped`. How many.
        Raises PyMongoError."""
        count = 0
        for _, home in await self._homes():
            async for each in home["parked"].find({"story": story, **_UNREAD}):
                name = {"_id": each["_id"]}
                kept = {"$setOnInsert": {**each, "dropped": datetime.now(UTC)}}
                await home[DROPPED].update_one(name, kept, upsert=True)
                await home["parked"].delete_one(name)
                count += 1
        return count

    async def _homes(self) -> list[tuple[str, Database]]:
        """By name of the place: a service's own database, or that of a generation."""
        homes: list[tuple[str, Database]] = [
            (service, self._database(service)) for service in REACTING if service in self._services
        ]
        if PROJECTIONS in self._services:
            known = self._database("views")["generations"].find({}, {"_id": 1}).sort("_id", 1)
            names = [str(document["_id"]) async for document in known]
            homes += [(f"{PROJECTIONS} {name}", self._database(f"views_{name}")) for name in names]
        return homes

    def _database(self, name: str) -> Database:
        return database(self._mongo, f"{self._prefix}_{name}")


async def _of(where: str, home: Database, story: str | None) -> AsyncIterator[Standstill]:
    """Without the records themselves: they are of persons."""
    wanted = {} if story is None else {"story": story}
    found = home["parked"].find(wanted, {"value": 0, "headers": 0}).sort("story", 1)
    documents = await found.to_list(None)
    read_model = where.startswith(PROJECTIONS)
    stuck = await _stuck(home, {d["story"] for d in documents}) if read_model else {}
    for name, group in groupby(documents, key=lambda d: str(d["story"])):
        waiting = sorted((_with_fact(d) for d in group), key=in_order)
        head = next((d for d in waiting if d.get("reason", BEHIND) != BEHIND), waiting[0])
        folded = stuck.get(name)
        yield Standstill(
            where,
            name,
            head["fact"],
            head.get("reason") or _why_stuck(folded),
            head.get("since"),
            len(waiting) - 1,
            folded["partition"] if folded else partition_of(str(head.get("place", head["_id"]))),
        )
    for each in await stuck_alone(home, story) if read_model else ():
        why = _why_stuck(each)
        yield Standstill(where, each["_id"], None, why, None, 0, each["partition"], waits=False)


def _why_stuck(story: Document | None) -> str:
    stuck: Mapping[str, str] = (story or {}).get("stuck", {})
    return "; ".join(f"{kind}: {reason}" for kind, reason in stuck.items()) or _NOT_SAID


async def _stuck(home: Database, stories: set[str]) -> dict[str, Document]:
    fields = {"stuck": 1, "partition": 1}
    found = home["stories"].find({"_id": {"$in": list(stories)}}, fields)
    return {document["_id"]: document async for document in found}


def _with_fact(document: Document) -> Document:
    """A read model keeps a fact under its id, and what does not read under its place."""
    unread = document["_id"].count(":") > 1
    return {"fact": None if unread else document["_id"], **document}


async def _ask(home: Database, standstill: Standstill) -> None:
    key = {"_id": standstill.story}
    if standstill.where.startswith(PROJECTIONS):
        touch = {"$set": {"partition": standstill.partition}}
        await home[TOUCHED].update_one(key, touch, upsert=True)
    else:
        asked: Document = {"asked": datetime.now(UTC), "done": False, "handled": 0}
        await home[REPLAYS].replace_one(key, asked, upsert=True)


async def _outcome(home: Database, standstill: Standstill, deadline: float) -> Outcome:
    where, story = standstill.where, standstill.story
    reacting = not where.startswith(PROJECTIONS)
    requests = home[REPLAYS if reacting else TOUCHED]
    while True:
        asked: Document = await requests.find_one({"_id": story}) or {}
        if not asked or asked.get("done"):
            break
        if time.monotonic() > deadline:
            waits, partition = asked.get("waits"), standstill.partition
            return Outcome(where, story, False, 0, 0, waits, partition)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    if reacting:
        await requests.delete_one({"_id": story, "done": True})
    left = [each async for each in _of(where, home, story)]
    records = sum(each.behind + 1 for each in left)
    handled = asked.get("handled", max(standstill.behind + 1 - records, 0))
    why = f"{left[0].what}: {left[0].reason}" if left else None
    return Outcome(where, story, True, handled, records, why)
