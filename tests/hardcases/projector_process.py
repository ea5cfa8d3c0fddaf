"""A projector as a process of its own that stops itself with its first transaction open.

`python -m tests.hardcases.projector_process KAFKA MONGO DATABASE_PREFIX TOPIC_PREFIX TOPIC`; who
started it lets it go on by SIGCONT.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from deploy.secrets import Secrets
from services.projections.upkeep import Upkeep
from shared import log
from shared.crash import arm
from shared.serving import furnish
from shared.settings import Settings
from tests.conftest import TOWNS_FOLDER


async def main(kafka: str, mongo: str, databases: str, prefix: str, topic: str) -> None:
    """Project until killed."""
    log.configure("projections", "stopped")
    arm("projection-open:stop")
    with tempfile.TemporaryDirectory() as folder:
        secrets = Secrets(Path(folder)).ensure()
        house = furnish(
            Settings(
                kafka=kafka,
                mongo=mongo,
                database_prefix=databases,
                topic_prefix=prefix,
                towns=TOWNS_FOLDER,
                master_key_file=secrets.folder / "master.key",
                index_key_file=secrets.folder / "index.key",
                token_keys_file=secrets.folder / "token-keys.json",
                session_timeout_seconds=6.0,
                instance="stopped",
                token_issuer="test",
            )
        )
        upkeep = Upkeep(house, topic, instance="stopped")
        await upkeep.prepare()
        await upkeep.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
