"""What every service process is made of, before it becomes intake, dispatch or projections."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NoReturn

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError, PyMongoError

from shared import log as logging
from shared.access import Doorkeeper, read_api_keys, read_signers
from shared.clock import Clock, clock_from
from shared.crash import arm
from shared.http_server import CANNOT_START, Server
from shared.kafka_access import KafkaAccess
from shared.mongo import Client, Database, connect, database
from shared.room import MEGABYTE, Room
from shared.sealing import InstallationKeys, installation_keys
from shared.settings import Settings
from shared.town import Towns, load_towns
from shared.watchdog import Watch, Watchdog

LEAVE_SECONDS: Final = 24.0
"""A batch in flight has 20 s of it (`shared.kafka.broker`); less than the end of the process."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class House:
    """Settings, towns, secrets, clock, the way into Kafka (for a writing service's relay its own)
    and the MongoDB client of one process."""

    settings: Settings
    towns: Towns
    secrets: InstallationKeys
    doorkeeper: Doorkeeper
    clock: Clock
    kafka: KafkaAccess
    relay_kafka: KafkaAccess
    mongo: Client

    def database(self, name: str) -> Database:
        """The database `<prefix>_<name>`."""
        return database(self.mongo, f"{self.settings.database_prefix}_{name}")

    def in_kafka(self, name: str) -> str:
        """The name of a topic or consumer group in this installation."""
        return self.settings.topic_prefix + name

    @property
    def facts(self) -> str:
        """The topic of facts."""
        return self.in_kafka(self.settings.facts_topic)

    @property
    def room(self) -> Room:
        """For so much at a time."""
        settings = self.settings
        return Room(settings.requests_at_once, settings.waiting_megabytes * MEGABYTE)

    def watchdog(self, watched: Callable[[], Iterable[Watch]]) -> Watchdog:
        """Looks after consumers, those there are at a time."""
        return Watchdog(self.kafka, self.settings.watchdog_seconds, watched)

    @property
    def member(self) -> str:
        """The name of this replica among the readers of facts, another one for another topic: who
        comes back under its old name is given partitions of its old topic."""
        return f"{self.settings.instance}.{self.settings.facts_topic}"


def furnish(settings: Settings) -> House:
    """Read all files a process needs. Raises ValueError naming the file that does not read."""
    towns = load_towns(settings.towns)
    secrets = installation_keys(settings.master_key_file, settings.index_key_file)
    doorkeeper = Doorkeeper(
        read_signers(settings.token_keys_file),
        settings.token_issuer,
        read_api_keys(settings.towns),
        secrets,
        towns.keys(),
    )
    return House(
        settings,
        towns,
        secrets,
        doorkeeper,
        clock_from(settings.clock),
        kafka=settings.kafka_access(),
        relay_kafka=settings.relay_access(),
        mongo=connect(settings.mongo),
    )


async def register_profiles(home: Database, towns: Towns) -> None:
    """Remember every profile by its digest. Raises ValueError when a known one was edited."""
    for name, digest in towns.versions().items():
        with contextlib.suppress(DuplicateKeyError):
            await home["profiles"].insert_one({"_id": name, "digest": digest})
        known = await home["profiles"].find_one({"_id": name})
        if known is None or known["digest"] != digest:
            raise ValueError(
                f"profile {name} was edited: this database knows another digest; "
                f"write the change as the next profile"
            )


class Joined:
    """Starts a FastStream broker, again and again while Kafka is away: HTTP need not wait."""

    def __init__(self, broker: KafkaBroker, kafka: KafkaAccess) -> None:
        self._broker = broker
        self._kafka = kafka
        self.yes = False
        """Whether its consumers have joined their groups once."""

    async def run(self) -> None:
        """Start the broker; stop it when cancelled, after the batch in flight."""
        try:
            while not self.yes:
                try:
                    await self._reached()
                    await self._broker.start()
                    self.yes = True
                except (KafkaError, OSError) as failed:
                    log.warning("Kafka is away", error=f"{type(failed).__name__}: {failed}")
                    await asyncio.sleep(1)
            await asyncio.Event().wait()
        finally:
            # Kafka that hangs hears neither of what was handled nor that we leave.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broker.stop(), LEAVE_SECONDS)

    async def _reached(self) -> None:
        """By a client that is closed again: a producer that could not start FastStream forgets,
        unclosed, and each is an error in the log. Raises KafkaError."""
        client = AIOKafkaClient(**self._kafka.options())
        try:
            await client.bootstrap()
        finally:
            await client.close()


async def answers(mongo: Client) -> bool:
    """Whether MongoDB has a primary that answers within two seconds."""
    try:
        await asyncio.wait_for(mongo.admin.command("ping"), timeout=2)
    except (PyMongoError, TimeoutError):
        return False
    return True


def serve(service: str, create: Callable[[House], FastAPI]) -> None:
    """Run a service until SIGTERM, and end with status 0; what is in flight is finished first.
    What it cannot start with ends it with status 2 and one line that says why; with status 1 it
    ends when it has to be started anew."""
    logging.configure(service, os.environ.get("WISHGRID_INSTANCE", "unnamed"))
    try:
        settings = Settings()  # filled from the environment
        logging.configure(service, settings.instance, settings.log_level)
        if settings.crash_point is not None:
            log.warning(
                "this process is going to die or stop at a crash point", at=settings.crash_point
            )
            arm(settings.crash_point)
        app = create(furnish(settings))
    except CANNOT_START as wrong:
        _cannot_start(wrong)
    server = Server(app, settings.host, settings.port)
    _spare_what_stays()
    try:
        server.run()
    except KeyboardInterrupt:
        return
    except SystemExit:
        if server.refused is not None:
            _cannot_start(server.refused)
        if server.broken is None:
            raise
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending
    if server.broken is not None:
        log.critical("ended to be started anew", reason=str(server.broken))
        sys.exit(1)


def _spare_what_stays() -> None:
    """Modules, types and the app live as long as the process: the garbage collector need not walk
    them again and again, nor look for cycles at every few hundred facts or requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _cannot_start(wrong: Exception) -> NoReturn:
    log.critical("cannot start", reason=reason(wrong))
    sys.exit(2)


def reason(wrong: Exception) -> str:
    """One sentence; settings by the name the operator knows them by, and without their values."""
    if isinstance(wrong, PyMongoError):
        return f"MongoDB does not answer: {type(wrong).__name__}"
    if not isinstance(wrong, ValidationError):
        return str(wrong)
    return "; ".join(
        f"WISHGRID_{'.'.join(map(str, error['loc'])).upper()}: {error['msg']}"
        if error["loc"]
        else error["msg"]
        for error in wrong.errors()
    )
