"""`python -m tests.chaos crash`: so many runs at every crash point; exit 0 only without violations.

Real servers, started here and ended here. A whole matrix is kept in `results/crash.json`; anything
less only where `--output` says.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from deploy.local.installation import installation
from deploy.local.servers import Servers, servers
from shared.crash import POINTS
from shared.kafka_access import access_in
from tests.bench.machine import commit, machine
from tests.chaos.crash_points import LOST_REPLY, PATIENCE_SECONDS, SETTINGS, Run, rehearsed

LATEST: Final = Path(__file__).with_name("results") / "crash.json"
WHOLE_RUNS: Final = 20
VIOLATION: Final = "violation: "
"""So begins each sentence about one."""
EVERYWHERE: Final = (*POINTS, LOST_REPLY)


def main(argv: list[str]) -> int:
    """Run, say what came of each run, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=WHOLE_RUNS, help="at each point")
    parser.add_argument("--point", choices=EVERYWHERE, action="append", help="only this one")
    parser.add_argument("--seed", type=int, default=1, help="chooses who dies, and when")
    parser.add_argument("--instances", type=int, default=2, help="of each service")
    patience = "seconds within which all must be answered once everybody is back"
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help=patience)
    parser.add_argument("--output", type=Path, help="file for the results")
    given = parser.parse_args(argv)
    whole = given.point is None and given.runs >= WHOLE_RUNS
    output: Path | None = given.output or (LATEST if whole else None)
    runs: list[Run] = []
    with (
        servers(kafka=access_in(os.environ), mongo=os.environ.get("WISHGRID_MONGO")) as running,
        tempfile.TemporaryDirectory(prefix="crash-") as folder,
    ):
        for point in given.point or EVERYWHERE:
            for run in _runs(running, Path(folder), point, given):
                runs.append(run)
                _say(run)
                if output is not None:
                    _keep(output, given, runs)
    found = sum(len(run.violations) for run in runs)
    print(f"seed {given.seed}: {len(runs)} runs, {found} violations")
    return 1 if found else 0


def _runs(running: Servers, folder: Path, point: str, given: argparse.Namespace) -> Iterator[Run]:
    """All runs at one point, in an installation of their own."""
    chance = random.Random(f"{given.seed} {point}")
    with installation(
        running,
        folder / point,
        name=f"-{os.getpid()}-{point}",
        instances=given.instances,
        settings=SETTINGS,
    ) as place:
        for n in range(1, given.runs + 1):
            yield asyncio.run(rehearsed(place, [point], f"{point}-{n}", chance, given.patience))


def _say(run: Run) -> None:
    print(
        f"{', '.join(run.where)}: {run.acknowledged} acknowledged, "
        f"{run.duplicates} duplicates so far, {len(run.violations)} violations, {run.seconds} s",
        flush=True,
    )
    for violation in run.violations:
        print(f"{VIOLATION}{violation}", file=sys.stderr, flush=True)


def _keep(output: Path, given: argparse.Namespace, runs: list[Run]) -> None:
    said = {"machine": machine(), "commit": commit(), "seed": given.seed}
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**said, "instances": given.instances, "points": as_json(runs)}, indent=1)
    output.write_text(text + "\n", encoding="utf-8")


def as_json(runs: list[Run]) -> dict[str, Any]:
    """By point: how many runs and violations, what it took, and each run."""
    by_point: dict[str, list[Run]] = {}
    for run in runs:
        by_point.setdefault(run.point, []).append(run)
    return {
        point: {
            "runs": len(each),
            "violations": sum(len(run.violations) for run in each),
            "acknowledged": sum(run.acknowledged for run in each),
            "seconds": round(sum(run.seconds for run in each), 1),
            "each": [asdict(run) for run in each],
        }
        for point, each in by_point.items()
    }
