"""Appending: our event store at 64 callers, against `eventsourcing` on PostgreSQL.

Each append is one new stream with one fact, durable when it returns: `w: majority, j: true` here,
fsync and synchronous commit there. Ours makes and encodes each commit within the measurement;
the peer is given events as they are stored, at the number of threads at which it is fastest.
"""

import asyncio
import itertools
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop

from deploy.local.servers import Servers
from shared.contracts.base import CommandId, ProfileVersion, StoryId, TownId
from shared.contracts.recorded import stream_id
from shared.contracts.registry import AnyFact
from shared.mongo import connect, database
from shared.mongo_store import MongoStore
from shared.store import Cause, Commit, History
from tests.bench.facts import history
from tests.bench.machine import ROOT
from tests.bench.rounds import Round

CALLERS: Final = 64
THREADS: Final = (1, 4, 8, 16, 32, 64)
PEER: Final = Path(__file__).with_name("eventsourcing_append.py")

_NUMBERS = itertools.count()


class Append:
    """Both stores, each with its callers."""

    def __init__(self, servers: Servers, peer: "subprocess.Popen[str]", seconds: float) -> None:
        self._servers = servers
        self._peer = peer
        self._seconds = seconds
        self.threads = THREADS[-1]
        self.tried: dict[int, float] = {}

    def find_best(self, seconds: float) -> None:
        """Try the peer at each number of threads and keep the best."""
        for threads in THREADS:
            self.threads = threads
            self.tried[threads] = round(self._asked(seconds)["per_second"], 1)
        self.threads = max(self.tried, key=self.tried.__getitem__)

    def ours(self) -> Round:
        """64 callers in one process, each waiting for its own append."""
        return uvloop.run(self._appended())

    def peer(self) -> Round:
        """The peer at its best."""
        said = self._asked(self._seconds)
        return Round(said["per_second"], said["cpu_seconds"])

    def _asked(self, seconds: float) -> dict[str, Any]:
        if self._peer.stdin is None or self._peer.stdout is None:
            raise RuntimeError("the peer has no pipes")
        self._peer.stdin.write(json.dumps({"threads": self.threads, "seconds": seconds}) + "\n")
        self._peer.stdin.flush()
        said: dict[str, Any] = json.loads(self._peer.stdout.readline())
        return said

    async def _appended(self) -> Round:
        client = connect(self._servers.mongo)
        name = f"append_{uuid.uuid4().hex[:8]}"
        store, fact = MongoStore(database(client, name)), a_fact()
        await store.prepare()
        stored, end = 0, time.perf_counter() + self._seconds

        async def caller() -> None:
            nonlocal stored
            while time.perf_counter() < end:
                await store.append(a_commit(fact))
                stored += 1

        start, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        per_second = stored / (time.perf_counter() - start)
        spent = time.process_time() - cpu
        await client.drop_database(name)
        client.close()
        group = round(store.group.inserted / store.group.flushed, 1)
        return Round(per_second, spent, {"commits_per_flush": group})


@contextmanager
def append(servers: Servers, python: Path, seconds: float) -> Iterator[tuple[Append, Any]]:
    """Both stores and the peer's settings; the peer's process ends with the context."""
    size = len(a_fact().model_dump_json(exclude_none=True).encode())
    argv = [str(python), "-W", "ignore", str(PEER), f"--bytes={size}", f"--threads={THREADS[-1]}"]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as peer:
        if peer.stdin is None or peer.stdout is None:
            raise RuntimeError("the peer has no pipes")
        settings = json.loads(peer.stdout.readline())
        yield Append(servers, peer, seconds), {**settings, "state_bytes": size}
        peer.stdin.close()  # it ends PostgreSQL and itself


def a_fact() -> AnyFact:
    """A wish as intake records it, texts sealed."""
    return next(history(1)).fact


def a_commit(fact: AnyFact) -> Commit:
    """The first commit of a new story."""
    now, number = datetime.now(UTC), f"{next(_NUMBERS):036d}"
    return History(stream_id("wish", StoryId(number))).next(
        [fact],
        cause=Cause(CommandId(number), number),
        town=TownId("town"),
        profile=ProfileVersion("1.00000000"),
        occurred=now,
        recorded=now,
    )
