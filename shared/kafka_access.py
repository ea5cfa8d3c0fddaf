"""How a client gets into Kafka: where it is, as whom, and whether anybody may listen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiokafka.helpers import create_ssl_context
from faststream.security import BaseSecurity, SASLScram512

MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True)
class KafkaAccess:
    """What every client is constructed with. Without a user it says no name (a broker that asks
    for one sends it away), without a CA file it speaks in the clear."""

    servers: str
    """Bootstrap servers, `host:port[,host:port]`."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """PEM certificates of who signed the brokers'."""

    def __str__(self) -> str:
        """Where it is, for messages."""
        return self.servers

    @property
    def protocol(self) -> str:
        """Kafka's name of it."""
        sasl, tls = self.user is not None, self.ca_file is not None
        if sasl:
            return "SASL_SSL" if tls else "SASL_PLAINTEXT"
        return "SSL" if tls else "PLAINTEXT"

    def options(self) -> dict[str, Any]:
        """Keyword arguments of every client of aiokafka. Raises OSError for the CA file."""
        told: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
        }
        if self.ca_file is not None:
            told["ssl_context"] = create_ssl_context(cafile=self.ca_file)
        if self.user is not None:
            told["sasl_mechanism"] = MECHANISM
            told["sasl_plain_username"] = self.user
            told["sasl_plain_password"] = self.password
        return told

    def librdkafka(self) -> dict[str, str]:
        """The same in the words of librdkafka's clients."""
        told = {"bootstrap.servers": self.servers, "security.protocol": self.protocol}
        if self.ca_file is not None:
            told["ssl.ca.location"] = str(self.ca_file)
        if self.user is not None:
            told |= {"sasl.mechanism": MECHANISM, "sasl.username": self.user}
            told["sasl.password"] = self.password or ""
        return told

    def security(self) -> BaseSecurity | None:
        """The same for FastStream's broker, beside the servers. Raises OSError for the CA file."""
        tls = None if self.ca_file is None else create_ssl_context(cafile=self.ca_file)
        if self.user is not None:
            return SASLScram512(self.user, self.password or "", ssl_context=tls)
        return None if tls is None else BaseSecurity(ssl_context=tls)


def kafka_access(
    servers: str,
    user: str | None = None,
    password_file: Path | None = None,
    ca_file: Path | None = None,
) -> KafkaAccess:
    """Read the files. Raises ValueError naming the one that is missing or says nothing."""
    if (user is None) != (password_file is None):
        raise ValueError("a user of Kafka and the file of its password are given together")
    if ca_file is not None and not ca_file.is_file():
        raise ValueError(f"{ca_file} is no file of certificates")
    password = None if password_file is None else _password(password_file)
    return KafkaAccess(servers, user, password, ca_file)


def access_in(environment: Mapping[str, str], servers: str | None = None) -> KafkaAccess | None:
    """What the environment says (the names are those of the settings); None if it names no
    servers. Raises ValueError."""
    servers = servers or environment.get("WISHGRID_KAFKA")
    if not servers:
        return None
    password_file = environment.get("WISHGRID_KAFKA_PASSWORD_FILE")
    ca_file = environment.get("WISHGRID_KAFKA_CA_FILE")
    return kafka_access(
        servers,
        environment.get("WISHGRID_KAFKA_USER") or None,
        Path(password_file) if password_file else None,
        Path(ca_file) if ca_file else None,
    )


def _password(file: Path) -> str:
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as wrong:
        raise ValueError(f"{file}: the password of Kafka does not read: {wrong}") from None
    if not password:
        raise ValueError(f"{file} holds no password")
    return password
