"""Programs that are not ours and that a test runs wishgrid against: a client, a browser."""

import os
import shutil
from typing import Final

import pytest

REQUIRE: Final = "WISHGRID_REQUIRE"
"""Names the programs (with spaces between) whose tests may not be skipped."""


def foreign(program: str) -> str:
    """The path of a program on PATH; without one the test is skipped, or fails where
    WISHGRID_REQUIRE names it."""
    found = shutil.which(program)
    if found is not None:
        return found
    if program in os.environ.get(REQUIRE, "").split():
        pytest.fail(f"{program} is not on PATH, and {REQUIRE} asks for it")
    pytest.skip(f"{program} is not on PATH")
