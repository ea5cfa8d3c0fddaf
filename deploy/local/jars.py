"""Kafka's jars, fetched once by Maven into a cache folder."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import StartFailed
from deploy.local.preflight import maven

POM = Path(__file__).with_name("pom.xml")
CACHE = Path(__file__).parents[2] / ".cache" / "kafka-4.3.1"


def kafka_jars(cache: Path = CACHE) -> Path:
    """The folder with all jars; whole or not there at all, also when two runs start at once."""
    if not cache.is_dir():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(cache.with_name(f"{cache.name}.lock")):
            if not cache.is_dir():
                _fetch(cache)
    return cache


def _fetch(cache: Path) -> None:
    part = Path(tempfile.mkdtemp(prefix=f"{cache.name}.", dir=cache.parent))
    try:
        _copy_dependencies(part)
        part.chmod(0o755)
        part.rename(cache)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy_dependencies(folder: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    argv = [maven(), "-q", "-B", "-Dstyle.color=never", "-f", str(POM), *goal]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise StartFailed(f"mvn could not fetch Kafka's jars:\n{last}")


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
