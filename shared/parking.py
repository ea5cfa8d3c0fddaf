"""What waits in a writing service until somebody mends its story.

`{_id: the fact's id (a place in Kafka where it does not read), story, fact, reason, since, place,
value, headers}`: the record as it came. A fact that comes again while it waits is kept once.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bson import Binary

from shared.contracts.base import FactId, StoryId
from shared.contracts.recorded import Recorded, Unreadable, from_wire
from shared.kafka import Record
from shared.mongo import Database, Document

BEHIND: Final = "an earlier fact of the story is parked"
"""The reason of those that follow the one that is to be mended."""
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One parked record, read again: its fact, or in `wrong` why it is none."""

    name: str
    partition: int
    recorded: Recorded | None
    wrong: str = ""


class Parked:
    """The parked records of one service, by story."""

    def __init__(self, database: Database) -> None:
        self._collection = database["parked"]

    async def stories(self, among: Collection[StoryId]) -> set[StoryId]:
        """Those that stand still."""
        return set(await self._collection.distinct("story", {"story": {"$in": list(among)}}))

    async def of(self, story: StoryId) -> list[Waiting]:
        """What waits of a story: what does not read first, then its facts in their order."""
        found = [_read(document) async for document in self._collection.find({"story": story})]
        return sorted(found, key=lambda w: w.recorded.version if w.recorded else 0)

    async def park(self, record: Record, recorded: Recorded | None, reason: str) -> None:
        """Keep a record until its story is mended."""
        place = f"{record.topic}:{record.partition}:{record.offset}"
        document: Document = {
            "story": recorded.story if recorded else story_by_key(record),
            "fact": None if recorded is None else recorded.id,
            "reason": reason,
            "since": datetime.now(UTC),
            "place": place,
            "value": Binary(record.value or b""),
            "headers": [[name, Binary(value or b"")] for name, value in record.headers],
        }
        name = {"_id": place if recorded is None else recorded.id}
        await self._collection.update_one(name, {"$setOnInsert": document}, upsert=True)

    async def still(self, waiting: Waiting, reason: str) -> None:
        """It goes on waiting, for this reason now."""
        await self._collection.update_one({"_id": waiting.name}, {"$set": {"reason": reason}})

    async def let_go(self, waiting: Waiting) -> None:
        """It was handled."""
        await self._collection.delete_one({"_id": waiting.name})


def story_by_key(record: Record) -> StoryId:
    """The story that a record which does not read belongs to."""
    return StoryId((record.key or b"").decode("utf-8", "replace"))


def in_order(document: Mapping[str, object]) -> tuple[bool, int]:
    """Sorts parked documents of one story as they are handled, by their ids alone."""
    fact = document.get("fact")
    return (fact is not None, _version(FactId(str(fact))) if fact is not None else 0)


def partition_of(place: str) -> int:
    """The partition in `<topic>:<partition>:<offset>`."""
    return int(place.rsplit(":", 2)[1])


def _version(fact: FactId) -> int:
    return int(fact.rpartition("@")[2])


def _read(document: Document) -> Waiting:
    name: str = document["_id"]
    partition = partition_of(document.get("place", name))
    try:
        recorded = from_wire(document["value"], document["headers"])
        if recorded.story != document["story"]:
            raise Unreadable(f"the key is not the story of {recorded.id}")
    except Unreadable as wrong:
        return Waiting(name, partition, None, f"{UNREADABLE}: {wrong}")
    return Waiting(name, partition, recorded)
