"""The collections of one generation, and the one transaction that writes to them."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

from aiokafka.structs import TopicPartition
from bson import Binary
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateOne

from services.projections.folding import Changes
from services.projections.positions import Move
from services.projections.stories import Story
from services.projections.views.sheets import Differences, sheet_after
from shared.contracts.recorded import Recorded, from_wire, to_wire
from shared.crash import reached
from shared.errors import NotYet
from shared.kafka import Record
from shared.mongo import Client, Database, Document, Session, transaction
from shared.mongo import Collection as Documents

Moves = Mapping[TopicPartition, Move]
Check = Callable[[Session], Awaitable[None]]
"""Raises when this process may not write, within the transaction."""
_Write = InsertOne[Document] | ReplaceOne[Document] | UpdateOne | DeleteOne | DeleteMany


class ReadModel:
    """Stories, timeline, rows, sheets of numbers, offsets and what is parked, in one database."""

    def __init__(
        self, mongo: Client, database: Database, unfilled: Collection[str] = frozenset()
    ) -> None:
        """`unfilled` are views of this build that the generation lacks, wholly or in part."""
        self._mongo = mongo
        self.database = database
        self.unfilled = frozenset(unfilled)

    def view(self, name: str) -> Documents:
        """The rows of a view, or the sheets of a tally. Raises NotYet while it is being filled:
        what is not in it yet must not be taken for what there is not."""
        if name in self.unfilled:
            raise NotYet(f"the whole of {name}")
        return self.database[name]

    async def offset(self, partition: TopicPartition) -> Move:
        """Where to go on; made at 0 when it is new."""
        document = await self.database["offsets"].find_one_and_update(
            {"_id": _place(partition)},
            {"$setOnInsert": {"next": 0, "last": None, "touches": 0}},
            upsert=True,
            return_document=True,
        )
        following = document["next"]
        return Move(following, following, document["last"], document.get("touches"))

    async def offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Where to go on, of those partitions that have been read."""
        places = {_place(partition): partition for partition in partitions}
        found = self.database["offsets"].find({"_id": {"$in": list(places)}})
        return {places[d["_id"]]: d["next"] async for d in found}

    async def stories(self, names: Collection[str]) -> dict[str, Story]:
        """The stories there are."""
        found = self.database["stories"].find({"_id": {"$in": list(names)}})
        return {d["_id"]: cast("Story", d) async for d in found}

    async def parked(self, stories: Collection[str]) -> dict[str, list[Recorded]]:
        """The facts that wait in these stories."""
        waiting: dict[str, list[Recorded]] = defaultdict(list)
        if stories:
            readable = {"story": {"$in": list(stories)}, "reason": {"$exists": False}}
            async for document in self.database["parked"].find(readable):
                recorded = from_wire(document["value"], document["headers"])
                waiting[recorded.story].append(recorded)
        return waiting

    async def unreadable(self, stories: Collection[str]) -> list[Document]:
        """The records with these keys that did not read when they came."""
        wanted = {"story": {"$in": list(stories)}, "reason": {"$exists": True}}
        return await self.database["parked"].find(wanted).to_list(None)

    async def touched(self, partitions: Collection[int], most: int) -> list[Document]:
        """Some of the stories that are to be folded again, `{_id: story, partition}`."""
        wanted = {"partition": {"$in": list(partitions)}}
        return await self.database["touched"].find(wanted).limit(most).to_list(None)

    async def touch(self, story: str, partition: int) -> None:
        """Let the owner of the partition fold the story again."""
        touched = {"$set": {"partition": partition}}
        await self.database["touched"].update_one({"_id": story}, touched, upsert=True)

    async def write(
        self,
        changes: Changes,
        moves: Moves,
        unreadable: Sequence[tuple[Record, str]],
        check: Check,
    ) -> bool:
        """All of it, or nothing and False when an offset is not the one expected. Raises what
        `check` raises."""
        async with transaction(self._mongo) as session:
            await check(session)
            moved = await self.database["offsets"].bulk_write(
                [_move(partition, move) for partition, move in moves.items()],
                ordered=False,
                session=session,
            )
            if moved.matched_count != len(moves):
                await session.abort_transaction()
                return False
            for collection, writes in _writes(changes, unreadable).items():
                await self._bulk(collection, writes, session)
            for tally, differences in changes.counts.items():
                await self._bulk(tally, await self._sheets(tally, differences, session), session)
            reached("projection-open")
        reached("projection-committed")
        return True

    async def _sheets(self, tally: str, differences: Differences, session: Session) -> list[_Write]:
        """The touched sheets as they are to be, from what they are within the transaction."""
        touched = {sheet.name: sheet for sheet, cells in differences.items() if any(cells.values())}
        found = self.database[tally].find({"_id": {"$in": list(touched)}}, session=session)
        stored = {document["_id"]: document for document in await found.to_list(None)}
        writes: list[_Write] = []
        for name, sheet in touched.items():
            after = sheet_after(sheet, stored.get(name), differences[sheet])
            key = {"_id": name}
            writes.append(ReplaceOne(key, after, upsert=True) if after else DeleteOne(key))
        return writes

    async def _bulk(self, collection: str, writes: list[_Write], session: Session) -> None:
        if writes:
            await self.database[collection].bulk_write(writes, ordered=False, session=session)


def _writes(changes: Changes, unreadable: Iterable[tuple[Record, str]]) -> dict[str, list[_Write]]:
    writes: dict[str, list[_Write]] = {
        "stories": [
            ReplaceOne({"_id": name}, cast("Document", story), upsert=True)
            for name, story in changes.stories.items()
        ],
        "timeline": [InsertOne(entry) for entry in changes.timeline],
        "ignored": [UpdateOne({"_id": t}, {"$set": {}}, upsert=True) for t in changes.ignored],
        "parked": [
            *(_park(recorded.id, recorded.story, *_wire(recorded)) for recorded in changes.parked),
            *(_park_unreadable(record, reason) for record, reason in unreadable),
            *([DeleteMany({"_id": {"$in": changes.drained}})] if changes.drained else []),
        ],
        "touched": [DeleteOne({"_id": name}) for name in changes.touched],
    }
    for view, rows in changes.rows.items():
        writes[view] = [
            DeleteOne({"_id": name}) if row is None else ReplaceOne({"_id": name}, row, upsert=True)
            for name, row in rows.items()
        ]
    return writes


def _wire(recorded: Recorded) -> tuple[bytes, list[tuple[str, bytes]]]:
    _, value, headers = to_wire(recorded)
    return value, headers


def _park_unreadable(record: Record, reason: str) -> UpdateOne:
    place = f"{record.topic}:{record.partition}:{record.offset}"
    story = (record.key or b"").decode("utf-8", "replace")
    return _park(place, story, record.value or b"", record.headers, reason)


def _park(
    name: str,
    story: str,
    value: bytes,
    headers: Iterable[tuple[str, bytes]],
    reason: str | None = None,
) -> UpdateOne:
    kept: dict[str, Any] = {
        "story": story,
        "value": Binary(value),
        "headers": [[header, Binary(text or b"")] for header, text in headers],
    }
    if reason is not None:
        kept["reason"] = reason
    return UpdateOne({"_id": name}, {"$setOnInsert": kept}, upsert=True)


def _move(partition: TopicPartition, move: Move) -> UpdateOne:
    """The offset goes on, if both its numbers are those expected."""
    moved: Document = {"$inc": {"touches": 1}}
    if move.by_records:
        moved = {"$set": {"next": move.following, "last": move.last}}
    expected = {"_id": _place(partition), "next": move.expected, "touches": move.touches}
    return UpdateOne(expected, moved)


def _place(partition: TopicPartition) -> str:
    return f"{partition.topic}:{partition.partition}"
