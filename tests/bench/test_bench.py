"""The benches still run: small sizes, every key, no time asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.servers import Servers
from tests.bench.machine import ROOT

pytestmark = pytest.mark.stack


def test_a_quick_run_measures_every_figure_and_keeps_its_samples(
    stack_servers: Servers, tmp_path: Path
) -> None:
    output = tmp_path / "quick.json"
    given = {"WISHGRID_KAFKA": stack_servers.kafka.servers, "WISHGRID_MONGO": stack_servers.mongo}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--output", str(output)],
        env={**os.environ, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = json.loads(output.read_text())
    compared = ("accepts_over_empty", "replay_over_quix", "append_over_eventsourcing")
    assert all(said[key] > 0 for key in compared)
    assert said["visible_ms"]["p50"] > 0 < said["visible_ms"]["p99"]
    assert all(said["raw"][key]["ours"] and said["raw"][key]["peer"] for key in compared)
    assert said["raw"]["visible_ms"]["samples"]
    assert said["machine"]["cores"]
    assert len(said["commit"]["id"]) == 40
