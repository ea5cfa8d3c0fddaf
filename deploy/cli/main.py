"""The commands of `wishgrid`. Each prints one sentence when it cannot do what it was asked."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from aiokafka.errors import KafkaError

from deploy.local.errors import InstallFirst, StartFailed
from deploy.topics import TopicNotAsWanted, ensure_topics
from shared.access import Role

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Folder = Annotated[Path | None, typer.Option(help="keep data and logs here (else temporary)")]


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="end when played")] = False,
    folder: Folder = None,
) -> None:
    """Play invented wishes of a town through real servers; exit 1 if they are not read back."""
    from deploy.demo.run import run

    kafka, mongo = os.environ.get("WISHGRID_KAFKA"), os.environ.get("WISHGRID_MONGO")
    try:
        code = run(once=once, folder=folder, kafka=kafka, mongo=mongo)
    except (InstallFirst, StartFailed) as problem:
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
    kafka: Annotated[str, typer.Option(envvar="WISHGRID_KAFKA", help="bootstrap servers")],
    replication: Annotated[int, typer.Option(help="copies of each partition")] = 1,
    prefix: Annotated[str, typer.Option(envvar="WISHGRID_TOPIC_PREFIX")] = "",
) -> None:
    """Make the topics that are missing; exit 1 if one is not as it must be."""
    try:
        made = asyncio.run(ensure_topics(kafka, replication, prefix=prefix))
    except TopicNotAsWanted as wrong:
        _fail(str(wrong))
    except KafkaError as away:
        _fail(f"Kafka at {kafka} does not answer: {type(away).__name__}")
    print(f"made {', '.join(made)}" if made else "all topics are there, and as they must be")


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
