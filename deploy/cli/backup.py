"""`wishgrid backup`: what cannot be made again, into folders."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy.cli.options import PREFIX, DatabasePrefix, Mongo


def backup(
    mongo: Mongo,
    stores: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="new folder for the event stores")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="new folder for the keys, elsewhere: it is kept a shorter time"),
    ] = None,
    without_keys: Annotated[
        bool, typer.Option("--without-keys", help="the keys are backed up by another run")
    ] = False,
    database_prefix: DatabasePrefix = PREFIX,
) -> None:
    """Back up event stores and keys of a running installation, each into a folder of its own.

    Each folder is as of one moment, the keys of a later one than the stores. Kafka and read models
    are made from the stores and are not in it, nor are the master key and the index key. How to
    keep them, and how to restore: deploy/backup/README.md.
    """
    from deploy.backup.taking import NotTaken, back_up
    from deploy.lag import Away

    if stores is None and keys is None:
        _fail("say what: a FOLDER for the event stores, --keys FOLDER, or both")
    if stores is not None and keys is None and not without_keys:
        _fail(
            "say --keys FOLDER too: texts sealed under keys that were made since their last backup "
            "could not be read again (or --without-keys, if another run takes them after this)"
        )
    if stores is not None and keys is not None and _within(stores, keys):
        _fail("keep keys apart: one folder is in the other, and keys are kept a shorter time")
    try:
        made = back_up(mongo, database_prefix, stores, keys, lambda said: print(said, flush=True))
    except (NotTaken, Away) as problem:
        _fail(str(problem))
    for manifest, folder in zip(made, filter(None, (stores, keys)), strict=True):
        documents = sum(kept.documents for kept in manifest.files)
        size = sum(kept.bytes for kept in manifest.files) / 1_000_000
        print(f"{folder} is a backup of {manifest.of}: {documents} documents, {size:.1f} MB")


def _within(one: Path, other: Path) -> bool:
    one, other = one.absolute(), other.absolute()
    return one.is_relative_to(other) or other.is_relative_to(one)


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)
