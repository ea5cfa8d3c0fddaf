"""The commands of `wishgrid`. Each prints one sentence when it cannot do what it was asked."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from aiokafka.errors import KafkaError

from deploy.cli import contract, parked
from deploy.cli.backup import backup
from deploy.cli.doctor import doctor
from deploy.cli.import_list import import_list
from deploy.cli.options import (
    PREFIX,
    TOWNS,
    DatabasePrefix,
    FactsTopic,
    Kafka,
    Mongo,
    TopicPrefix,
    TownsFolder,
)
from deploy.cli.profile import profile
from deploy.cli.rebuild import rebuild
from deploy.cli.republish import republish
from deploy.cli.restore import restore
from deploy.cli.rights import passwords, rights
from deploy.kafka_door import why_not
from deploy.local.errors import InstallFirst, StartFailed
from deploy.topics import TopicNotAsWanted, ensure_topics, topics_of
from shared.access import Role
from shared.kafka import FACTS
from shared.kafka_access import access_in
from shared.town import load_towns

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("import")(import_list)
for command in (doctor, passwords, rights, republish, rebuild):
    app.command()(command)
app.command()(backup)
app.command()(restore)
for name, group in (("contract", contract.app), ("parked", parked.app), ("profile", profile)):
    app.add_typer(group, name=name)

_SHOWN = 100
"""So many findings are printed."""

Folder = Annotated[Path | None, typer.Option(help="keep data and logs here (else temporary)")]


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="end when played")] = False,
    folder: Folder = None,
    seed: Annotated[
        int | None, typer.Option(help="other cases, same totals (else the scenario's own)")
    ] = None,
) -> None:
    """Play invented months of a town through real servers; exit 1 if the totals that are read
    are not the published ones."""
    from deploy.demo.player import NotPlayed
    from deploy.demo.run import run

    mongo = os.environ.get("WISHGRID_MONGO")
    try:
        kafka = access_in(os.environ)
        code = run(once=once, folder=folder, kafka=kafka, mongo=mongo, seed=seed)
    except (InstallFirst, StartFailed, NotPlayed, ValueError) as problem:
        _fail(str(problem))
    raise typer.Exit(code)


@app.command()
def token(
    role: Annotated[Role, typer.Option(help="what the bearer is to the town")],
    sub: Annotated[str, typer.Option(help="who: an account or staff id")],
    town: Annotated[str, typer.Option(help="id of the town")],
    secrets: Annotated[Path, typer.Option(help="folder of the installation's secrets")],
    area: Annotated[list[str] | None, typer.Option(help="a subtree they see; repeatable")] = None,
    unit: Annotated[str | None, typer.Option(help="the unit they work for")] = None,
    hours: Annotated[float, typer.Option(help="how long it holds")] = 12,
) -> None:
    """Print a token for development; towns in production use their identity provider."""
    from deploy.secrets import Secrets

    if not (secrets / "signer.pem").exists():
        _fail(f"{secrets} holds no signer.pem: name the secrets folder of a local installation")
    print(Secrets(secrets).token(role, sub, town, area or [], unit, hours))


@app.command()
def secrets(
    folder: Annotated[Path, typer.Argument(help="made if it is missing; files in it are kept")],
) -> None:
    """Make secrets for development and print the settings that name them, as shell exports."""
    from deploy.secrets import Secrets

    for name, value in Secrets(folder.absolute()).ensure().environment.items():
        print(f"export {name}='{value}'")


@app.command()
def topics(
    kafka: Kafka,
    replication: Annotated[int, typer.Option(help="copies of each partition")] = 1,
    prefix: TopicPrefix = "",
    facts_topic: FactsTopic = FACTS,
    towns: TownsFolder = TOWNS,
) -> None:
    """Make the topics that are missing, those of all partners too; exit 1 if one is not as it
    must be."""
    try:
        wanted = topics_of(load_towns(towns).partners(), facts=facts_topic)
        made = asyncio.run(ensure_topics(kafka, replication, prefix=prefix, topics=wanted))
    except (ValueError, OSError) as wrong:
        _fail(str(wrong))
    except TopicNotAsWanted as wrong:
        _fail(str(wrong))
    except KafkaError as away:
        _fail(asyncio.run(why_not(kafka, away)))
    print(f"made {', '.join(made)}" if made else "all topics are there, and as they must be")


@app.command()
def lag(
    kafka: Kafka,
    mongo: Mongo,
    database_prefix: DatabasePrefix = PREFIX,
    topic_prefix: TopicPrefix = "",
    facts_topic: FactsTopic = FACTS,
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Print how far everybody who reads or relays facts is behind."""
    from rich.console import Console

    from deploy.cli.lag_table import show
    from deploy.lag import Away, Installation, measure

    try:
        found = asyncio.run(
            measure(Installation(kafka, mongo, database_prefix, topic_prefix, facts_topic))
        )
    except Away as away:
        _fail(str(away))
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        show(found, Console())


@app.command()
def verify(
    kafka: Kafka,
    mongo: Mongo,
    database_prefix: DatabasePrefix = PREFIX,
    topic_prefix: TopicPrefix = "",
    facts_topic: FactsTopic = FACTS,
    towns: TownsFolder = TOWNS,
) -> None:
    """Compare stores, topic and read model of an installation at rest; exit 1 with findings."""
    from deploy.lag import Away, Installation
    from deploy.verify import findings

    place = Installation(kafka, mongo, database_prefix, topic_prefix, facts_topic)
    try:
        found = asyncio.run(findings(place, load_towns(towns)))
    except (Away, ValueError, OSError) as problem:
        _fail(str(problem))
    for finding in found[:_SHOWN]:
        print(finding)
    if len(found) > _SHOWN:
        print(f"and {len(found) - _SHOWN} more")
    if found:
        raise typer.Exit(1)
    print("stores, topic and read model tell the same")


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
