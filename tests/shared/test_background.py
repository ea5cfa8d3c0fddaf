"""A process that has lost a part of itself ends, and says by its status that it wants to live."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from shared.background import Died, in_background


async def fails() -> None:
    raise RuntimeError("a bug")


async def returns() -> None:
    return


async def is_cancelled_from_within() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize("job", [fails, returns, is_cancelled_from_within])
async def test_a_job_that_ends_in_whatever_way_ends_the_process(
    job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    ended = asyncio.Event()

    def kill(*said: int) -> None:
        told.append((said[0], said[1]))
        ended.set()

    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(Died, match=job.__name__):
        async with in_background(job(), lives()):
            await ended.wait()
    assert told == [(os.getpid(), signal.SIGTERM)]


async def test_jobs_that_are_told_to_end_are_no_deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("nobody died"))

    async def stumbles() -> None:
        try:
            await lives()
        finally:
            raise RuntimeError("on the way out")

    async with in_background(lives(), stumbles()):
        await asyncio.sleep(0)


def lives() -> Coroutine[Any, Any, Any]:
    return asyncio.Event().wait()


SERVICE = """
import asyncio, os, signal, sys, threading, time
from contextlib import asynccontextmanager
from fastapi import APIRouter, FastAPI
import shared.serving as serving, shared.http_server as http_server
from shared.background import in_background
from shared.web import create_app

async def job():
    await asyncio.sleep(0.2)
    {job}

def create(house):
    async def ready():
        return {{}}

    @asynccontextmanager
    async def lifespan(app):
        async with in_background(job()):
            yield
        {after}

    return create_app("x", APIRouter(), None, ready, {{}}, lifespan)

class Settings:
    instance, log_level, host, port = "x-1", "info", "127.0.0.1", 0
    crash_point = None

http_server.END_SECONDS = 1.0
serving.Settings = Settings
serving.furnish = lambda settings: None
serving.serve("x", create)
"""


@pytest.mark.parametrize(
    ("job", "after", "status", "said"),
    [
        ("raise RuntimeError('a bug')", "pass", 1, "ended to be started anew"),
        ("os.kill(os.getpid(), signal.SIGTERM); await asyncio.sleep(9)", "pass", 0, ""),
        (
            "os.kill(os.getpid(), signal.SIGTERM); await asyncio.sleep(9)",
            "time.sleep(60)",
            1,
            "did not end in time",
        ),
        (
            "asyncio.get_running_loop().run_in_executor(None, time.sleep, 60); raise ValueError",
            "pass",
            1,
            "did not end in time",
        ),
    ],
    ids=["a job dies", "told to end", "what hangs", "a thread that hangs"],
)
def test_a_service_ends_with_a_status_its_supervisor_understands(
    job: str, after: str, status: int, said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SERVICE).format(job=job, after=after)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert said in ended.stdout
