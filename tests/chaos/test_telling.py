"""What came of a run is told in a few lines, and kept whole."""

import json
from pathlib import Path

from tests.chaos.ledger import MOST_VIOLATIONS, Ledger, Wait
from tests.chaos.telling import keep, told


def test_a_run_is_told_and_kept_with_machine_and_commit(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.waited("intake", Wait(3.21, 5.0, "submit"))
    ledger.waited("intake", Wait(1.0, 9.0, "rate"))
    ledger.violation("something was lost")
    run = {
        "seed": 7,
        "seconds": 60.0,
        "faults": [{"at": 2.0, "target": "kafka", "act": "kill", "seconds": 1.0}],
        "left_out": [{"at": 3.0, "target": "kafka", "act": "stop"}],
        "died_by_themselves": {"intake-1 2": 1},
        "recovery_seconds": 4.5,
        "records_published_again": 12,
        "violated": ledger.violated,
        "violations": ledger.violations,
        **ledger.document(),
    }
    text = "\n".join(told(run))
    for part in ("seed 7, 60 s: 0 commands", "1 faults", "1 processes", "1 faults left out"):
        assert part in text
    for part in ("12 records", "intake 3.21 s", "4.5 s after", "violations: 1", "was lost"):
        assert part in text
    keep(tmp_path / "results" / "latest.json", [run])
    kept = json.loads((tmp_path / "results" / "latest.json").read_text(encoding="utf-8"))
    assert kept["runs"] == [run]
    assert kept["machine"]["cores"]
    assert len(kept["commit"]["id"]) == 40


def test_all_violations_are_counted_and_as_many_kept_as_somebody_may_read() -> None:
    ledger = Ledger()
    for n in range(MOST_VIOLATIONS + 5):
        ledger.violation(f"{n}")
    assert ledger.violated == MOST_VIOLATIONS + 5
    assert len(ledger.violations) == MOST_VIOLATIONS
