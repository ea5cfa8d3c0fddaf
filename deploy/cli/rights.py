"""`wishgrid passwords` and `wishgrid rights`: who gets into Kafka, and what they may do there."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from deploy.cli.options import Kafka
from shared.town import load_towns

Prefix = Annotated[str, typer.Option(envvar="WISHGRID_TOPIC_PREFIX")]
Towns = Annotated[
    Path, typer.Option(envvar="WISHGRID_TOWNS", help="folder of towns: who its partners are")
]
_TOWNS = Path("deploy/towns")


def passwords(
    folder: Annotated[Path, typer.Argument(help="made if it is missing; files in it are kept")],
    prefix: Prefix = "",
    towns: Towns = _TOWNS,
) -> None:
    """Make the passwords of Kafka's users that are missing, one file each, and the files that
    Kafka itself starts with. Needs no Kafka; hand each partner its own file."""
    from deploy.rights.passwords import Passwords
    from deploy.rights.table import users

    try:
        made = Passwords(folder).ensure(users(load_towns(towns).partners(), prefix))
    except (ValueError, OSError) as wrong:
        _fail(str(wrong))
    print("\n".join(f"made the password of {user}" for user in made) or "all passwords are there")


def rights(
    kafka: Kafka,
    folder: Annotated[
        Path,
        typer.Option(
            "--passwords", envvar="WISHGRID_KAFKA_PASSWORDS", help="made by `wishgrid passwords`"
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="change nothing; exit 1 if anything differs")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="take away what is there and not wanted")
    ] = False,
    prefix: Prefix = "",
    towns: Towns = _TOWNS,
) -> None:
    """Make Kafka's users and rights that are missing: of every service, relay and partner. What
    is there and not wanted is named and stays, unless it is to be removed."""
    from deploy.rights.broker import NotDone
    from deploy.rights.job import rights_job

    try:
        job = asyncio.run(rights_job(kafka, folder, load_towns(towns).partners(), prefix))
        found = asyncio.run(job.differences())
        if not check:
            asyncio.run(job.make(found))
        if remove and not check:
            asyncio.run(job.remove(found))
    except (NotDone, ValueError, OSError) as wrong:
        _fail(str(wrong))
    missing, unwanted = list(found.missing()), list(found.unwanted())
    for line in missing:
        print(f"missing: {line}" if check else f"made {line}")
    for line in unwanted:
        print(f"removed {line}" if remove and not check else f"not wanted: {line}")
    if not missing and not unwanted:
        print("all users and rights are there, and no others")
    elif unwanted and not remove and not check:
        print("what is not wanted was left as it is: `wishgrid rights --remove` takes it away")
    if check and (missing or unwanted):
        raise typer.Exit(1)


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)
