"""Each crash point once, under load: nothing is lost and nothing done twice."""

import random
from collections.abc import Iterator

import pytest

from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers
from shared.crash import POINTS
from tests.chaos.crash_matrix import EVERYWHERE
from tests.chaos.crash_points import PLACES, SETTINGS, rehearsed


@pytest.fixture(scope="module")
def crashing(
    stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One instance of each service: whatever is to be reached is reached there."""
    folder = tmp_path_factory.mktemp("crash")
    with installation(stack_servers, folder, name="crash", settings=SETTINGS) as place:
        yield place


def test_the_runner_knows_every_point_in_the_code_and_no_other() -> None:
    assert PLACES.keys() == set(POINTS)


@pytest.mark.stack
@pytest.mark.parametrize("point", EVERYWHERE)
async def test_nothing_is_lost_and_nothing_doubled_at(crashing: Installation, point: str) -> None:
    run = await rehearsed(crashing, point, point, random.Random(point))
    assert run.violations == []
    assert run.acknowledged > 0
