"""Accepting: durable `POST /v1/wishes` per second, against the same server's empty endpoint.

The empty endpoint is `/livez`: the same uvicorn, the same app, the same middlewares, routed and
answered by FastAPI with a small JSON document; no principal, no body, no store. The relay of the
process under test is at work as ever: what is accepted goes out to Kafka while it is measured.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers
from shared.access import Role
from tests.bench.facts import town
from tests.bench.machine import ROOT, cpu_seconds
from tests.bench.rounds import Round

CONNECTIONS: Final = 256
RESIDENTS: Final = 500
"""Who submit, in turn."""


class Accepts:
    """One intake process, and both things to ask of it."""

    def __init__(self, place: Installation, folder: Path, seconds: float) -> None:
        self._place = place
        self._folder = folder
        self._seconds = seconds
        residents = (f"bench-{n}" for n in range(RESIDENTS))
        tokens = [place.secrets.token(Role.RESIDENT, who, town().id) for who in residents]
        (folder / "tokens").write_text("\n".join(tokens))
        (folder / "body").write_text(json.dumps(a_wish(), ensure_ascii=False), encoding="utf-8")

    def ours(self) -> Round:
        """Submit wishes."""
        files = ["--body", str(self._folder / "body"), "--tokens", str(self._folder / "tokens")]
        return self._round("/v1/wishes", 201, *files)

    def peer(self) -> Round:
        """Ask for nothing."""
        return self._round("/livez", 200)

    def _round(self, path: str, status: int, *files: str) -> Round:
        intake = next(self._place.instances())
        before = cpu_seconds(intake.process.pid)
        said = _load(intake.url, path, self._seconds, *files)
        if set(said["statuses"]) != {str(status)}:
            raise RuntimeError(f"{path} answered {said['statuses']}")
        spent = cpu_seconds(intake.process.pid) - before
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
    """An intake process by itself."""
    with installation(servers, folder, name="accepts", services=["intake"]) as place:
        yield Accepts(place, folder, seconds)


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
