"""Whether a broker lets somebody in: aiokafka's clients tell a wrong password and a broker that is
away by one and the same error."""

import contextlib
from typing import Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.kafka_access import KafkaAccess

_TURNED_AWAY: Final = (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)


async def lets_in(kafka: KafkaAccess, mechanism: str | None = None) -> bool:
    """Does a broker take this user with this password? Raises KafkaError or OSError when none of
    the servers answers."""
    options = kafka.options()
    if mechanism is not None:
        options["sasl_mechanism"] = mechanism
    servers = options.pop("bootstrap_servers").split(",")
    for server in servers:
        host, _, port = server.strip().rpartition(":")
        try:
            connection = await create_conn(host, int(port), request_timeout_ms=10_000, **options)
        except _TURNED_AWAY:
            return False
        except (KafkaError, OSError):
            if server == servers[-1]:
                raise
        else:
            connection.close()
            return True
    raise AssertionError("unreachable")


async def why_not(kafka: KafkaAccess, failed: Exception) -> str:
    """One sentence about a client that failed."""
    with contextlib.suppress(KafkaError, OSError):
        if kafka.user is not None and not await lets_in(kafka):
            return f"Kafka at {kafka} does not let {kafka.user} in with this password"
    nameless = "" if kafka.user else ", or wants a name (WISHGRID_KAFKA_USER)"
    return f"Kafka at {kafka} does not answer{nameless}: {type(failed).__name__}"
