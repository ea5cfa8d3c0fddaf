"""A partner's two thousand events with poison among them: each has its effect, or its refusal."""

import asyncio
import uuid
from pathlib import Path

import pytest

from deploy.local.installation import installation
from deploy.local.servers import Servers
from tests.chaos.poison import run
from tests.chaos.poisons import POISONS, events, tally

COUNT = 2_000


def test_one_event_in_a_hundred_is_bad_and_every_sort_is_among_them() -> None:
    sorts = tally(events("x", COUNT))
    assert sorts.pop("good") == COUNT * 99 // 100
    assert len(sorts) == len(POISONS)


@pytest.mark.stack
def test_every_good_event_is_applied_and_every_bad_one_answered_or_buried(
    stack_servers: Servers, tmp_path: Path
) -> None:
    with installation(stack_servers, tmp_path, name=f"poison{uuid.uuid4().hex[:8]}") as place:
        found = asyncio.run(run(place, "few", COUNT))
    print(f"longest stall {found.stall_seconds:.2f} s")  # told, for machines are busy
    assert found.wrong == []
