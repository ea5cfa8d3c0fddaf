"""The environment of the peers: made once from `peers.txt`, apart from ours, kept in `.cache`."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.bench.machine import ROOT

REQUIREMENTS: Final = Path(__file__).with_name("peers.txt")


def peers_python() -> Path:
    """Its interpreter. Raises RuntimeError with pip's last words when it cannot be made."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = ROOT / ".cache" / f"bench-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"peers: installing {REQUIREMENTS.name} into {folder.relative_to(ROOT)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        argv = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "-r",
            str(REQUIREMENTS),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the peers cannot be installed:\n{done.stderr[-2000:]}")
        (folder / "ready").touch()
    return python


def versions(*packages: str) -> dict[str, str]:
    """The pinned versions of these packages."""
    pins = (line.partition("==") for line in REQUIREMENTS.read_text().splitlines())
    return {name: version for name, _, version in pins if name in packages}
