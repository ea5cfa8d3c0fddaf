"""`python -m tests.chaos broken`: builds that are broken on purpose, and what catches each.

A copy of the tree is changed in one place; then a rehearsal or a test that holds here is run in
it, and must find something. What it said is kept in `results/broken.json`; exit 0 only if every
build was caught.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.servers import Servers, servers
from shared.kafka_access import access_in
from tests.bench.machine import ROOT, commit, machine
from tests.chaos.crash_matrix import VIOLATION

LATEST: Final = Path(__file__).with_name("results") / "broken.json"
_LEFT_BEHIND: Final = (".git", ".venv", ".cache", "node_modules", "__pycache__", ".*_cache")
_MOST_LINES: Final = 12
_CAUGHT: Final = (VIOLATION, "FAILED ")

Command = tuple[str, ...]
_CRASH: Final = ("tests.chaos", "crash", "--instances", "1", "--patience", "25")
_TEST: Final = ("pytest", "-q", "-x", "--no-header", "--tb=no", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Broken:
    """One text in one file that is replaced by another, and modules with their arguments that
    must find it."""

    says: str
    file: str
    before: str
    after: str
    caught_by: tuple[Command, ...]


BUILDS: Final[dict[str, Broken]] = {
    "token-before-acks": Broken(
        "the relay saves its token before Kafka has acknowledged what comes before it",
        "shared/relay.py",
        """\
            commits = await feed.next()
            if commits:
""",
        """\
            commits = await feed.next()
            await self._save(feed, force=bool(commits))
            if commits:
""",
        ((*_CRASH, "--point", "committed-before-publish", "--runs", "2"),),
    ),
    "offsets-without-compare": Broken(
        "the projector moves an offset, whatever it is by now",
        "services/projections/readmodel.py",
        """    expected = {"_id": _place(partition), "next": move.expected, "touches": move.touches}
""",
        """    expected = {"_id": _place(partition)}
""",
        ((*_TEST, "tests/projections/test_projector.py", "-k", "two_owners or lost_partition"),),
    ),
    "no-read-back": Broken(
        "an insert whose outcome is unknown is answered as done, and nobody looks",
        "shared/mongo_store.py",
        """\
        except OutcomeUnknown:
            await self._read_back(commit)
""",
        """\
        except OutcomeUnknown:
            return
""",
        (
            (*_CRASH, "--point", "reply-lost", "--runs", "3"),
            (*_TEST, "tests/shared/test_store.py", "-k", "never_arrived"),
        ),
    ),
    "unknown-is-failed": Broken(
        "an insert whose outcome is unknown is answered as if it had lost a race",
        "shared/mongo_store.py",
        """\
        except OutcomeUnknown:
            await self._read_back(commit)
""",
        """\
        except OutcomeUnknown:
            raise Conflict(commit.stream) from None
""",
        ((*_TEST, "tests/shared/test_store.py", "-k", "late or arrive"),),
    ),
    "target-not-in-id": Broken(
        "the command id of a reaction does not name its target",
        "shared/reactions.py",
        "command_id(recorded.id, reaction.policy, reaction.stream)",
        "command_id(recorded.id, reaction.policy)",
        ((*_TEST, "tests/shared/test_reactions.py", "-k", "one_target_refuses"),),
    ),
}


def broken_copy(build: Broken, tree: Path) -> None:
    """A copy of this tree with the build's one change. Raises ValueError where it does not apply:
    then the code has moved on, and the change must follow it."""
    text = (ROOT / build.file).read_text(encoding="utf-8")
    if text.count(build.before) != 1:
        raise ValueError(f"{build.file} has {text.count(build.before)} times: {build.before}")
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
    (tree / build.file).write_text(text.replace(build.before, build.after), encoding="utf-8")


def main(argv: list[str]) -> int:
    """Break, run, say what caught it, and keep it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos broken", description=__doc__)
    parser.add_argument("--build", choices=sorted(BUILDS), action="append", help="only this one")
    parser.add_argument("--output", type=Path, help="file for the results")
    given = parser.parse_args(argv)
    output: Path | None = given.output or (LATEST if given.build is None else None)
    came: dict[str, Any] = {}
    with servers(kafka=access_in(os.environ), mongo=os.environ.get("WISHGRID_MONGO")) as running:
        for name in given.build or BUILDS:
            came[name] = _rehearsed(BUILDS[name], running)
            _say(name, came[name])
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        said = {"machine": machine(), "commit": commit(), "builds": came}
        text = json.dumps(said, indent=1, ensure_ascii=False)
        output.write_text(text + "\n", encoding="utf-8")
    return 0 if all(run["caught"] for each in came.values() for run in each["runs"]) else 1


def _rehearsed(build: Broken, running: Servers) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="broken-") as folder:
        tree = Path(folder) / "tree"
        broken_copy(build, tree)
        runs = [_run(command, tree, running) for command in build.caught_by]
    return {**asdict(build), "runs": runs}


def _run(command: Command, tree: Path, running: Servers) -> dict[str, Any]:
    began = time.monotonic()
    given = {
        "WISHGRID_KAFKA": running.kafka.servers,
        "WISHGRID_MONGO": running.mongo,
        "PYTHONPATH": str(tree),
    }
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [*ended.stdout.splitlines(), *ended.stderr.splitlines()]
    told = [line.removeprefix(VIOLATION) for line in lines if line.startswith(_CAUGHT)]
    return {
        "command": " ".join(("python -m", *command)),
        "caught": ended.returncode == 1 and bool(told),
        "found": len(told),
        "said": told[:_MOST_LINES] if told else lines[-_MOST_LINES:],
        "seconds": round(time.monotonic() - began, 1),
    }


def _say(name: str, came: dict[str, Any]) -> None:
    print(f"{name}: {came['says']}")
    for run in came["runs"]:
        print(f"  {'caught' if run['caught'] else 'NOT CAUGHT'} by {run['command']}")
        for line in run["said"]:
            print(f"    {line}", flush=True)
