"""`wishgrid restore`: an installation from its backups."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy.cli.options import PREFIX, DatabasePrefix, Mongo


def restore(
    mongo: Mongo,
    stores: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="a backup of event stores")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="a backup of keys")] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="there are none: texts stay unreadable")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="go on where a run with this backup was interrupted")
    ] = False,
    mark: Annotated[
        bool,
        typer.Option("--mark", help="restore nothing: the stores were restored by other means"),
    ] = False,
    master_key_file: Annotated[
        Path | None, typer.Option(envvar="WISHGRID_MASTER_KEY_FILE", help="asked for with --keys")
    ] = None,
    index_key_file: Annotated[
        Path | None, typer.Option(envvar="WISHGRID_INDEX_KEY_FILE", help="asked for with --keys")
    ] = None,
    database_prefix: DatabasePrefix = PREFIX,
) -> None:
    """Restore event stores into an empty installation, and keys into any; services stand still
    meanwhile. Everything is checked before anything is written.

    Then start the services: what Kafka still holds beyond the backup is taken in before anything is
    served, everything is published again, and read models are made from it.

    Keys that are there are never replaced, and one that was erased stays erased.
    """
    from deploy.backup.restoring import NotRestored, Wanted
    from deploy.backup.restoring import mark as mark_restored
    from deploy.backup.restoring import restore as put
    from deploy.lag import Away
    from shared.sealing import InstallationKeys, installation_keys

    if mark == (stores is not None or keys is not None):
        _fail("say what: a FOLDER with event stores, --keys FOLDER, both, or --mark alone")
    secrets: InstallationKeys | None = None
    try:
        if mark:
            _say_marked(mark_restored(mongo, database_prefix), database_prefix)
            return
        if keys is not None and master_key_file is not None and index_key_file is not None:
            secrets = installation_keys(master_key_file, index_key_file)
        wanted = Wanted(stores, keys, again, without_keys)
        done = put(mongo, database_prefix, secrets, wanted, lambda said: print(said, flush=True))
    except (NotRestored, Away, ValueError, OSError) as problem:
        _fail(str(problem))
    for manifest in done:
        at = manifest.made_at.isoformat(timespec="seconds")
        print(f"{manifest.of} of {manifest.installation} are as of {at}")
    times = {manifest.of: manifest.time for manifest in done}
    if len(times) == 2 and times["keys"] < times["stores"]:
        print("these keys are older than the stores: texts sealed under later ones are unreadable")
    if "stores" in times:
        print("now `wishgrid topics`, and start the services; `wishgrid doctor` tells what is left")


def _say_marked(names: list[str], prefix: str) -> None:
    if not names:
        _fail(f"there are no event stores named {prefix}_…: name the right prefix")
    print(f"{' and '.join(names)} take in what Kafka holds beyond them before they are served")


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)
