"""The passwords of Kafka's users: one file each in a folder, and what the broker needs to start."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.rights.table import ADMIN
from deploy.secrets import write_once
from shared.kafka_access import KafkaAccess, kafka_access

BROKER: Final = "broker"
"""The folder in the folder for what the broker's process reads: its group may, too."""
JAAS: Final = "kafka-server.jaas"
CLIENT: Final = "admin.properties"

# The broker must know one user before any can be made in it; all others it keeps itself (SCRAM).
_JAAS: Final = """\
KafkaServer {{
  org.apache.kafka.common.security.plain.PlainLoginModule required
    username="{user}" password="{password}" user_{user}="{password}";
  org.apache.kafka.common.security.scram.ScramLoginModule required;
}};
"""
_CLIENT: Final = """\
security.protocol=SASL_PLAINTEXT
sasl.mechanism=PLAIN
sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
username="{user}" password="{password}";
"""


@dataclass(frozen=True)
class Passwords:
    """`<user>.password` for each user in `folder`; `broker/` holds what the broker starts with."""

    folder: Path

    def file(self, user: str) -> Path:
        """Where the password of a user is, made or not."""
        return self.folder / f"{user}.password"

    @property
    def jaas(self) -> Path:
        """Where the broker's own list of users is, the admin alone."""
        return self.folder / BROKER / JAAS

    def access(self, kafka: KafkaAccess, user: str) -> KafkaAccess:
        """How this user gets into that Kafka. Raises ValueError when its password does not
        read."""
        return kafka_access(kafka.servers, user, self.file(user), kafka.ca_file)

    def ensure(self, users: Iterable[str]) -> tuple[str, ...]:
        """Make the passwords that are missing, readable by their owner alone, the admin's too,
        and write the broker's files anew; the names of those that were made. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = tuple(
            user
            for user in (ADMIN, *users)
            if write_once(self.file(user), secrets.token_hex(32).encode())
        )
        self._tell_broker(self.file(ADMIN).read_text(encoding="utf-8").strip())
        return made

    def _tell_broker(self, password: str) -> None:
        home = self.folder / BROKER
        home.mkdir(exist_ok=True, mode=0o750)
        for name, text in ((JAAS, _JAAS), (CLIENT, _CLIENT)):
            # In place, so that a group that was let in stays so.
            write_once(home / name, b"", mode=0o640)
            said = text.format(user=ADMIN, password=password)
            (home / name).write_text(said, encoding="utf-8")
