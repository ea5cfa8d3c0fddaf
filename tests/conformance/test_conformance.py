"""Schemathesis, all its checks, over the three services as each role meets them.

Whatever is sent, the answer is one the OpenAPI document names, and no 5xx but `not-yet` to who
asked to wait.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers
from shared.access import Role

pytestmark = pytest.mark.stack

HERE = Path(__file__).parent
EXAMPLES = 15
SEED = 4
"""The same requests each time; another one is for whoever looks for more."""
TOWN, COMMUNITY_AREA, POST = "t3", "t3/west", "police-post"
RUNS = [
    ("intake", Role.RESIDENT),
    ("intake", Role.OFFICER),
    ("intake", Role.COMMUNITY),
    ("dispatch", Role.COMMUNITY),
    ("dispatch", Role.UNIT),
    ("projections", Role.RESIDENT),
    ("projections", Role.UNIT),
    ("projections", Role.COMMUNITY),
]


@pytest.fixture(scope="module")
def place(
    stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("conformance")
    waits = {"WISHGRID_WAIT_SECONDS": "0.1"}  # for positions that were made up
    with installation(stack_servers, folder, name="conformance", settings=waits) as running:
        yield running


def run(place: Installation, service: str, role: Role, *options: str) -> tuple[int, str]:
    """Schemathesis over a service with a token of the role; its exit code and what it said."""
    areas = [] if role in (Role.RESIDENT, Role.UNIT) else [COMMUNITY_AREA]
    token = place.secrets.token(role, "somebody", TOWN, areas, POST if role is Role.UNIT else None)
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "--config-file",
            HERE / "schemathesis.toml",
            "--no-color",
            "run",
            f"{place.url(service)}/openapi.json",
            "--checks=all",
            "--continue-on-failure",
            "--suppress-health-check=all",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            f"--header=Authorization: Bearer {token}",
            "--exclude-operation-id=follow_changes",  # it has no end; test_live.py tries it
            *options,
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.conformance.hooks"},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("service", "role"), RUNS)
def test_a_service_answers_as_it_says_it_does(
    place: Installation, service: str, role: Role
) -> None:
    code, said = run(place, service, role)
    assert code == 0, said
