"""The key store: who a resident is (by blind index) and the data key of each subject.

The one database that services share, each under its own credentials: intake writes, the others
read. `residents`: `{_id: blind index, resident}`. `keys`: `{_id: subject, wrapped}`; an erased
subject stays as `{_id: subject, erased_at}`, so that no key is made for it again. `canary` tells
whether the secrets at hand are those it was begun with.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Iterable
from time import monotonic
from typing import Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError

from shared.contracts.base import ResidentId, SubjectId, TownId
from shared.errors import KeyMissing
from shared.group_commit import AlreadyThere, GroupInsert
from shared.mongo import Database, Document
from shared.sealing import InstallationKeys, Sealer, new_key

_CACHE_SECONDS: Final = 60.0
_CACHE_SIZE: Final = 20_000


async def check_secrets(database: Database, secrets: InstallationKeys) -> None:
    """Raise ValueError when these are not the secrets the key store was begun with: under another
    master key nothing opens, under another index key nobody is recognised."""
    name, town = SubjectId("canary"), TownId("canary")
    document: Document = {
        "_id": name,
        "wrapped": secrets.wrap(name, new_key()),
        "index": secrets.blind(town, "canary", "canary"),
    }
    with contextlib.suppress(DuplicateKeyError):
        await database["canary"].insert_one(document)
    first = await database["canary"].find_one({"_id": name}) or document
    if first["index"] != document["index"]:
        raise ValueError("the index key is not the one this key store was begun with")
    try:
        secrets.unwrap(name, bytes(first["wrapped"]))
    except KeyMissing:
        raise ValueError("the master key is not the one this key store was begun with") from None


class KeyReader:
    """Finds keys that exist. Unwrapped keys stay in memory for at most 60 seconds."""

    def __init__(self, database: Database, keys: InstallationKeys) -> None:
        self._keys = database["keys"]
        self._residents = database["residents"]
        self.installation = keys
        self._cache: dict[SubjectId, tuple[float, Sealer]] = {}

    async def sealer(self, subject: SubjectId) -> Sealer:
        """Seals and opens for one subject. Raises KeyMissing."""
        found = await self.sealers([subject])
        if subject not in found:
            raise KeyMissing(subject)
        return found[subject]

    async def sealers(self, subjects: Iterable[SubjectId]) -> dict[SubjectId, Sealer]:
        """The sealers there are, in one query; erased and unknown subjects are left out."""
        wanted = set(subjects)
        now = monotonic()
        found = {s: entry[1] for s in wanted if (entry := self._cache.get(s)) and entry[0] > now}
        if missing := sorted(wanted - found.keys()):
            async for document in self._keys.find(
                {"_id": {"$in": missing}, "wrapped": {"$exists": True}}
            ):
                subject = SubjectId(document["_id"])
                key = self.installation.unwrap(subject, bytes(document["wrapped"]))
                found[subject] = self._remember(Sealer(subject, key))
        return found

    async def resident_by(self, blind_index: str) -> ResidentId | None:
        """Whom an account or phone belongs to, None for nobody yet."""
        document = await self._residents.find_one({"_id": blind_index})
        return None if document is None else ResidentId(document["resident"])

    async def residents_by(self, blind_indexes: Iterable[str]) -> dict[str, ResidentId]:
        """The same for many, by index, in one query; who is nobody yet is left out."""
        found = self._residents.find({"_id": {"$in": sorted(set(blind_indexes))}})
        return {d["_id"]: ResidentId(d["resident"]) for d in await found.to_list(None)}

    async def resident_of_account(self, town: TownId, account: str) -> ResidentId | None:
        """The resident who signs in as `account`, None before the first wish."""
        return await self.resident_by(self.installation.blind(town, "account", account))

    def _remember(self, sealer: Sealer) -> Sealer:
        while len(self._cache) >= _CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        self._cache.pop(sealer.subject, None)
        self._cache[sealer.subject] = (monotonic() + _CACHE_SECONDS, sealer)
        return sealer


class KeyWriter(KeyReader):
    """Also makes residents and keys; intake's alone."""

    def __init__(self, database: Database, keys: InstallationKeys) -> None:
        super().__init__(database, keys)
        self._new_residents = GroupInsert(self._residents)
        self._new_keys = GroupInsert(self._keys)

    async def resident(self, blind_index: str) -> ResidentId:
        """The resident behind the index, a new one if there is none. Races agree on one."""
        fresh = ResidentId(uuid.uuid4().hex)
        document = bson.encode({"_id": blind_index, "resident": fresh})
        try:
            await self._new_residents.insert(blind_index, RawBSONDocument(document))
        except AlreadyThere:
            found = await self.resident_by(blind_index)
            if found is None:  # erased between the two
                raise KeyMissing(blind_index) from None
            return found
        return fresh

    async def ensure(self, subject: SubjectId) -> Sealer:
        """The subject's sealer, durable before the first text is sealed. Raises KeyMissing
        when the subject was erased."""
        cached = self._cache.get(subject)
        if cached and cached[0] > monotonic():
            return cached[1]
        key = new_key()
        wrapped = self.installation.wrap(subject, key)
        try:
            await self._new_keys.insert(
                subject, RawBSONDocument(bson.encode({"_id": subject, "wrapped": wrapped}))
            )
        except AlreadyThere:
            return await self.sealer(subject)
        return self._remember(Sealer(subject, key))

    async def close(self) -> None:
        """Wait for what is in flight."""
        await asyncio.gather(self._new_residents.drain(), self._new_keys.drain())
