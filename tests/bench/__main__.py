"""All figures in one run: `python -m tests.bench [--only a|b|c|d] [--quick] [--output FILE]`.

a: accepting, b: replay, c: appending, d: from accepted to visible. Real servers, started here and
ended here; peers in an environment of their own. A whole run is kept in `results/latest.json`;
a part, or a quick one, only where `--output` says.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.installation import installation
from deploy.local.servers import Servers, servers
from shared.kafka_access import access_in
from tests.bench.accepts import CONNECTIONS, RESIDENTS, an_intake, over_empty_command
from tests.bench.append import CALLERS, append
from tests.bench.machine import commit, load, machine
from tests.bench.peers import peers_python, versions
from tests.bench.replay import SINK_SETTINGS, Replay
from tests.bench.rounds import alternating
from tests.bench.visible import visible

LATEST: Final = Path(__file__).with_name("results") / "latest.json"


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 5
    accept_seconds: float = 10.0
    facts: int = 200_000
    replay_rounds: int = 3
    append_seconds: float = 4.0
    visible_seconds: float = 40.0


QUICK: Final = Size(1, 0.5, 2_000, 1, 0.3, 1.0)

Part = Callable[[Servers, Path, Size], dict[str, Any]]


def accepts(running: Servers, folder: Path, size: Size) -> dict[str, Any]:
    """(a) `POST /v1/wishes` against the empty endpoint."""
    with an_intake(running, folder, size.accept_seconds) as intake:
        intake.ours()  # warm up
        intake.peer()
        compared = alternating(intake.ours, intake.peer, size.rounds, "accepts")
    return compared.document(
        at_least=0.6,
        over_empty_command=over_empty_command(compared),
        connections=CONNECTIONS,
        residents=RESIDENTS,
    )


def replay(running: Servers, folder: Path, size: Size) -> dict[str, Any]:
    """(b) Folding a topic into all views, against copying it."""
    both = Replay(running, folder, peers_python(), size.facts)
    both.prepare()
    compared = alternating(both.ours, both.peer, size.replay_rounds, "replay")
    settings = {**SINK_SETTINGS, **versions("quixstreams", "pymongo", "confluent-kafka")}
    return compared.document(at_least=1.0, facts=size.facts, peer_settings=settings)


def appends(running: Servers, folder: Path, size: Size) -> dict[str, Any]:
    """(c) Appending at 64 callers, against the peer at its best."""
    with append(running, peers_python(), size.append_seconds) as (both, said):
        both.ours()  # warm up
        both.find_best(size.append_seconds / 2)
        print(f"appends: the peer at {both.threads} threads, of {both.tried}", flush=True)
        compared = alternating(both.ours, both.peer, size.rounds, "appends")
        settings = {**said, **versions("eventsourcing", "psycopg", "pgserver")}
        settings |= {"threads": both.threads, "tried": both.tried}
    return compared.document(at_least=3.0, callers=CALLERS, peer_settings=settings)


def seen(running: Servers, folder: Path, size: Size) -> dict[str, Any]:
    """(d) From 201 to visible."""
    patient = {"WISHGRID_WAIT_SECONDS": "30"}  # a late one is a sample, not an error
    with installation(running, folder, name="visible", settings=patient) as place:
        before = load()
        return {**visible(place, size.visible_seconds), "load_average": before}


PARTS: Final[dict[str, tuple[str, Part]]] = {
    "a": ("accepts_over_empty", accepts),
    "b": ("replay_over_quix", replay),
    "c": ("append_over_eventsourcing", appends),
    "d": ("visible_ms", seen),
}


def main(argv: list[str] | None = None) -> int:
    """Measure what is asked for, say it, keep it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS))
    parser.add_argument("--quick", action="store_true", help="small sizes: does it still run?")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(argv)
    whole = not given.quick and given.only is None
    output: Path | None = given.output or (LATEST if whole else None)
    result = measured(
        [given.only] if given.only else sorted(PARTS), QUICK if given.quick else Size()
    )
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"quick": given.quick, **result}, indent=1) + "\n")
    for key, figure in result["figures"].items():
        print(f"{key}: {json.dumps(figure)}")
    return 0


def measured(parts: list[str], size: Size) -> dict[str, Any]:
    """The figures by their keys, and all that was measured for them."""
    result: dict[str, Any] = {"machine": machine(), "commit": commit(), "size": asdict(size)}
    result |= {"figures": {}, "raw": {}}
    for part in parts:
        key, measure = PARTS[part]
        # Servers of its own for each, if none are given: none finds what another left behind.
        with (
            servers(kafka=access_in(os.environ), mongo=os.environ.get("WISHGRID_MONGO")) as running,
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ):
            raw = measure(running, Path(folder), size)
        result["raw"][key] = raw
        result["figures"][key] = raw.get("ratio") or {p: raw[p] for p in ("p50", "p99")}
    return {**result["figures"], **result}


if __name__ == "__main__":
    sys.exit(main())
