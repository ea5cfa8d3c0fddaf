"""Every setting of every service, from the environment (`WISHGRID_*`), typed."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.crash import named
from shared.kafka_access import KafkaAccess, kafka_access


class Settings(BaseSettings):
    """What a process is told. `deploy/env.example` lists the same with examples."""

    model_config = SettingsConfigDict(
        env_prefix="WISHGRID_", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    kafka: str
    """Bootstrap servers, `host:port[,host:port]`."""
    kafka_user: str | None = None
    """Who this service is to Kafka; its password is in the file. Neither: Kafka asks nobody."""
    kafka_password_file: Path | None = None
    kafka_relay_user: str | None = None
    """Who the relay of a writing service is, the only one that may write facts; the same as the
    service without it."""
    kafka_relay_password_file: Path | None = None
    kafka_ca_file: Path | None = None
    """PEM certificates of who signed the brokers'; with it Kafka is spoken to by TLS."""
    mongo: str
    """URI of the replica set."""
    database_prefix: str = "wishgrid"
    """Databases are `<prefix>_intake`, `_dispatch`, `_projections`, `_keys`, `_views` and
    `_views_<generation>`."""
    topic_prefix: str = ""
    """Before the name of each topic and consumer group: installations that share a cluster."""
    facts_topic: Annotated[str, Field(pattern=r"^wishgrid\.facts\.[a-zA-Z0-9._-]+$")] = (
        "wishgrid.facts.v1"
    )
    """The topic of facts, named without the prefix: another one after `wishgrid republish`."""
    towns: Path = Path("deploy/towns")
    """Folder of town profiles."""
    master_key_file: Path
    """32 bytes, hexadecimal: wraps the data keys. Losing it loses every sealed text."""
    index_key_file: Path
    """32 bytes, hexadecimal: hides accounts and phones in the key store."""
    token_keys_file: Path
    """JWKS with the public keys that tokens are signed with."""
    token_issuer: str
    """`iss` that tokens must carry."""
    instance: str
    """Name of this replica, unique among live ones and kept over restarts."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Where the HTTP API listens."""
    clock: Path | None = None
    """File with seconds that the clock is ahead; development and demo only."""
    environment: Literal["development", "production"] = "production"
    """Only `development` may play with the clock, or die or stop at a crash point."""
    crash_point: str | None = None
    """Where this process is to die, `name[:n]`, or to stop, `name[:n]:stop`: for tests of what a
    crash leaves behind, and of what is in hand when it is told to end."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    wait_seconds: Annotated[float, Field(gt=0, le=30)] = 5.0
    """How long `at_least` and `until` wait before they answer `not-yet`."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 15.0
    """How often a stream of changes says that it lives, when there is nothing else to say."""
    lease_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How long a relay leader that died keeps the others waiting."""
    session_timeout_seconds: Annotated[float, Field(ge=6)] = 10.0
    """How long Kafka waits for a consumer that died before others take over."""
    requests_at_once: Annotated[int, Field(ge=1)] = 1024
    """So many requests a process works on; who comes on top of them is told `overloaded`."""
    waiting_megabytes: Annotated[int, Field(ge=1)] = 32
    """So much a process holds of requests' bodies, and as much of commits in the queue."""
    queue_commits: Annotated[int, Field(ge=1)] = 4096
    """So many commits may wait for the store, those of requests, reactions and partners."""
    listeners_at_once: Annotated[int, Field(ge=1)] = 1000
    """So many streams of changes a process keeps open."""
    watchdog_seconds: Annotated[float, Field(ge=5)] = 60.0
    """How long a consumer may have something to read and read nothing; the process then ends, to
    be started again."""
    most_stories_parked: Annotated[int, Field(ge=1)] = 100
    """Of the last four times as many stories that a reader came to, no more may be parked, or it
    stands still: see `shared.breaker`. To be raised where so many really are bad."""

    @model_validator(mode="after")
    def _no_played_time_in_production(self) -> Self:
        if self.environment == "production" and self.clock is not None:
            raise ValueError("WISHGRID_CLOCK may not be set in production")
        return self

    @model_validator(mode="after")
    def _no_crash_point_in_production(self) -> Self:
        if self.crash_point is not None:
            if self.environment == "production":
                raise ValueError("WISHGRID_CRASH_POINT may not be set in production")
            named(self.crash_point)
        return self

    def kafka_access(self) -> KafkaAccess:
        """How this service gets into Kafka. Raises ValueError for a file that does not read."""
        return kafka_access(
            self.kafka, self.kafka_user, self.kafka_password_file, self.kafka_ca_file
        )

    def relay_access(self) -> KafkaAccess:
        """How its relay does. Raises ValueError for a file that does not read."""
        if self.kafka_relay_user is None and self.kafka_relay_password_file is None:
            return self.kafka_access()
        return kafka_access(
            self.kafka, self.kafka_relay_user, self.kafka_relay_password_file, self.kafka_ca_file
        )
