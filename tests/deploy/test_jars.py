"""Kafka's jars are fetched once and whole."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.local.errors import StartFailed
from deploy.local.jars import kafka_jars

FETCHES = """\
for word; do case "$word" in -DoutputDirectory=*) folder="${word#*=}";; esac; done
touch "$folder/kafka.jar"
echo run >> "$(dirname "$0")/runs"
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def maven_that(folder: Path, script: str) -> None:
    (folder / "mvn").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "mvn").chmod(0o755)


def test_two_runs_that_start_at_once_fetch_once(tools: Path, tmp_path: Path) -> None:
    maven_that(tools, FETCHES)
    cache = tmp_path / "cache" / "kafka"
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(kafka_jars, [cache, cache])) == [cache, cache]
    assert (tools / "runs").read_text() == "run\n"
    assert [each.name for each in cache.iterdir()] == ["kafka.jar"]
    assert sorted(each.name for each in cache.parent.iterdir()) == ["kafka", "kafka.lock"]


def test_a_fetch_that_fails_leaves_no_half_cache_and_says_why(tools: Path, tmp_path: Path) -> None:
    maven_that(tools, "echo '[ERROR] no network'; exit 1")
    cache = tmp_path / "cache" / "kafka"
    with pytest.raises(StartFailed, match="no network"):
        kafka_jars(cache)
    assert [each.name for each in cache.parent.iterdir()] == ["kafka.lock"]
