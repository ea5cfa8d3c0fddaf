"""How the code is laid out, and that the rules about it bite."""

import ast
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 250
SAYS_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "core"}
ONE_USER_SO_FAR = {"shared.access_log"}
"""Shared modules that only one service uses, though all are to."""

CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "importlinter"
    ]["contracts"]
}
VIOLATIONS = {
    "services-apart": ("services/dispatch/routing.py", "import services.intake.wish"),
    "shared-below": ("shared/relay.py", "import deploy.topics"),
    "services-above": ("services/projections/report_api.py", "import deploy.demo.scenario"),
    "rules-pure": ("services/dispatch/deadlines.py", "import structlog"),
    "one-mongo-seam": ("shared/lease.py", "import motor.motor_asyncio"),
}
"""Per contract a line that breaks it, and where it is added."""


def modules(*packages: str) -> Iterator[tuple[str, Path]]:
    """Dotted name and file of each module below the packages."""
    for package in packages:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT).with_suffix("")
            parts = path.parts[:-1] if path.name == "__init__" else path.parts
            yield ".".join(parts), file


def imported_by(file: Path) -> set[str]:
    """Dotted names a module imports; `from a import b` names both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def users_of_shared_modules() -> dict[str, set[str]]:
    """Which services, and `shared`, import each shared module."""
    users: dict[str, set[str]] = defaultdict(set)
    for name, file in modules("shared", "services"):
        user = "shared" if name.startswith("shared") else ".".join(name.split(".")[:2])
        for used in imported_by(file) - {name}:
            users[used].add(user)
    return {name: users[name] for name, file in modules("shared") if file.stem != "__init__"}


def test_a_module_can_be_read_at_one_sitting() -> None:
    lines = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for _, file in modules("shared", "services")
    }
    assert {f: n for f, n in lines.items() if n > MOST_LINES} == {}


def test_a_module_is_named_by_what_it_is_for() -> None:
    names = {name for name, _ in modules("shared", "services", "deploy")}
    assert {name for name in names if SAYS_NOTHING & set(name.split("."))} == set()


def test_every_module_says_what_it_is_for() -> None:
    silent = {
        name
        for name, file in modules("shared", "services", "deploy")
        if not ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert silent == set()


def test_what_is_shared_is_shared() -> None:
    users = users_of_shared_modules()
    lonely = {name for name, who in users.items() if "shared" not in who and len(who) < 2}
    assert lonely == ONE_USER_SO_FAR


def test_every_import_contract_has_a_violation_to_try_it_with() -> None:
    assert VIOLATIONS.keys() == CONTRACTS.keys()


@pytest.fixture(scope="module")
def copy_of_the_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("tree")
    for package in ("shared", "services", "deploy"):
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__", "*.jar")
        )
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache", "--contract", contract],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_an_import_contract_bites(copy_of_the_tree: Path, contract: str) -> None:
    place, line = VIOLATIONS[contract]
    file = copy_of_the_tree / place
    before = file.read_text(encoding="utf-8") if file.exists() else None
    file.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        broken = lint(copy_of_the_tree, contract)
    finally:
        file.unlink() if before is None else file.write_text(before, encoding="utf-8")
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert f"{CONTRACTS[contract]['name']} BROKEN" in broken.stdout
    assert f"{line.removeprefix('import ').split('.')[0]}" in broken.stdout.partition("BROKEN")[2]


def test_rules_stay_pure_as_they_are(copy_of_the_tree: Path) -> None:
    kept = lint(copy_of_the_tree, "rules-pure")
    assert kept.returncode == 0, kept.stdout + kept.stderr
    assert f"{CONTRACTS['rules-pure']['name']} KEPT" in kept.stdout


@pytest.mark.parametrize("rules", CONTRACTS["rules-pure"]["source_modules"])
def test_the_modules_that_must_stay_pure_exist(rules: str) -> None:
    assert rules in {name for name, _ in modules("shared", "services")}
