"""The demo ends with 0 only if what the read API says is what must come out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.demo.run import HERE, run
from deploy.local.installation import ROOT
from deploy.local.servers import Servers

pytestmark = pytest.mark.stack


def test_the_demo_as_a_newcomer_runs_it_ends_with_0(stack_servers: Servers) -> None:
    given = {"WISHGRID_KAFKA": stack_servers.kafka, "WISHGRID_MONGO": stack_servers.mongo}
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "demo", "--once"],
        env={**os.environ, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "（虚构）" in ended.stdout
    assert "what is read is what was sent: 12 cases" in ended.stdout


def test_an_expectation_that_does_not_come_true_is_named_and_ends_it_with_1(
    stack_servers: Servers, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = yaml.safe_load((HERE / "loop.expected.yaml").read_text(encoding="utf-8"))
    expected["cases"]["demo-03"]["satisfaction"] = 1
    expected["by_state"]["closed"] = 5
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(expected), encoding="utf-8")
    code = run(
        once=True,
        folder=tmp_path / "home",
        kafka=stack_servers.kafka,
        mongo=stack_servers.mongo,
        expected_file=file,
    )
    told = capsys.readouterr().out
    assert code == 1
    assert "demo-03: satisfaction is 5, must be 1" in told
    assert told.count("not as it must be") == 2
