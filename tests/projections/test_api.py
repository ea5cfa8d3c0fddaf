"""What a front end reads, straight from documents in a real database."""

from datetime import timedelta

import pytest

from shared.mongo import Client, Database
from tests.build import CASE_FACTS, NOW, STORY, WISH_FACTS, a_town, recorded, told
from tests.projections.front_end import front_end
from tests.projections.model import RECIPE

pytestmark = pytest.mark.stack


async def test_a_timeline_is_in_order_past_the_tenth_fact_of_one_moment(
    mongo: Client, home: Database
) -> None:
    """Ids sort as text, `@10` before `@9`; facts of one commit share their recorded time."""
    at = NOW + timedelta(hours=1)
    wish = told(WISH_FACTS, "wish")
    case = [recorded(r.fact, r.stream, r.version, at=at) for r in told(CASE_FACTS, "case")]
    async with front_end(mongo, home, [*wish, *case], a_town(), RECIPE) as house:
        entries = await house.told(f"/v1/cases/{STORY}/timeline")
    of_case = [entry["id"] for entry in entries if entry["id"].startswith("case-")]
    assert of_case == [r.id for r in case]
    assert await home["access_log"].count_documents({"stories": STORY}) == 1
