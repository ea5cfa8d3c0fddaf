"""A minute of load and faults on real servers: nothing lost, nothing doubled."""

from pathlib import Path

import pytest

from tests.chaos.faults import schedule
from tests.chaos.telling import keep, told
from tests.chaos.under_fire import run

pytestmark = pytest.mark.stack

SEED, SECONDS = 7, 60.0
AT_LEAST = 30
"""Commands that get through on the busiest machine; an idle one does some hundred times as many."""

FAULTS = 3
"""Where everything is slow, what is still down when its fault comes is left alone."""


@pytest.mark.timeout(600)
def test_a_minute_of_faults_loses_and_doubles_nothing(tmp_path: Path) -> None:
    ended = run(SEED, SECONDS)
    assert ended["violations"] == [], "\n".join(told(ended))
    planned = sorted((t, f.act) for f in schedule(SEED, SECONDS) for t in f.targets)
    met = [*ended["faults"], *ended["left_out"]]
    assert sorted((each["target"], each["act"]) for each in met) == planned
    assert len(ended["faults"]) >= FAULTS
    assert ended["acknowledged"]["total"] >= AT_LEAST
    assert ended["recovery_seconds"] is not None
    keep(tmp_path / "kept.json", [ended])
