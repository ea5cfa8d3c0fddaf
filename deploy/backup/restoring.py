"""`wishgrid restore`: an empty installation becomes what a backup holds.

Everything is checked before anything is written. Each database is marked before the first
document and until the last; no service serves one that is marked, and the same backup can be
restored again to its end. Leases are not restored: a relay without a place scans its store and
publishes all; what readers know they drop.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError
from pymongo.write_concern import WriteConcern

from deploy.backup.manifest import Kept, Manifest, NotABackup, check_files, read_manifest
from deploy.backup.taking import ERASED, STORES
from deploy.lag import Away
from shared.group_commit import DUPLICATE_KEY
from shared.keystore import check_canary
from shared.mongo_store import COMMITS
from shared.restored import BEGUN, ONE, RESTORE, RESTORED
from shared.sealing import InstallationKeys

AT_A_TIME: Final = 2_000
_BYTES_AT_A_TIME: Final = 8 * 1024 * 1024
_DURABLE: Final = WriteConcern(w="majority", j=True)
_FAST: Final = WriteConcern(w=1)
"""For what a durable mark follows: it is durable when that is."""

Progress = Callable[[str], None]
Home = Database[dict[str, Any]]


class NotRestored(Exception):
    """It was not begun, or is not done; the message is one sentence."""


@dataclass(frozen=True)
class Wanted:
    """Backups to restore from. `again`: go on where a run with the same backup was interrupted;
    `keyless`: although no key is there and none comes with it."""

    stores: Path | None
    keys: Path | None
    again: bool = False
    keyless: bool = False


def restore(
    mongo: str, prefix: str, secrets: InstallationKeys | None, wanted: Wanted, progress: Progress
) -> list[Manifest]:
    """Restore what is asked for. Raises NotRestored, Away."""
    try:
        stores = None if wanted.stores is None else read_manifest(wanted.stores, "stores")
        keys = None if wanted.keys is None else read_manifest(wanted.keys, "keys")
        for folder, manifest in ((wanted.stores, stores), (wanted.keys, keys)):
            if folder is not None and manifest is not None:
                check_files(folder, manifest, progress)
        client: MongoClient[dict[str, Any]] = MongoClient(mongo, serverSelectionTimeoutMS=10_000)
        with client:
            target = _Target(client, prefix, progress)
            if keys is not None and wanted.keys is not None:
                target.check_keys(wanted.keys, keys, secrets)
            if stores is not None:
                target.check_stores(stores, wanted, keys is not None)
                target.mark(stores)
            # Keys first: whoever reads a fact finds its key.
            if keys is not None and wanted.keys is not None:
                target.put_keys(wanted.keys, keys)
            if stores is not None and wanted.stores is not None:
                target.put_stores(wanted.stores, stores)
                target.unmark(stores)
    except NotABackup as wrong:
        raise NotRestored(str(wrong)) from wrong
    except PyMongoError as away:
        raise Away(f"MongoDB does not answer: {type(away).__name__}") from away
    return [manifest for manifest in (stores, keys) if manifest is not None]


def mark(mongo: str, prefix: str) -> list[str]:
    """Say of stores that were restored by other means that they are as old as their backup: before
    they are served they take in what the topic holds beyond them. Their names. Raises Away."""
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(mongo, serverSelectionTimeoutMS=10_000)
        with client:
            homes = [client[f"{prefix}_{service}"] for service in STORES]
            written = [home for home in homes if "commits" in home.list_collection_names()]
            for home in written:
                home["leases"].update_one({"_id": "relay"}, {"$unset": {"known": 1}})
                said = {"state": RESTORED, "why": None, "at": datetime.now(UTC)}
                _durable(home)[RESTORE].update_one(ONE, {"$set": said}, upsert=True)
            return [home.name for home in written]
    except PyMongoError as away:
        raise Away(f"MongoDB does not answer: {type(away).__name__}") from away


class _Target:
    """The databases of an installation, to be filled."""

    def __init__(
        self, client: MongoClient[dict[str, Any]], prefix: str, progress: Progress
    ) -> None:
        self._homes = {service: client[f"{prefix}_{service}"] for service in STORES}
        self._keys = client[f"{prefix}_keys"]
        self._progress = progress

    def check_keys(
        self, folder: Path, manifest: Manifest, secrets: InstallationKeys | None
    ) -> None:
        """These secrets open the keys of the backup, and are those of the keys that are there."""
        if secrets is None:
            raise NotRestored(
                "name the master key and the index key that these keys belong to: "
                "WISHGRID_MASTER_KEY_FILE, WISHGRID_INDEX_KEY_FILE"
            )
        kept = manifest.collection("keys", "canary")
        canaries = [] if kept is None else [bson.decode(d) for d in _documents(folder, kept)]
        there = self._keys["canary"].find_one()
        for whose, canary in (
            *(("the backup", each) for each in canaries),
            *([] if there is None else [("the key store that is there", there)]),
        ):
            try:
                check_canary(canary, secrets)
            except ValueError as wrong:
                raise NotRestored(f"{wrong} (asked of {whose})") from None

    def check_stores(self, manifest: Manifest, wanted: Wanted, with_keys: bool) -> None:
        """They are empty, or half filled from this very backup and that is to go on."""
        for home in self._homes.values():
            found = home[RESTORE].find_one(ONE)
            if found is None:
                _check_empty(home)
            elif found["state"] != BEGUN:
                raise NotRestored(f"{home.name} was restored already")
            elif found["backup"] != manifest.digest:
                raise NotRestored(f"{home.name} is half restored from another backup: drop it")
            elif not wanted.again:
                raise NotRestored(
                    f"{home.name} is half restored from this backup: say --again to go on"
                )
        if not with_keys and not wanted.keyless and self._keys["keys"].find_one() is None:
            raise NotRestored(
                "there are no keys: name their backup by --keys, or say --without-keys and every "
                "sealed text stays unreadable"
            )

    def mark(self, manifest: Manifest) -> None:
        """From now on nobody serves it."""
        said = {"state": BEGUN, "backup": manifest.digest, "at": datetime.now(UTC), "why": None}
        for home in self._homes.values():
            _durable(home)[RESTORE].update_one(ONE, {"$set": said}, upsert=True)

    def put_keys(self, folder: Path, manifest: Manifest) -> None:
        """Add what is missing; what is there stays as it is, above all what was erased."""
        erased: list[Mapping[str, Any]] = []
        for kept in manifest.files:
            self._put(self._keys, folder, kept)
            if kept.collection == "keys":
                those = map(bson.decode, _documents(folder, kept))
                erased += [each for each in those if "erased_at" in each]
        self._erase(erased)

    def put_stores(self, folder: Path, manifest: Manifest) -> None:
        """All documents, and of commits no others (old claims may be forgotten already)."""
        for kept in manifest.files:
            if kept.collection == ERASED:
                self._erase([bson.decode(each) for each in _documents(folder, kept)])
                continue
            home = self._homes[kept.database]
            self._put(home, folder, kept)
            there = home[kept.collection].count_documents({})
            if there != kept.documents and kept.collection == COMMITS:
                raise NotRestored(
                    f"{home.name}.{kept.collection} holds {there} documents, the backup "
                    f"{kept.documents}: something else writes there"
                )

    def unmark(self, manifest: Manifest) -> None:
        """It is whole. What writes is still to be compared with the topic before it is served."""
        for service, home in self._homes.items():
            if manifest.collection(service, "commits") is None:
                _durable(home)[RESTORE].delete_one(ONE)
            else:
                _durable(home)[RESTORE].update_one(ONE, {"$set": {"state": RESTORED}})

    def _put(self, home: Home, folder: Path, kept: Kept) -> None:
        collection = home.get_collection(kept.collection, write_concern=_FAST)
        done = 0
        for batch in _batches(_documents(folder, kept)):
            try:
                collection.insert_many(batch, ordered=False)
            except BulkWriteError as failed:
                if any(e["code"] != DUPLICATE_KEY for e in failed.details["writeErrors"]):
                    raise
            done += len(batch)
            self._progress(f"restoring {home.name}.{kept.collection}: {done} of {kept.documents}")

    def _erase(self, subjects: list[Mapping[str, Any]]) -> None:
        """Erased is for ever, whichever backup says so: no key, and nobody is recognised by it."""
        if not subjects:
            return
        keys = _durable(self._keys)
        gone = {"$unset": {"wrapped": 1}}
        keys["keys"].bulk_write(
            [
                UpdateOne(
                    {"_id": each["_id"]}, {**gone, "$set": {"erased_at": each["erased_at"]}}, True
                )
                for each in subjects
            ],
            ordered=False,
        )
        keys["residents"].delete_many({"resident": {"$in": [each["_id"] for each in subjects]}})


def _check_empty(home: Home) -> None:
    for name in sorted(home.list_collection_names()):
        if home[name].find_one() is not None:
            raise NotRestored(
                f"{home.name} is not empty, it has {name}: a backup goes into an empty "
                f"installation; stop the services and drop it, or name another --database-prefix"
            )


def _durable(home: Home) -> Home:
    return home.with_options(write_concern=_DURABLE)


def _documents(folder: Path, kept: Kept) -> Iterator[bytes]:
    """The documents of a file. Raises NotABackup where it ends in the middle of one."""
    try:
        with gzip.open(folder / kept.file, "rb") as packed:
            while head := packed.read(4):
                rest = packed.read(int.from_bytes(head, "little") - 4)
                yield head + rest
    except (OSError, EOFError, ValueError, zlib.error) as wrong:
        raise NotABackup(f"{folder / kept.file} does not unpack: {wrong}") from wrong


def _batches(documents: Iterator[bytes]) -> Iterator[list[RawBSONDocument]]:
    batch: list[RawBSONDocument] = []
    size = 0
    for each in documents:
        batch.append(RawBSONDocument(each))
        size += len(each)
        if len(batch) == AT_A_TIME or size > _BYTES_AT_A_TIME:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
