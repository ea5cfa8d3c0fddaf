"""Crash points: armed only where a test says so, and deadly."""

import ast
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.crash import POINTS, named, reached
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
DIES_THE_THIRD_TIME = """\
from shared.crash import arm, reached
arm("stored:3")
for n in range(1, 5):
    reached("decided")
    print(n, flush=True)
    reached("stored")
"""


def test_a_process_dies_where_and_when_it_is_armed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", DIES_THE_THIRD_TIME],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "1\n2\n3\n"), ended.stderr


def test_a_process_that_is_not_armed_lives_on() -> None:
    for point in POINTS:
        reached(point)


def test_a_point_is_named_with_the_time_it_is_reached() -> None:
    assert (named("stored"), named("in-rebalance:12")) == (("stored", 1), ("in-rebalance", 12))


@pytest.mark.parametrize("text", ["", "nowhere", "stored:", "stored:0", "stored:x", "stored:-1"])
def test_what_is_no_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no crash point|no number of times"):
        named(text)


def settings(**said: str) -> Settings:
    given = {
        "kafka": "127.0.0.1:1",
        "mongo": "mongodb://127.0.0.1:1",
        "master_key_file": "m",
        "index_key_file": "i",
        "token_keys_file": "t",
        "token_issuer": "test",
        "instance": "test-1",
    }
    return Settings.model_validate({**given, **said})


def test_production_dies_at_no_point() -> None:
    with pytest.raises(ValidationError, match="WISHGRID_CRASH_POINT may not be set in production"):
        settings(crash_point="stored")
    assert settings(crash_point="stored", environment="development").crash_point == "stored"
    with pytest.raises(ValidationError, match="there is no crash point nowhere"):
        settings(crash_point="nowhere", environment="development")


def test_every_point_is_somewhere_in_the_code() -> None:
    found: Counter[str] = Counter()
    for package in ("shared", "services"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(func=ast.Name("reached"), args=[ast.Constant(str(name))]):
                        found[name] += 1
    assert found.keys() == set(POINTS)
    assert {name for name, times in found.items() if times > 1} == {"in-rebalance"}
