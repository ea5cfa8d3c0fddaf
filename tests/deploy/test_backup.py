"""`wishgrid backup`, `restore`: what comes back is what was there, or a sentence says why not."""

import asyncio
import gzip
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from typer.testing import CliRunner

from deploy.backup.manifest import Manifest, NotABackup, read_manifest
from deploy.backup.restoring import NotRestored, Wanted, mark, restore
from deploy.backup.taking import LEFT_OUT, NotTaken, back_up
from deploy.cli.main import app
from deploy.doctor.faults import Diagnosis
from deploy.doctor.mongo import look_at_restores
from services.dispatch.app import create as dispatch
from services.intake.app import create as intake
from services.projections.app import create as projections
from shared.contracts.base import SubjectId
from shared.contracts.recorded import Recorded
from shared.keystore import KeyWriter, check_secrets
from shared.mongo import Document
from shared.mongo_store import MongoStore
from shared.serving import House
from shared.store import History
from tests.conftest import following, new_story, whole_story

stack = pytest.mark.stack
STORIES = 7
SUBJECTS = [SubjectId(f"subject-{n}") for n in range(5)]


def silent(_: str) -> None:
    """Nobody watches."""


async def filled(house: House) -> None:
    """Stores and keys of some stories, and all else that services keep."""
    await check_secrets(house.database("keys"), house.secrets)
    keys = KeyWriter(house.database("keys"), house.secrets)
    for subject in SUBJECTS:
        await keys.ensure(subject)
        await keys.resident(f"index of {subject}")
    await keys.close()
    for _ in range(STORIES):
        wish, case = whole_story(new_story())
        await _store(house, "intake", wish)
        await _store(house, "dispatch", case)
    for service in ("intake", "dispatch", "projections"):
        home = house.database(service)
        await home["profiles"].insert_one({"_id": "t3:1.abc", "digest": "abc"})
        await home["access_log"].insert_one({"principal": "desk", "at": datetime.now(UTC)})
        await home["leases"].insert_one({"_id": "relay", "owner": "intake-1", "epoch": 7})
        await home["seen"].insert_one({"_id": "story", "case": 3})


async def _store(house: House, service: str, facts: list[Recorded]) -> None:
    store, history = MongoStore(house.database(service)), History(facts[0].stream)
    for recorded in facts:
        commit = following(history, recorded.fact, command=f"{recorded.id}#")
        await store.append(commit)
        history = History(history.stream, (*history.commits, commit))
    await store.close()


async def contents(house: House) -> dict[str, list[Document]]:
    """All that is in the databases of an installation, but what no backup brings back."""
    prefix = house.settings.database_prefix
    found = {}
    for service in ("intake", "dispatch", "projections", "keys"):
        database = house.mongo[f"{prefix}_{service}"]
        for name in await database.list_collection_names():
            if name not in LEFT_OUT:
                documents = await database[name].find().sort("_id", 1).to_list(None)
                found[f"{service}.{name}"] = documents
    return found


@asynccontextmanager
async def another(house: House) -> AsyncIterator[House]:
    """An empty installation with the same secrets."""
    prefix = f"{house.settings.database_prefix}_other"
    settings = house.settings.model_copy(update={"database_prefix": prefix})
    yield replace(house, settings=settings)
    for name in await house.mongo.list_database_names():
        if name.startswith(prefix):
            await house.mongo.drop_database(name)


def took(house: House, folder: Path, **which: bool) -> list[Manifest]:
    """Backups in `folder`."""
    stores = folder / "stores" if which.get("stores", True) else None
    keys = folder / "keys" if which.get("keys", True) else None
    settings = house.settings
    return back_up(settings.mongo, settings.database_prefix, stores, keys, silent)


def put(house: House, folder: Path, **how: Any) -> list[Manifest]:
    """Restore both from `folder`, or as `how` says."""
    secrets = how.pop("secrets", house.secrets)
    progress = how.pop("progress", silent)
    wanted = Wanted(**{"stores": folder / "stores", "keys": folder / "keys", **how})
    return restore(house.settings.mongo, house.settings.database_prefix, secrets, wanted, progress)


@stack
async def test_an_empty_installation_becomes_what_was_backed_up(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    before = await contents(house)
    assert {n.partition(".")[2] for n in before} >= {"commits", "keys", "residents", "canary"}
    stores, keys = took(house, tmp_path)
    assert keys.time >= stores.time
    assert stores.profiles == ("t3:1.abc",)
    with pytest.raises(NotTaken, match="is there already: name a new folder"):
        took(house, tmp_path)
    async with another(house) as other:
        put(other, tmp_path)
        assert await contents(other) == before
        home = other.database("intake")
        assert await home["leases"].find_one() is None
        assert await home["seen"].find_one() is None
        with pytest.raises(NotRestored, match="_intake was restored already"):
            put(other, tmp_path)
        await check_secrets(other.database("keys"), other.secrets)
    unpacked = b"".join(map(gzip.decompress, [(tmp_path / "keys/keys.keys.bson.gz").read_bytes()]))
    assert len(bson.decode_all(unpacked)) == len(SUBJECTS)
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0


@stack
async def test_no_fact_is_in_a_backup_without_the_fact_that_caused_it(
    house: House, tmp_path: Path
) -> None:
    """Intake is read before dispatch, and cases are opened all the while."""
    await filled(house)
    ended = asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        while not ended.is_set():
            wish, case = whole_story(new_story())
            await _store(house, "intake", wish[:1])
            await _store(house, "dispatch", case[:1])
            written += 1

    writing = [asyncio.create_task(write()) for _ in range(4)]

    def slowly(said: str) -> None:
        """So that cases are opened between the reading of one store and the next."""
        before = written
        if said.startswith("keeping dispatch"):
            while written < before + 8:
                os.sched_yield()

    settings = house.settings
    folder = tmp_path / "stores"
    await asyncio.to_thread(back_up, settings.mongo, settings.database_prefix, folder, None, slowly)
    ended.set()
    await asyncio.gather(*writing)
    there = {name: _ids(folder, name) for name in ("intake", "dispatch")}
    wishes = {each.partition("-")[2] for each in there["intake"] if each.endswith("0000000001")}
    cases = {each.partition("-")[2] for each in there["dispatch"] if each.endswith("0000000001")}
    assert len(cases) >= STORIES
    assert cases <= wishes


def _ids(folder: Path, service: str) -> list[str]:
    packed = (folder / f"{service}.commits.bson.gz").read_bytes()
    return [str(each["_id"]) for each in bson.decode_all(gzip.decompress(packed))]


@stack
async def test_a_moment_that_mongodb_no_longer_keeps_is_one_sentence(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    prefix, window = house.settings.database_prefix, "minSnapshotHistoryWindowInSeconds"
    with MongoClient[Document](house.settings.mongo) as mongo:

        def forgotten(said: str) -> None:
            """Go on once nobody can read as of this moment any more."""
            if said != "keeping dispatch.commits":
                return
            with mongo.start_session(snapshot=True) as now:
                commits = mongo[f"{prefix}_dispatch"].get_collection("commits")
                commits.find_one(session=now)
                while True:
                    mongo[f"{prefix}_projections"]["access_log"].insert_one({})
                    try:
                        commits.find_one(session=now)
                    except OperationFailure:
                        return

        mongo.admin.command({"setParameter": 1, window: 0})
        try:
            with pytest.raises(NotTaken, match=rf"no longer keeps the moment .* {window}: 3600"):
                await asyncio.to_thread(
                    back_up, house.settings.mongo, prefix, tmp_path / "stores", None, forgotten
                )
        finally:
            mongo.admin.command({"setParameter": 1, window: 300})
    assert not (tmp_path / "stores").exists()


def truncated(folder: Path) -> None:
    file = folder / "stores/dispatch.commits.bson.gz"
    file.write_bytes(file.read_bytes()[:-10])


def tampered(folder: Path) -> None:
    file = folder / "stores/dispatch.commits.bson.gz"
    packed = bytearray(file.read_bytes())
    packed[len(packed) // 2] ^= 1
    file.write_bytes(packed)


def with_keys_tampered(folder: Path) -> None:
    file = folder / "keys/keys.keys.bson.gz"
    file.write_bytes(gzip.compress(b""))


def without_a_file(folder: Path) -> None:
    (folder / "stores/intake.commits.bson.gz").unlink()


def without_a_manifest(folder: Path) -> None:
    (folder / "stores/manifest.json").unlink()


def with_another_manifest(folder: Path) -> None:
    file = folder / "stores/manifest.json"
    said = json.loads(file.read_text())
    said["files"][0]["documents"] += 1
    file.write_text(json.dumps(said))


def of_a_later_build(folder: Path) -> None:
    file = folder / "stores/manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 2}))


def with_keys_for_stores(folder: Path) -> None:
    shutil.rmtree(folder / "stores")
    shutil.copytree(folder / "keys", folder / "stores")


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (truncated, r"dispatch.commits.bson.gz has \d+ bytes, the manifest says \d+"),
    (tampered, "dispatch.commits.bson.gz was changed: its digest is not that of the manifest"),
    (with_keys_tampered, "keys.keys.bson.gz has"),
    (without_a_file, "intake.commits.bson.gz is missing"),
    (without_a_manifest, "holds no whole backup: manifest.json does not read"),
    (with_another_manifest, "manifest.json was changed after it was written"),
    (of_a_later_build, "has format 2; this build reads format 1"),
    (with_keys_for_stores, "is a backup of keys, not of stores"),
]


@stack
async def test_what_is_not_as_it_was_written_is_refused_before_anything_is_written(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    took(house, tmp_path / "whole")
    async with another(house) as other:
        for damage, sentence in DAMAGES:
            folder = tmp_path / damage.__name__
            shutil.copytree(tmp_path / "whole", folder)
            damage(folder)
            with pytest.raises(NotRestored, match=sentence):
                put(other, folder)
        strangers = replace(other.secrets, master=b"0" * 32)
        for secrets, sentence in (
            (strangers, r"the master key is not the one .* \(asked of the backup\)"),
            (replace(other.secrets, index=b"0" * 32), "the index key is not the one"),
            (None, "name the master key and the index key"),
        ):
            with pytest.raises(NotRestored, match=sentence):
                put(other, tmp_path / "whole", secrets=secrets)
        with pytest.raises(NotRestored, match="there are no keys: name their backup by --keys"):
            put(other, tmp_path / "whole", keys=None)
        assert not any(await contents(other))
        await other.database("projections")["access_log"].insert_one({"principal": "desk"})
        with pytest.raises(NotRestored, match=r"_projections is not empty, it has access_log: "):
            put(other, tmp_path / "whole")
        await other.database("projections")["access_log"].delete_many({})
        await check_secrets(other.database("keys"), strangers)
        with pytest.raises(NotRestored, match="asked of the key store that is there"):
            put(other, tmp_path / "whole")


@stack
async def test_a_half_restored_installation_is_served_by_nobody_until_it_is_whole(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    took(house, tmp_path)
    before = await contents(house)
    async with another(house) as other:

        def killed(said: str) -> None:
            if "_dispatch.commits" in said:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            put(other, tmp_path, progress=killed)
        for create in (intake, dispatch, projections):
            with pytest.raises(ValueError, match="is half restored: run `wishgrid restore`"):
                async with create(other).router.lifespan_context(None):
                    pass
        found = Diagnosis()
        await look_at_restores(other.mongo, other.settings.database_prefix, found)
        assert [fault.name for fault in found.faults] == ["store-half-restored"] * 3
        with pytest.raises(NotTaken, match="is half restored: a backup of it"):
            took(other, tmp_path / "no")
        with pytest.raises(NotRestored, match="half restored from this backup: say --again"):
            put(other, tmp_path)
        took(house, tmp_path / "later")
        with pytest.raises(NotRestored, match="half restored from another backup: drop it"):
            put(other, tmp_path / "later", again=True)
        put(other, tmp_path, again=True)
        there = await contents(other)
        assert {name: kept for name, kept in there.items() if kept} == before
        found = Diagnosis()
        await look_at_restores(other.mongo, other.settings.database_prefix, found)
        assert [fault.name for fault in found.faults] == ["store-behind"] * 2


@stack
async def test_what_was_erased_since_stays_erased_whatever_the_backup_of_keys_says(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    keys = house.database("keys")
    took(house, tmp_path / "old")
    gone: dict[str, Any] = {"erased_at": datetime(2026, 11, 1, tzinfo=UTC)}
    await keys["keys"].replace_one({"_id": SUBJECTS[0]}, gone)
    resident = await keys["residents"].find_one()
    assert resident is not None
    await keys["keys"].insert_one({"_id": resident["resident"], **gone})
    await keys["residents"].delete_one({"_id": resident["_id"]})
    took(house, tmp_path / "new", keys=False)
    async with another(house) as other:
        put(other, tmp_path / "new", keys=tmp_path / "old/keys")
        restored = other.database("keys")
        erased = await restored["keys"].find_one({"_id": SUBJECTS[0]})
        assert erased == {"_id": SUBJECTS[0], **gone}
        assert await restored["residents"].find_one({"_id": resident["_id"]}) is None
        assert await restored["keys"].find_one({"_id": SUBJECTS[1], "wrapped": {"$exists": 1}})
    # The other way round: what the key store at hand knows is not undone by an older backup.
    put(house, tmp_path / "old", stores=None)
    assert await keys["keys"].find_one({"_id": SUBJECTS[0]}) == {"_id": SUBJECTS[0], **gone}


@stack
async def test_a_backup_that_is_killed_leaves_nothing_that_looks_like_one(
    house: House, tmp_path: Path
) -> None:
    await filled(house)
    settings = house.settings
    words = ("backup", tmp_path / "stores", "--keys", tmp_path / "keys")
    where = (f"--mongo={settings.mongo}", f"--database-prefix={settings.database_prefix}")
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("wishgrid"),
        *map(str, words),
        *where,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while b"keeping dispatch" not in await process.stdout.readline():
        pass
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert not (tmp_path / "keys").exists()
    if not (tmp_path / "stores").exists():  # else it was faster than the signal
        with pytest.raises(NotABackup, match="holds no whole backup"):
            read_manifest(tmp_path / "stores.partial", "stores")
        took(house, tmp_path)  # the same names again: what was left is in nobody's way
        assert not (tmp_path / "stores.partial").exists()


@stack
async def test_stores_restored_by_other_means_can_be_marked(house: House) -> None:
    with pytest.raises(NotTaken, match="there are no event stores named"):
        took(house, Path("nowhere"))
    await filled(house)
    prefix = house.settings.database_prefix
    await house.database("intake")["leases"].update_one({}, {"$set": {"known": {"topic": "t"}}})
    assert mark(house.settings.mongo, prefix) == [f"{prefix}_intake", f"{prefix}_dispatch"]
    lease = await house.database("intake")["leases"].find_one()
    assert lease == {"_id": "relay", "owner": "intake-1", "epoch": 7}
    found = Diagnosis()
    await look_at_restores(house.mongo, prefix, found)
    assert [fault.name for fault in found.faults] == ["store-behind"] * 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["backup"], "say what: a FOLDER for the event stores"),
        (["backup", "/tmp/x"], "say --keys FOLDER too"),
        (["backup", "/tmp/x", "--keys", "/tmp/x/keys"], "keep keys apart"),
        (["backup", "/tmp", "--without-keys"], "/tmp is there already: name a new folder"),
        (["restore"], "say what: a FOLDER with event stores"),
        (["restore", "/tmp/x", "--mark"], "say what: a FOLDER with event stores"),
        (["restore", "/tmp/not-there"], "holds no whole backup"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(words: list[str], sentence: str) -> None:
    said = CliRunner().invoke(app, [words[0], "--mongo=mongodb://127.0.0.1:1", *words[1:]])
    assert said.exit_code == 1
    assert sentence in said.output
