"""How a command is told where Kafka is, and as whom it comes."""

import os
import sys
from typing import Annotated

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
