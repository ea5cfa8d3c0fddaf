"""`wishgrid backup`: all that cannot be made again, as of one moment, while the installation runs.

Every store is read at one cluster time (a snapshot session), so that a fact is never in it without
the fact that caused it, also across services. Keys come after the stores, at a later time: no
fact in the stores' backup is sealed under a key that the keys' backup lacks.
"""

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from bson import Timestamp
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from deploy.backup.manifest import Kept, Manifest, Of, split, write_manifest
from deploy.lag import Away
from shared.restored import BEGUN, ONE, RESTORE

STORES: Final = ("intake", "dispatch", "projections")
KEYS: Final = ("keys",)
LEFT_OUT: Final = frozenset({"leases", "seen", "parked", "replays", RESTORE})
"""What is not restored: leases and their places are the old cluster's, and readers that begin anew
park again what is still to be parked. All others are, those of later builds too."""
ERASED: Final = "erased"
"""The names of erased subjects, also kept with the stores: an older backup of keys cannot bring
back what was erased since."""
PARTIAL: Final = ".partial"
_TOO_OLD: Final = (239, 246)
"""SnapshotTooOld; SnapshotUnavailable, after a collection or index was made meanwhile."""
_LEVEL: Final = 1

Client = MongoClient[dict[str, Any]]
Progress = Callable[[str], None]


class NotTaken(Exception):
    """No backup was made; the message is one sentence."""


@dataclass(frozen=True)
class _Source:
    """Collections of one database, read at the session's moment."""

    client: Client
    session: ClientSession
    prefix: str

    def names(self, service: str) -> list[str]:
        found = self.client[f"{self.prefix}_{service}"].list_collection_names()
        return sorted(n for n in found if n not in LEFT_OUT and not n.startswith("system."))

    def batches(
        self, service: str, name: str, which: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        collection = self.client[f"{self.prefix}_{service}"][name]
        plain = collection.with_options(read_concern=ReadConcern())
        yield from plain.find_raw_batches(which or {}, session=self.session)


def back_up(
    mongo: str, prefix: str, stores: Path | None, keys: Path | None, progress: Progress
) -> list[Manifest]:
    """Make the backups that are asked for. Raises NotTaken, Away; then nothing looks like one."""
    for folder in filter(None, (stores, keys)):
        if folder.exists():
            raise NotTaken(f"{folder} is there already: name a new folder")
    made = []
    try:
        client: Client = MongoClient(mongo, serverSelectionTimeoutMS=10_000, tz_aware=True)
        with client:
            _check_installation(client, prefix)
            if stores is not None:
                made.append(_take(client, prefix, "stores", stores, progress))
            if keys is not None:
                made.append(_take(client, prefix, "keys", keys, progress))
    except OperationFailure as failed:
        if failed.code not in _TOO_OLD:
            raise Away(f"MongoDB does not answer: {type(failed).__name__}") from failed
        raise NotTaken(
            "MongoDB no longer keeps the moment the backup began with; let it keep it longer and "
            "begin again: mongosh --eval 'db.adminCommand({setParameter: 1, "
            "minSnapshotHistoryWindowInSeconds: 3600})'"
        ) from failed
    except PyMongoError as failed:
        raise Away(f"MongoDB does not answer: {type(failed).__name__}") from failed
    except OSError as failed:
        raise NotTaken(f"{failed.filename}: {failed.strerror}") from failed
    return made


def _check_installation(client: Client, prefix: str) -> None:
    homes = [client[f"{prefix}_{service}"] for service in STORES]
    if not any("commits" in home.list_collection_names() for home in homes):
        raise NotTaken(f"there are no event stores named {prefix}_…: name the right prefix")
    for home in homes:
        if home[RESTORE].find_one({**ONE, "state": BEGUN}):
            raise NotTaken(f"{home.name} is half restored: a backup of it would be worth nothing")


def _take(client: Client, prefix: str, of: Of, folder: Path, progress: Progress) -> Manifest:
    partial = folder.with_name(folder.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was interrupted
    partial.mkdir(parents=True, mode=0o700)
    with client.start_session(snapshot=True) as session:
        # The moment is that of the first read.
        client[f"{prefix}_keys"]["canary"].find_one(session=session)
        source = _Source(client, session, prefix)
        files = [
            _keep(source, partial, service, name, progress)
            for service in (STORES if of == "stores" else KEYS)
            for name in source.names(service)
        ]
        if of == "stores":
            files.append(_keep(source, partial, "keys", "keys", progress, erased=True))
        manifest = Manifest(
            of=of,
            installation=prefix,
            made_at=datetime.now(UTC),
            cluster_time=_moment(session),
            profiles=_profiles(source) if of == "stores" else (),
            files=tuple(files),
        )
    write_manifest(partial, manifest)
    _to_disk(partial)
    partial.rename(folder)
    _to_disk(folder.parent)
    return manifest


def _keep(
    source: _Source,
    folder: Path,
    service: str,
    name: str,
    progress: Progress,
    *,
    erased: bool = False,
) -> Kept:
    which = {"erased_at": {"$exists": True}} if erased else None
    called = ERASED if erased else name
    file = folder / f"{service}.{called}.bson.gz"
    progress(f"keeping {service}.{called}")
    with file.open("wb") as opened:
        out = _Digested(opened)
        documents = 0
        with gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed:
            for batch in source.batches(service, name, which):
                documents += sum(1 for _ in split(batch))
                packed.write(batch)
        opened.flush()
        os.fsync(opened.fileno())
    return Kept(
        database=service,
        collection=called,
        file=file.name,
        documents=documents,
        bytes=out.bytes,
        sha256=out.digest.hexdigest(),
    )


class _Digested:
    """A file that is only written to, and its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _profiles(source: _Source) -> tuple[str, ...]:
    found = set()
    for service in STORES:
        with source.client[f"{source.prefix}_{service}"]["profiles"].find() as those:
            found |= {str(each["_id"]) for each in those}
    return tuple(sorted(found))


def _moment(session: ClientSession) -> tuple[int, int]:
    time: Timestamp | None = session._snapshot_time  # the driver tells it nowhere else
    if time is None:
        raise NotTaken("MongoDB gave no moment to read at: it must be a replica set, 5.0 or later")
    return time.time, time.inc


def _to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
