"""What the gate remembers of inbound events: each is claimed by the first record that brings it.

`inbound`: `{_id: command id, said: HMAC of what it says, place, at, stream?, answer?}`. `place` is
the record, `stream` where it is decided; `answer` is its refusal, if it was refused before any
stream, and then for good. Forgotten after 30 days; what it led to is known for ever.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import bson
from bson.raw_bson import RawBSONDocument

from shared.contracts.answers import EventAnswer
from shared.contracts.base import CommandId, StreamId, TownId
from shared.group_commit import AlreadyThere, GroupInsert
from shared.mongo import Database, Document
from shared.sealing import InstallationKeys

REMEMBERED: Final = timedelta(days=30)
ABANDONED: Final = timedelta(minutes=5)
"""When nobody waits any more for the record that claimed an event: it may be gone from Kafka."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An event, the command that it is, and the record (topic:partition:offset) that answers for
    it."""

    command: CommandId
    said: str
    place: str
    at: datetime
    stream: StreamId | None = None
    answer: EventAnswer | None = None

    def is_for(self, other: "Claim") -> bool:
        """Whether whoever asks with the `other` claim is to judge the event: it is the same
        record, read once more, or nobody else will."""
        return self.place == other.place or other.at - self.at > ABANDONED


class Claims:
    """Claims in intake's database."""

    def __init__(self, home: Database, secrets: InstallationKeys) -> None:
        self._inbound = home["inbound"]
        self._new = GroupInsert(self._inbound)
        self._secrets = secrets

    async def prepare(self) -> None:
        """Make the index that forgets."""
        seconds = int(REMEMBERED.total_seconds())
        await self._inbound.create_index([("at", 1)], expireAfterSeconds=seconds)

    async def close(self) -> None:
        """Wait for what is in flight."""
        await self._new.drain()

    async def make(self, claim: Claim) -> Claim:
        """The claim itself once it is durable, or the earlier one of the same event."""
        document: Document = {
            "_id": claim.command,
            "said": claim.said,
            "place": claim.place,
            "at": claim.at,
        }
        if claim.stream is not None:
            document["stream"] = claim.stream
        if claim.answer is not None:
            document["answer"] = claim.answer.model_dump(exclude_none=True)
        try:
            await self._new.insert(claim.command, RawBSONDocument(bson.encode(document)))
        except AlreadyThere:
            return await self.find(claim.command) or claim
        return claim

    async def find(self, command: CommandId) -> Claim | None:
        """What is known of an event."""
        found = await self._inbound.find_one({"_id": command})
        return None if found is None else _claim(found)

    async def refuse(self, claim: Claim, answer: EventAnswer) -> EventAnswer:
        """The event's refusal from now on: this one, or the one that somebody was faster with."""
        kept = answer.model_dump(exclude_none=True)
        unanswered = {"_id": claim.command, "answer": {"$exists": False}}
        result = await self._inbound.update_one(unanswered, {"$set": {"answer": kept}})
        if result.modified_count:
            return answer
        found = await self.find(claim.command)
        return answer if found is None or found.answer is None else found.answer

    def digest(self, *parts: str | bytes) -> str:
        """A name that tells nothing of its parts."""
        hashes = (hashlib.sha256(p if isinstance(p, bytes) else p.encode()) for p in parts)
        return self._secrets.blind(TownId(""), "inbound", "".join(h.hexdigest() for h in hashes))


def _claim(found: Document) -> Claim:
    answer, stream = found.get("answer"), found.get("stream")
    return Claim(
        CommandId(found["_id"]),
        found["said"],
        found["place"],
        found["at"],
        None if stream is None else StreamId(stream),
        None if answer is None else EventAnswer.model_validate(answer),
    )
