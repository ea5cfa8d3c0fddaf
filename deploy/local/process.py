"""One child process: started with a log file, ended by its own id, never left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.errors import StartFailed

TETHER = Path(__file__).with_name("tether.py")
POLL_SECONDS = 0.05

# The kernel takes the end of the thread that started a child for the end of its parent. So one
# thread that lives as long as the interpreter starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


class Process:
    """A program that can be started, ended or killed, and started again.

    `env` is the child's whole environment (None: this process's own). Its output is appended to
    `log`. It has a session of its own, so that Ctrl-C reaches it only through whoever started it,
    and it dies with the process that started it, even if that one is killed.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        log: Path,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._argv = tuple(argv)
        self._env = env
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def told(self, **more: str) -> "Process":
        """The same program with more in its environment, not started; one of both runs at a
        time."""
        before = os.environ if self._env is None else self._env
        return Process(self.name, self._argv, {**before, **more}, self.log, self._cwd)

    def start(self) -> None:
        """Start it; to be called only when it is not running."""
        if self.alive():
            raise RuntimeError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._child = _starter.submit(self._spawn).result()

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child.pid

    def alive(self) -> bool:
        """Is it running now?"""
        return self._child is not None and self._child.poll() is None

    def returncode(self) -> int | None:
        """The exit status of the last run, negative for a signal; None while it runs."""
        return None if self._child is None else self._child.poll()

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._child is not None:
            self._child.send_signal(number)

    def ask_to_end(self) -> None:
        """Send SIGTERM and return at once."""
        if self._child is not None:
            self._child.terminate()

    def terminate(self, grace: float = 10.0) -> None:
        """Ask it to end (SIGTERM), kill it after `grace` seconds; returns when it is gone."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL); returns when it is gone."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return as soon as `ready`; StartFailed if it ends or `seconds` pass before that."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive():
                raise StartFailed(self._story(f"ended with status {self.returncode()}"))
            if time.monotonic() > deadline:
                raise StartFailed(self._story(f"was not ready after {seconds:g} s"))
            time.sleep(POLL_SECONDS)

    def said(self) -> str:
        """What it has written to its log since it was started last."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _spawn(self) -> "subprocess.Popen[bytes]":
        tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid())]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*tether, *self._argv],
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _story(self, what: str, lines: int = 15) -> str:
        last = "\n".join(f"  {line}" for line in self.said().splitlines()[-lines:])
        return f"{self.name} {what}; log {self.log} ends with:\n{last}"
