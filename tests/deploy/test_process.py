"""A child process ends when it is told to, and never outlives whoever started it."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deploy.local.errors import StartFailed
from deploy.local.process import Process
from deploy.local.supervisor import supervised
from tests.deploy.gone import gone, wait_for

SLEEPER = ["sleep", "600"]

PARENT = """\
import pathlib, sys, time
from deploy.local.process import Process
child = Process("sleeper", ["sleep", "600"], None, pathlib.Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""

STUBBORN = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


def test_a_process_ends_when_asked(tmp_path: Path) -> None:
    sleeper = Process("sleeper", SLEEPER, None, tmp_path / "log")
    sleeper.start()
    assert sleeper.alive()
    sleeper.terminate()
    assert not sleeper.alive()
    assert gone(sleeper.pid)
    sleeper.terminate()


def test_a_process_that_does_not_listen_is_killed_after_the_grace(tmp_path: Path) -> None:
    stubborn = Process("stubborn", [sys.executable, "-c", STUBBORN], None, tmp_path / "log")
    stubborn.start()
    stubborn.wait_until(lambda: "deaf" in stubborn.said(), 20)
    stubborn.terminate(grace=0.2)
    assert stubborn.returncode() == -signal.SIGKILL


def test_a_process_that_is_stopped_goes_on_when_told_to(tmp_path: Path) -> None:
    sleeper = Process("sleeper", SLEEPER, None, tmp_path / "log")
    sleeper.signal(signal.SIGSTOP)  # there is none yet: nothing happens
    sleeper.start()
    sleeper.signal(signal.SIGSTOP)
    wait_for(lambda: _state(sleeper) == "T")
    sleeper.signal(signal.SIGCONT)
    wait_for(lambda: _state(sleeper) != "T")
    sleeper.kill()


def test_a_process_can_be_killed_and_started_again_and_its_log_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log"
    speaker = Process("speaker", ["sh", "-c", 'echo "$GREETING"; exec sleep 600'], None, log)
    speaker.start()
    speaker.wait_until(lambda: speaker.said() == "\n", 20)
    first = speaker.pid
    speaker.kill()
    speaker.start()
    speaker.wait_until(lambda: speaker.said() == "\n", 20)
    speaker.kill()
    assert gone(first)
    assert log.read_text() == "\n\n"


def test_environment_and_folder_are_the_given_ones(tmp_path: Path) -> None:
    env = {"GREETING": "hello", "PATH": "/usr/bin:/bin"}
    speaker = Process(
        "speaker", ["sh", "-c", 'echo "$GREETING"; pwd'], env, tmp_path / "log", tmp_path
    )
    speaker.start()
    wait_for(lambda: not speaker.alive())
    assert speaker.said() == f"hello\n{tmp_path}\n"


def test_a_start_that_fails_names_the_log_and_its_last_lines(tmp_path: Path) -> None:
    failing = Process("failing", ["sh", "-c", "echo no room; exit 3"], None, tmp_path / "log")
    failing.start()
    with pytest.raises(StartFailed) as failed:
        failing.wait_until(lambda: False, 20)
    assert str(failed.value) == (
        f"failing ended with status 3; log {tmp_path / 'log'} ends with:\n  no room"
    )


def test_a_start_that_takes_too_long_fails(tmp_path: Path) -> None:
    sleeper = Process("sleeper", SLEEPER, None, tmp_path / "log")
    sleeper.start()
    with pytest.raises(StartFailed, match=r"^sleeper was not ready after 0\.1 s; log "):
        sleeper.wait_until(lambda: False, 0.1)
    sleeper.kill()


def test_a_process_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child)
        parent.kill()
    wait_for(lambda: gone(child))


def test_a_process_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    argv = ["sh", "-c", "echo up; exec sleep 600"]
    sleeper = Process("sleeper", argv, None, tmp_path / "log")

    def start() -> None:
        sleeper.start()
        sleeper.wait_until(lambda: sleeper.said() == "up\n", 20)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with pytest.raises(StartFailed, match="was not ready"):
        sleeper.wait_until(lambda: False, 0.3)
    assert sleeper.alive()
    sleeper.kill()


def test_what_ends_by_itself_under_a_supervisor_is_started_again_and_no_more_after_it(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    mortal = Process("mortal", ["sh", "-c", "echo up; exec sleep 0.3"], None, log)
    mortal.start()
    with supervised([mortal]):
        wait_for(lambda: log.read_text().count("up") >= 3)
    wait_for(lambda: not mortal.alive())
    assert not mortal.alive()
    said = log.read_text()
    mortal.terminate()
    assert log.read_text() == said


def _state(process: Process) -> str:
    """As the kernel has it: R, S, T for stopped …"""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
