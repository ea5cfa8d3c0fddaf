"""Instances of projections alone, as processes, and somebody who listens to them."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from httpx import AsyncClient, Limits

from deploy.local.installation import ROOT, Instance
from deploy.local.ports import HOST, free_ports
from deploy.local.process import Process
from deploy.local.servers import Servers
from deploy.secrets import Secrets
from deploy.topics import Topic, ensure_topics
from shared.access import Role
from shared.contracts.base import TownId
from shared.kafka import FACTS
from shared.sealing import installation_keys
from tests.conftest import TOWNS_FOLDER, until

HEARTBEAT_SECONDS = 1.0


@dataclass
class Event:
    """One event as it came, comments too (their kind is empty)."""

    kind: str
    data: Any
    id: str | None


@dataclass
class Stream:
    """What somebody heard so far."""

    events: list[Event] = field(default_factory=list)
    last: str | None = None
    """The last id, as a browser would send it back."""
    ended: bool = False

    def told(self, kind: str = "change") -> list[Any]:
        """The data of all events of a kind."""
        return [event.data for event in self.events if event.kind == kind]

    def stories(self) -> set[str]:
        """Of which stories they were told."""
        return {data["story"] for data in self.told()}

    async def until(self, held: Callable[["Stream"], bool], what: str) -> None:
        """Return as soon as it is so."""
        await until(lambda: held(self), what)

    async def read(self, lines: AsyncIterator[str]) -> None:
        """Take events until the stream ends."""
        said: dict[str, str] = {}
        async for line in lines:
            if line:
                name, _, value = line.partition(":")
                said[name] = value.strip()
                continue
            self.last = said.get("id", self.last)
            data = json.loads(said["data"]) if "data" in said else None
            self.events.append(Event(said.get("event", ""), data, said.get("id")))
            said = {}
        self.ended = True


@dataclass
class Readers:
    """Instances that project one topic into one read model, on prefixes of their own."""

    instances: list[Instance]
    secrets: Secrets
    topic: str
    databases: str

    def token(
        self, role: Role, sub: str = "listener", areas: Sequence[str] = (), unit: str | None = None
    ) -> str:
        """What somebody signs in with."""
        return self.secrets.token(role, sub, "t3", list(areas), unit)

    def account_index(self, account: str) -> str:
        """Under which the key store knows an account."""
        files = (self.secrets.folder / f"{name}.key" for name in ("master", "index"))
        return installation_keys(*files).blind(TownId("t3"), "account", account)

    @asynccontextmanager
    async def listening(
        self,
        token: str,
        n: int = 0,
        last: str | None = None,
        client: AsyncClient | None = None,
    ) -> AsyncIterator[Stream]:
        """Somebody listens to the n-th instance; it has answered when the block begins."""
        headers = {"Authorization": f"Bearer {token}"}
        if last is not None:
            headers["Last-Event-ID"] = last
        url = f"{self.instances[n].url}/v1/changes"
        async with a_client(client) as http, http.stream("GET", url, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            assert answer.headers["content-type"].startswith("text/event-stream")
            stream = Stream()
            task = asyncio.create_task(stream.read(answer.aiter_lines()))
            try:
                await stream.until(lambda s: bool(s.events), "the stream is open")
                yield stream
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def a_client(given: AsyncClient | None = None) -> AsyncIterator[AsyncClient]:
    """A client with room for everybody."""
    if given is not None:
        yield given
        return
    async with AsyncClient(timeout=60, limits=Limits(max_connections=None)) as client:
        yield client


@contextmanager
def readers(servers: Servers, folder: Path, count: int = 2) -> Iterator[Readers]:
    """Start them; they are ready when the block begins, and ended after it."""
    secrets = Secrets(folder / "secrets").ensure()
    prefix = f"live{uuid.uuid4().hex[:8]}"
    topics = [Topic(FACTS, 6)]
    asyncio.run(ensure_topics(servers.kafka, prefix=f"{prefix}.", topics=topics))
    settings = {
        **os.environ,
        **secrets.environment,
        "WISHGRID_ENVIRONMENT": "development",
        "WISHGRID_KAFKA": servers.kafka.servers,
        "WISHGRID_MONGO": servers.mongo,
        "WISHGRID_TOPIC_PREFIX": f"{prefix}.",
        "WISHGRID_DATABASE_PREFIX": f"test_{prefix}",
        "WISHGRID_TOWNS": str(TOWNS_FOLDER),
        "WISHGRID_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
        "WISHGRID_SESSION_TIMEOUT_SECONDS": "6",
        "WISHGRID_HOST": HOST,
    }
    instances = [
        _instance(f"{prefix}-{n}", port, settings, folder)
        for n, port in enumerate(free_ports(count))
    ]
    try:
        for instance in instances:
            instance.start()
        for instance in instances:
            instance.wait()
        yield Readers(instances, secrets, f"{prefix}.{FACTS}", f"test_{prefix}")
    finally:
        for instance in instances:
            instance.process.terminate(grace=30)


def _instance(name: str, port: int, settings: dict[str, str], folder: Path) -> Instance:
    own = {"WISHGRID_INSTANCE": name, "WISHGRID_PORT": str(port)}
    argv = [sys.executable, "-m", "services.projections.app"]
    process = Process(name, argv, {**settings, **own}, folder / f"{name}.log", cwd=ROOT)
    return Instance("projections", f"http://{HOST}:{port}", process)
