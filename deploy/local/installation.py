"""A whole installation on this machine: topics, secrets, and instances of each service.

Commands and settings of the services are those of the compose file; only what must differ where
there are no containers is said here.
"""

import asyncio
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.compose import Compose, Service, read_compose
from deploy.local.ports import HOST, free_ports
from deploy.local.process import Process
from deploy.local.servers import Servers
from deploy.rights.job import ensure_rights
from deploy.rights.passwords import Passwords
from deploy.rights.table import partner_user, users
from deploy.secrets import Secrets
from deploy.topics import ensure_topics, topics_of
from shared.contracts.base import PartnerId
from shared.kafka import FACTS
from shared.kafka_access import KafkaAccess
from shared.town import load_towns

ROOT = Path(__file__).parents[2]
SERVICES = ("intake", "dispatch", "projections")
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Instance:
    """One process of a service; it keeps its name and port over kill and restart."""

    service: str
    url: str
    process: Process

    def ready(self) -> bool:
        """Does it say it is ready?"""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def start(self) -> None:
        """Start it; `wait` says when it is ready."""
        self.process.start()

    def wait(self) -> None:
        """Return when it is ready. Raises StartFailed with the end of its log."""
        self.process.wait_until(self.ready, READY_SECONDS)

    def restart(self) -> None:
        """End it the hard way if it still runs, and return when it is ready again."""
        self.process.kill()
        self.start()
        self.wait()


@dataclass(frozen=True)
class Installation:
    """What runs, and how to get at it."""

    servers: Servers
    secrets: Secrets
    environment: Mapping[str, str]
    folder: Path
    services: Mapping[str, tuple[Instance, ...]]

    def url(self, service: str, n: int = 0) -> str:
        """Where the n-th instance of a service answers; n may run over."""
        instances = self.services[service]
        return instances[n % len(instances)].url

    def kafka_of(self, partner: PartnerId) -> KafkaAccess:
        """How a partner gets into Kafka; where that asks for no name, like everybody."""
        servers, prefix = self.servers, self.environment["WISHGRID_TOPIC_PREFIX"]
        if servers.passwords is None or servers.outside is None:
            return servers.kafka
        return servers.passwords.access(servers.outside, prefix + partner_user(partner))

    def instances(self) -> Iterator[Instance]:
        """All of them."""
        for instances in self.services.values():
            yield from instances


@contextmanager
def installation(
    servers: Servers,
    folder: Path,
    *,
    name: str = "",
    instances: int = 1,
    services: Sequence[str] = SERVICES,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """Topics made, services ready; they are ended when the context is left.

    `name` keeps installations apart that share the servers. `settings` are added to what the
    compose file and this machine say to every service. Logs and secrets are in `folder`.
    """
    prefix = f"{name}." if name else ""
    secrets = Secrets(folder / "secrets").ensure()
    environment = {
        "WISHGRID_ENVIRONMENT": "development",
        "WISHGRID_KAFKA": servers.kafka.servers,
        "WISHGRID_MONGO": servers.mongo,
        "WISHGRID_TOPIC_PREFIX": prefix,
        "WISHGRID_DATABASE_PREFIX": f"wishgrid{name}",
        "WISHGRID_TOWNS": str(ROOT / "deploy" / "towns"),
        **secrets.environment,
        **(settings or {}),
    }
    partners = load_towns(Path(environment["WISHGRID_TOWNS"])).partners()
    if servers.passwords is not None:
        servers.passwords.ensure(users(partners, prefix))
        asyncio.run(ensure_rights(servers.kafka, servers.passwords.folder, partners, prefix))
    facts = environment.get("WISHGRID_FACTS_TOPIC", FACTS)
    wanted = topics_of(partners, facts=facts)
    copies = max(len(servers.kafka_servers), 1)
    asyncio.run(ensure_topics(servers.kafka, copies, prefix=prefix, topics=wanted))
    compose = users_from_here(read_compose({**os.environ, **environment}), servers.passwords)
    started = _services(compose, environment, folder, instances, services)
    running = Installation(servers, secrets, environment, folder, started)
    try:
        for instance in running.instances():
            instance.start()
        for instance in running.instances():
            instance.wait()
        yield running
    finally:
        _stop([instance.process for instance in running.instances()])


def argv_and_environment(
    said: Service, here: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """What the compose file says of a service, as a process of this machine: `python` is this
    interpreter, and `here` goes before the settings of the containers."""
    program, *rest = said.command
    argv = [sys.executable if program == "python" else program, *rest]
    return argv, {**os.environ, **said.environment, **here}


def users_from_here(compose: Compose, passwords: Passwords | None) -> Compose:
    """The users that the file names, with their passwords where they are on this machine; where
    we made none, those of this process, or nobody."""

    def told(said: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for who in ("WISHGRID_KAFKA_", "WISHGRID_KAFKA_RELAY_"):
            user, file = f"{who}USER", f"{who}PASSWORD_FILE"
            if user in said and passwords is not None:
                yield file, str(passwords.file(said[user]))
            elif user in said:
                yield from ((name, os.environ.get(name, "")) for name in (user, file))

    services = {
        name: said.model_copy(
            update={"environment": {**said.environment, **dict(told(said.environment))}}
        )
        for name, said in compose.services.items()
    }
    return compose.model_copy(update={"services": services})


def _services(
    compose: Compose, here: Mapping[str, str], folder: Path, count: int, services: Sequence[str]
) -> dict[str, tuple[Instance, ...]]:
    ports = iter(free_ports(len(services) * count))
    return {
        service: tuple(
            _instance(f"{service}-{n}", compose.instance(service, n), here, next(ports), folder)
            for n in range(1, count + 1)
        )
        for service in services
    }


def _instance(
    name: str, said: Service, here: Mapping[str, str], port: int, folder: Path
) -> Instance:
    own = {"WISHGRID_INSTANCE": name, "WISHGRID_HOST": HOST, "WISHGRID_PORT": str(port)}
    argv, environment = argv_and_environment(said, {**here, **own})
    process = Process(name, argv, environment, folder / "logs" / f"{name}.log", cwd=ROOT)
    return Instance(name.rpartition("-")[0], f"http://{HOST}:{port}", process)


def _stop(processes: list[Process]) -> None:
    """Ask all to end, then wait for each: they finish what is in flight at the same time."""
    for process in processes:
        process.ask_to_end()
    for process in processes:
        process.terminate(grace=30)
