"""Crash points: armed only where a test says so, and deadly."""

import ast
import os
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


def test_a_process_stops_once_where_it_is_armed_so_and_goes_on_when_told() -> None:
    stops = DIES_THE_THIRD_TIME.replace("stored:3", "stored:3:stop")
    argv = [sys.executable, "-c", stops]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "1\n2\n3\n4\n")


def test_a_process_that_is_not_armed_lives_on() -> None:
    for point in POINTS:
        reached(point)


def test_a_point_is_named_with_the_time_it_is_reached() -> None:
    assert named("stored") == ("stored", 1, signal.SIGKILL)
    assert named("in-rebalance:12") == ("in-rebalance", 12, signal.SIGKILL)
    assert named("stored:stop") == ("stored", 1, signal.SIGSTOP)
    assert named("stored:3:stop") == ("stored", 3, signal.SIGSTOP)


@pytest.mark.parametrize(
    "text",
    ["", "nowhere", "stored:", "stored:0", "stored:x", "stored:-1", "stop", "stored::stop"],
)
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
