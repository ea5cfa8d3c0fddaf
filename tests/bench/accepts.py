"""Accepting: durable `POST /v1/wishes` per second, against the same server's empty endpoint.

The empty endpoint is `/livez`, the one the service really has: the same uvicorn, app and
middlewares, routed and answered by FastAPI; but no log line, no principal, no body. So that nobody
takes the price of those for the price of storing, an empty command behind the same doors as a
submission (`tests/bench/intake.py`) is measured beside it. The relay and the reactions of the
process are at work as ever: what is accepted goes to Kafka and comes back while it is measured.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from deploy.local.compose import read_compose
from deploy.local.installation import (
    Installation,
    Instance,
    argv_and_environment,
    installation,
    users_from_here,
)
from deploy.local.ports import HOST, free_ports
from deploy.local.process import Process
from deploy.local.servers import Servers
from shared.access import Role
from tests.bench.facts import town
from tests.bench.intake import EMPTY
from tests.bench.machine import ROOT, cpu_seconds
from tests.bench.rounds import Compared, Round

CONNECTIONS: Final = 256
RESIDENTS: Final = 500
"""Who submit, in turn."""


class Accepts:
    """One intake process, and both things to ask of it."""

    def __init__(self, place: Installation, intake: Instance, folder: Path, seconds: float) -> None:
        self._intake = intake
        self._folder = folder
        self._seconds = seconds
        residents = (f"bench-{n}" for n in range(RESIDENTS))
        tokens = [place.secrets.token(Role.RESIDENT, who, town().id) for who in residents]
        (folder / "tokens").write_text("\n".join(tokens))
        (folder / "body").write_text(json.dumps(a_wish(), ensure_ascii=False), encoding="utf-8")

    def ours(self) -> Round:
        """Submit wishes."""
        return self._round("/v1/wishes", 201, *self._commands())

    def peer(self) -> Round:
        """Ask for nothing; then, beside it, command nothing."""
        nothing = self._round("/livez", 200)
        command = self._round(EMPTY, 201, *self._commands())
        nothing.more["empty_command"] = asdict(command)
        return nothing

    def _commands(self) -> list[str]:
        return ["--body", str(self._folder / "body"), "--tokens", str(self._folder / "tokens")]

    def _round(self, path: str, status: int, *files: str) -> Round:
        before = cpu_seconds(self._intake.process.pid)
        said = _load(self._intake.url, path, self._seconds, *files)
        if set(said["statuses"]) != {str(status)}:
            raise RuntimeError(f"{path} answered {said['statuses']}")
        spent = cpu_seconds(self._intake.process.pid) - before
        return Round(said.pop("answers") / said.pop("seconds"), spent, said)


def _load(url: str, path: str, seconds: float, *files: str) -> dict[str, Any]:
    given = {"port": url.rpartition(":")[2], "path": path, "seconds": seconds}
    given["connections"] = CONNECTIONS
    argv = [sys.executable, "-m", "tests.bench.load", *files]
    argv += [part for name, value in given.items() for part in (f"--{name}", str(value))]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextmanager
def an_intake(servers: Servers, folder: Path, seconds: float) -> Iterator[Accepts]:
    """An intake process by itself, run as the compose file says but for the module."""
    with installation(servers, folder, name="accepts", services=[]) as place:
        compose = read_compose({**os.environ, **place.environment})
        said = users_from_here(compose, servers.passwords).instance("intake", 1)
        (port,) = free_ports(1)
        own = {"WISHGRID_INSTANCE": "intake-1", "WISHGRID_HOST": HOST, "WISHGRID_PORT": str(port)}
        _, environment = argv_and_environment(said, {**place.environment, **own})
        argv = [sys.executable, "-m", "tests.bench.intake"]
        process = Process("intake-1", argv, environment, folder / "intake.log", cwd=ROOT)
        intake = Instance("intake", f"http://{HOST}:{port}", process)
        intake.start()
        try:
            intake.wait()
            yield Accepts(place, intake, folder, seconds)
        finally:
            process.terminate(grace=30)


def over_empty_command(compared: Compared) -> float:
    """The ratio to the empty command, the median over the pairs."""
    ratios: list[float] = [
        ours.per_second / peer.more["empty_command"]["per_second"]
        for ours, peer in zip(compared.ours, compared.peer, strict=True)
    ]
    return round(statistics.median(ratios), 3)


def a_wish() -> dict[str, str]:
    """A matter as a resident writes it."""
    profile = town().profiles[0]
    kind = sorted(code for code, each in profile.kinds.items() if each.rating_asked)[0]
    return {
        "kind": kind,
        "category": sorted(profile.kinds[kind].categories)[0],
        "area": max(area.id for area in profile.areas),
        "channel": sorted(profile.channels)[0],
        "words": "3号楼一单元下水道堵了，污水流到路上，已经三天，请尽快派人来看一看。",
        "address": "3号楼2单元",
    }
