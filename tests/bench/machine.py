"""What a figure was measured on, and what processes cost it."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """The machine and what runs here."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _lines("/proc/cpuinfo")
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if "MemTotal" in line)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_mb": memory // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("pymongo", "motor", "aiokafka", "uvicorn")},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit() -> dict[str, Any]:
    """The commit that was measured; `changed` names tracked files that differ from it."""
    changed = _git("status", "--porcelain", "--untracked-files=no").splitlines()
    return {"id": _git("rev-parse", "HEAD"), "changed": [line[3:] for line in changed]}


def load() -> float:
    """The load average of the last minute: what else the machine was busy with."""
    return round(os.getloadavg()[0], 2)


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines()


def _git(*argv: str) -> str:
    done = subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.rstrip()
