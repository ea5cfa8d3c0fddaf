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

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError

from shared.contracts.base import ResidentId, SubjectId, TownId
from shared.crash import reached
from shared.errors import KeyMissing
from shared.group_commit import AlreadyThere, GroupInsert
from shared.mongo import Database, Document
from shared.remembered import Remembered
from shared.sealing import InstallationKeys, Sealer, new_key


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
    check_canary(await database["canary"].find_one({"_id": name}) or document, secrets)


def check_canary(canary: Document, secrets: InstallationKeys) -> None:
    """The same of a canary, which is the document `canary` of that key store."""
    name, town = SubjectId("canary"), TownId("canary")
    if canary["index"] != secrets.blind(town, "canary", "canary"):
        raise ValueError("the index key is not the one this key store was begun with")
    try:
        secrets.unwrap(name, bytes(canary["wrapped"]))
    except KeyMissing:
        raise ValueError("the master key is not the one this key store was begun with") from None


class KeyReader:
    """Finds keys that exist. Unwrapped keys stay in memory for at most 60 seconds."""

    def __init__(self, database: Database, keys: InstallationKeys) -> None:
        self._keys = database["keys"]
        self._residents = database["residents"]
        self.installation = keys
        self._cache = Remembered[SubjectId, Sealer]()

    async def sealer(self, subject: SubjectId) -> Sealer:
        """Seals and opens for one subject. Raises KeyMissing."""
        found = await self.sealers([subject])
        if subject not in found:
            raise KeyMissing(subject)
        return found[subject]

    async def sealers(self, subjects: Iterable[SubjectId]) -> dict[SubjectId, Sealer]:
        """The sealers there are, in one query; erased and unknown subjects are left out."""
        wanted = set(subjects)
        found = {s: known for s in wanted if (known := self._cache.get(s))}
        if missing := sorted(wanted - found.keys()):
            async for document in self._keys.find(
                {"_id": {"$in": missing}, "wrapped": {"$exists": True}}
            ):
                subject = SubjectId(document["_id"])
                key = self.installation.unwrap(subject, bytes(document["wrapped"]))
                found[subject] = self._cache.put(subject, Sealer(subject, key))
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


class KeyWriter(KeyReader):
    """Also makes residents and keys; intake's alone."""

    def __init__(self, database: Database, keys: InstallationKeys) -> None:
        super().__init__(database, keys)
        self._new_residents = GroupInsert(self._residents)
        self._new_keys = GroupInsert(self._keys)
        self._known = Remembered[str, ResidentId]()

    async def resident(self, blind_index: str) -> ResidentId:
        """The resident behind the index, a new one if there is none. Races agree on one; who was
        met is remembered for as long as a key is."""
        if known := self._known.get(blind_index):
            return known
        fresh = ResidentId(uuid.uuid4().hex)
        document = bson.encode({"_id": blind_index, "resident": fresh})
        try:
            await self._new_residents.insert(blind_index, RawBSONDocument(document))
        except AlreadyThere:
            found = await self.resident_by(blind_index)
            if found is None:  # erased between the two
                raise KeyMissing(blind_index) from None
            return self._known.put(blind_index, found)
        return self._known.put(blind_index, fresh)

    async def ensure(self, subject: SubjectId) -> Sealer:
        """The subject's sealer, durable before the first text is sealed. Raises KeyMissing
        when the subject was erased."""
        if cached := self._cache.get(subject):
            return cached
        key = new_key()
        wrapped = self.installation.wrap(subject, key)
        try:
            await self._new_keys.insert(
                subject, RawBSONDocument(bson.encode({"_id": subject, "wrapped": wrapped}))
            )
        except AlreadyThere:
            return await self.sealer(subject)
        reached("key-created")
        return self._cache.put(subject, Sealer(subject, key))

    async def close(self) -> None:
        """Wait for what is in flight."""
        await asyncio.gather(self._new_residents.drain(), self._new_keys.drain())
