"""A front end in TypeScript, by types made from what the running services say of themselves."""

import json
import os
import shutil
import subprocess
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from deploy.local.installation import Installation
from shared.access import Role
from tests.journeys.conftest import TOWN

pytestmark = pytest.mark.stack

NODE = Path(__file__).parents[1] / "node"
CLIENT = NODE / "client"


@pytest.fixture(scope="module")
def documents(place: Installation) -> dict[str, Any]:
    """The OpenAPI document of each service."""
    said = {}
    for service in place.services:
        with urllib.request.urlopen(f"{place.url(service)}/openapi.json") as answer:
            said[service] = json.load(answer)
    return said


def run(folder: Path, *argv: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def typed(folder: Path, service: str, document: Any) -> None:
    """Make types of a service's document."""
    (folder / f"{service}.json").write_text(json.dumps(document))
    tool = str(folder / "node_modules" / ".bin" / "openapi-typescript")
    options = (f"{service}.json", f"--output={service}.d.ts", "--default-non-nullable=false")
    made = run(folder, tool, *options)
    assert made.returncode == 0, made.stdout + made.stderr


def compiled(folder: Path) -> subprocess.CompletedProcess[str]:
    """Compile the program with those types, strictly."""
    return run(folder, str(folder / "node_modules" / ".bin" / "tsc"), "--project", ".")


@pytest.fixture(scope="module")
def program(documents: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program's folder, with the types in it."""
    folder = tmp_path_factory.mktemp("typed")
    shutil.copytree(CLIENT, folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(NODE / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    for service, document in documents.items():
        typed(folder, service, document)
    return folder


def test_a_typed_client_goes_round_the_loop(place: Installation, program: Path) -> None:
    """Submit, accept, read with at_least, 304 on the second read, the change over the stream."""
    built = compiled(program)
    assert built.returncode == 0, built.stdout
    done = run(
        program,
        "node",
        "made/loop.js",
        RESIDENT_TOKEN=place.secrets.token(Role.RESIDENT, "wx-typed", TOWN),
        DESK_TOKEN=place.secrets.token(Role.COMMUNITY, "typed-desk", TOWN, ["t3/west"]),
        KEY=uuid.uuid4().hex,
        **{service.upper(): place.url(service) for service in place.services},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.pop("story")
    assert said == {
        "state": "accepted",
        "statuses": [200, 304],
        "refused": "unknown-owner",
        "heard": "accepted",
    }


def test_a_field_that_is_gone_no_longer_compiles(documents: dict[str, Any], program: Path) -> None:
    """So that the test above says something about the documents."""
    changed = json.loads(json.dumps(documents["projections"]))
    gone = changed["components"]["schemas"]["StoryChanged"]
    del gone["properties"]["state"]
    gone["required"].remove("state")
    typed(program, "projections", changed)
    built = compiled(program)
    assert built.returncode != 0
    assert "state" in built.stdout
