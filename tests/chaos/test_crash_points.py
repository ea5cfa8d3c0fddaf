"""Each crash point once, under load: nothing is lost and nothing done twice."""

import random
import uuid
from collections.abc import Iterator

import pytest

from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers
from shared.crash import POINTS
from tests.chaos.crash_matrix import EVERYWHERE
from tests.chaos.crash_points import PLACES, ROUNDS, SETTINGS, rehearsed


@pytest.fixture(scope="module")
def crashing(
    stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """One instance of each service: whatever is to be reached is reached there."""
    folder, name = tmp_path_factory.mktemp("crash"), f"crash{uuid.uuid4().hex[:8]}"
    with installation(stack_servers, folder, name=name, settings=SETTINGS) as place:
        yield place


def test_the_runner_knows_every_point_in_the_code_and_no_other() -> None:
    assert PLACES.keys() == set(POINTS)
    assert sorted(point for points in ROUNDS for point in points) == sorted(EVERYWHERE)


@pytest.mark.stack
@pytest.mark.parametrize("points", ROUNDS, ids=" + ".join)
async def test_nothing_is_lost_and_nothing_doubled_at(
    crashing: Installation, points: tuple[str, ...]
) -> None:
    run = await rehearsed(crashing, points, points[0], random.Random(points[0]))
    assert run.violations == []
    assert run.acknowledged > 0
