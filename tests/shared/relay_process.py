"""A relay as a process of its own, which a test can stop, let go on, kill and ask to end."""

import asyncio
import signal
import sys

from shared import log
from shared.kafka_access import KafkaAccess
from shared.mongo import connect, database
from tests.conftest import cancelled
from tests.shared.line import Line


async def main(kafka: str, mongo: str, name: str, topic: str, owner: str) -> None:
    """Relay until SIGTERM; the lease is then released."""
    log.configure("relay", owner)
    client = connect(mongo)
    asked_to_end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_end.set)
    line = Line(KafkaAccess(kafka), database(client, name), topic)
    relaying = asyncio.create_task(line.relay(owner).run())
    await asked_to_end.wait()
    await cancelled(relaying)
    client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
