"""The settings of a Kafka on this machine that lets nobody in without a name.

What lets in and keeps out is read from the compose file. Beside its listener for services this
Kafka has the one an operator adds for partners on other hosts, by TLS.
"""

import os
from pathlib import Path
from typing import Final

from deploy.local.certificates import ensure_certificates
from deploy.local.compose import read_compose
from shared.kafka_access import MECHANISM

PARTNERS: Final = "PARTNERS"
_FROM_COMPOSE: Final = ("KAFKA_SASL_", "KAFKA_AUTHORIZER_", "KAFKA_SUPER_", "KAFKA_ALLOW_")


def security_settings(certificates: Path, host: str) -> dict[str, str]:
    """By Kafka's names of them."""
    said = read_compose({"WISHGRID_TOKEN_ISSUER": "nobody", **os.environ}).services["kafka"]
    _, server = ensure_certificates(certificates, host)
    listener = f"listener.name.{PARTNERS.lower()}"
    return {
        **{
            name.removeprefix("KAFKA_").lower().replace("_", "."): value
            for name, value in said.environment.items()
            if name.startswith(_FROM_COMPOSE)
        },
        # The broker's own list of users is for the house.
        f"{listener}.sasl.enabled.mechanisms": MECHANISM,
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": str(server.absolute()),
    }
