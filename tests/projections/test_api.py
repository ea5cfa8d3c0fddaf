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


async def test_a_view_that_is_still_being_filled_is_not_yet_and_never_empty(
    mongo: Client, home: Database
) -> None:
    days = {"area": "t3", "from": "2026-03-01", "to": "2026-03-31"}
    for view, path, query in (("case_list", "/v1/cases", {}), ("place", "/v1/report", days)):
        async with front_end(mongo, home, [], unfilled=[view]) as house:
            answer = await house.ask(path, query)
            assert (answer.status_code, answer.json()["code"]) == (503, "not-yet")
            assert view in answer.json()["detail"]
            assert answer.headers["Retry-After"]
            assert (await house.ask("/v1/town")).status_code == 200
