"""What came of some runs: told to people, and kept for programs."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.machine import commit, machine

LATEST: Final = Path(__file__).with_name("results") / "latest.json"


def keep(file: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Write it, with the machine and the commit it was run on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {"machine": machine(), "commit": commit(), "runs": list(runs)}
    file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def told(run: dict[str, Any]) -> Iterator[str]:
    """One run in a few lines."""
    faults, acknowledged = run["faults"], run["acknowledged"]
    again, published = run["decided_after_being_sent_again"], run["records_published_again"]
    yield (
        f"seed {run['seed']}, {run['seconds']:g} s: {acknowledged['total']} commands acknowledged, "
        f"{len(faults)} faults, {sum(run['died_by_themselves'].values())} processes ended by "
        f"themselves"
    )
    if run["left_out"]:
        yield f"  {len(run['left_out'])} faults left out: their target was not up again yet"
    yield (
        f"  duplicates absorbed: {published} records published again, "
        f"{again} commands decided once though sent more often"
    )
    waits = run["longest_outage_seconds"].items()
    longest = ", ".join(f"{service} {wait['seconds']:g} s" for service, wait in waits)
    yield f"  longest that one client waited for an answer: {longest or 'nobody waited'}"
    recovery = run["recovery_seconds"]
    yield (
        "  after the last fault nothing went its way again"
        if recovery is None
        else f"  {recovery:g} s after the last fault all went its way again"
    )
    yield f"  violations: {run['violated']}"
    yield from (f"    {violation}" for violation in run["violations"])
