"""Options that several commands have: where an installation is, and how its names begin."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from shared.kafka_access import KafkaAccess, access_in


def _access(servers: str) -> KafkaAccess:
    try:
        access = access_in(os.environ, servers)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        raise typer.Exit(1) from None
    return access or KafkaAccess(servers)


Kafka = Annotated[
    KafkaAccess,
    typer.Option(
        envvar="WISHGRID_KAFKA",
        metavar="HOST:PORT",
        parser=_access,
        help="bootstrap servers; as whom is said by WISHGRID_KAFKA_USER and _PASSWORD_FILE",
    ),
]
"""The option of every command that speaks to Kafka."""

Mongo = Annotated[str, typer.Option(envvar="WISHGRID_MONGO", help="URI of the replica set")]
DatabasePrefix = Annotated[str, typer.Option(envvar="WISHGRID_DATABASE_PREFIX")]
TopicPrefix = Annotated[str, typer.Option(envvar="WISHGRID_TOPIC_PREFIX")]
FactsTopic = Annotated[
    str,
    typer.Option(envvar="WISHGRID_FACTS_TOPIC", help="of facts, named without the prefix"),
]
TownsFolder = Annotated[
    Path, typer.Option(envvar="WISHGRID_TOWNS", help="folder of towns and their profiles")
]
PREFIX: Final = "wishgrid"
"""Databases begin so unless they are named otherwise."""
TOWNS: Final = Path("deploy/towns")
