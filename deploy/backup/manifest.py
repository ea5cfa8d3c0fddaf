"""A backup is a folder: one file per collection, and a manifest that is written last.

A file is the collection's documents as BSON, one after the other, compressed by gzip: what
`bsondump` and `mongorestore --gzip` read too. A folder without a manifest is no backup.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from bson import Timestamp
from pydantic import BaseModel, ConfigDict, ValidationError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_CHUNK: Final = 1024 * 1024

Of = Literal["stores", "keys"]


class NotABackup(Exception):
    """A folder that cannot be restored from; the message is one sentence."""


class Kept(BaseModel):
    """One collection in a file; `bytes` and `sha256` are those of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database: str
    """Without the installation's prefix: `intake`, `keys`, …"""
    collection: str
    file: str
    documents: int
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a backup holds. It is as of one moment of the cluster, `cluster_time` (seconds,
    increment): nothing in it lacks what it follows on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    of: Of
    installation: str
    """Prefix of its databases."""
    made_at: datetime
    cluster_time: tuple[int, int]
    profiles: tuple[str, ...] = ()
    """Versions of the towns' profiles that its facts were recorded under."""
    files: tuple[Kept, ...]

    @property
    def time(self) -> Timestamp:
        return Timestamp(*self.cluster_time)

    @property
    def digest(self) -> str:
        """Its name: the same for no other backup."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json"))).hexdigest()

    def collection(self, database: str, collection: str) -> Kept | None:
        """The file of a collection, if it is there."""
        return next(
            (k for k in self.files if (k.database, k.collection) == (database, collection)), None
        )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last act of a backup."""
    said = {**manifest.model_dump(mode="json"), "digest": manifest.digest}
    (folder / MANIFEST).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def read_manifest(folder: Path, of: Of) -> Manifest:
    """The manifest of a backup of that kind. Raises NotABackup."""
    file = folder / MANIFEST
    try:
        said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        digest = said.pop("digest")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise NotABackup(f"{folder} holds no whole backup: {MANIFEST} does not read") from None
    if said.get("format") != FORMAT:
        raise NotABackup(
            f"{folder} has format {said.get('format')!r}; this build reads format {FORMAT}"
        )
    try:
        manifest = Manifest.model_validate(said)
    except ValidationError:
        raise NotABackup(f"{file} does not read as a manifest") from None
    if manifest.digest != digest:
        raise NotABackup(f"{file} was changed after it was written")
    if manifest.of != of:
        raise NotABackup(f"{folder} is a backup of {manifest.of}, not of {of}")
    return manifest


def check_files(folder: Path, manifest: Manifest, progress: Callable[[str], None]) -> None:
    """Every file is there as it was written. Raises NotABackup."""
    for kept in manifest.files:
        file = folder / kept.file
        progress(f"checking {kept.file}")
        if file.parent != folder or not file.is_file():
            raise NotABackup(f"{file} is missing")
        if (size := file.stat().st_size) != kept.bytes:
            raise NotABackup(f"{file} has {size} bytes, the manifest says {kept.bytes}")
        if _sha256(file) != kept.sha256:
            raise NotABackup(f"{file} was changed: its digest is not that of the manifest")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _canonical(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def split(batch: bytes) -> Iterator[bytes]:
    """The documents in a run of BSON, which ends with one."""
    at = 0
    while at < len(batch):
        size = int.from_bytes(batch[at : at + 4], "little")
        yield batch[at : at + size]
        at += size
