"""The demo ends with 0 only if what the place report says is what was published."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.demo.plan import Plan, Step
from deploy.demo.run import HERE, run
from deploy.local.installation import ROOT
from deploy.local.servers import Servers

pytestmark = pytest.mark.stack

FIGURES = [
    {"name": "events received", "kind": "event", "numbers": ["received"], "figure": 2},
    {"name": "events handed over", "kind": "event", "handed_over": True, "figure": 2},
    {"name": "events closed", "kind": "event", "numbers": ["closed"], "figure": 2},
    {"name": "wishes received", "kind": "wish", "numbers": ["received"], "figure": 3},
    {"name": "wishes resolved", "kind": "wish", "numbers": ["resolved"], "figure": 3},
    {"name": "wishes open", "kind": "wish", "numbers": ["open"], "figure": 0},
    {"name": "appeals resolved", "kind": "appeal", "numbers": ["resolved"], "figure": 4},
    {"name": "quick", "kind": "appeal", "numbers": ["on_the_spot", "fast"], "figure": 4},
    {
        "name": "categories",
        "kind": "appeal",
        "categories": ["property", "sanitation", "family", "repairs"],
        "figure": 4,
    },
]
"""Of the small town below."""


@pytest.mark.timeout(900)
def test_the_demo_as_a_newcomer_runs_it_ends_with_0(stack_servers: Servers) -> None:
    given = {"WISHGRID_KAFKA": stack_servers.kafka.servers, "WISHGRID_MONGO": stack_servers.mongo}
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", "demo", "--once"],
        env={**os.environ, **given},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for told in (
        "（虚构）",
        "689 of 689 steps",
        "every case, person, text and time",
        "thresholds that are ours",
        "what is read is what was published: 14 figures, line by line",
    ):
        assert told in ended.stdout


@pytest.mark.parametrize(
    ("drop", "named"),
    [
        (
            lambda step: step.verb == "submit" and step.via == "kafka",
            [
                "events received: 1, published 2 (says events received)",
                "events handed over: 1, published 2 (says events handed over)",
                "events closed: 1, published 2 (says events closed)",
            ],
        ),
        (
            lambda step: step.verb == "resolve" and step.ref == "t3-03-001",
            [
                "wishes resolved: 2, published 3 (says wishes resolved)",
                "wishes open: 1, published 0 (says wishes open)",
            ],
        ),
    ],
    ids=["a submission", "a resolution"],
)
def test_what_never_happened_is_named_by_its_line_and_ends_it_with_1(
    stack_servers: Servers,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    drop: Callable[[Step], bool],
    named: list[str],
) -> None:
    def without(plan: Plan) -> Plan:
        return plan.without(next(step for step in plan.steps if drop(step)))

    code = run(
        once=True,
        folder=tmp_path / "home",
        kafka=stack_servers.kafka,
        mongo=stack_servers.mongo,
        scenario_file=small_town(tmp_path),
        published_file=small_figures(tmp_path),
        alter=without,
    )
    told = capsys.readouterr().out.splitlines()
    wrong = [line.split("  ", 1)[1] for line in told if line.startswith("not as published")]
    assert wrong == named
    assert code == 1


def small_town(folder: Path) -> Path:
    """The scenario with one matter of each group: the whole plan takes too long to play thrice."""
    said: dict[str, Any] = yaml.safe_load((HERE / "t3.yaml").read_text(encoding="utf-8"))
    for group in said["groups"]:
        group["count"] = {next(iter(group["count"])): 1}
    return written(folder / "small.yaml", said)


def small_figures(folder: Path) -> Path:
    """What would have been published of it."""
    figures = [{**each, "says": f"says {each['name']}"} for each in FIGURES]
    return written(folder / "small.published.yaml", {"area": "t3/west", "figures": figures})


def written(file: Path, said: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(said), encoding="utf-8")
    return file
