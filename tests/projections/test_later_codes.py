"""A build that reads what a later one wrote, with codes it does not know: in every upgrade."""

import pytest

from services.projections.listeners import Mark, Place
from services.projections.live import Live
from shared.access import Role
from shared.keystore import KeyReader
from shared.mongo import Client, Database
from tests.build import CASE_FACTS, INSTALLATION, OTHER_STORY, STORY, WISH_FACTS, a_town, told
from tests.projections.front_end import front_end
from tests.projections.model import RECIPE

pytestmark = pytest.mark.stack

FACTS = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case")]
PATHS = {
    "/v1/cases": Role.COMMUNITY,
    f"/v1/cases/{STORY}": Role.COMMUNITY,
    "/v1/my-wishes": Role.RESIDENT,
    "/v1/overview?area=t3": Role.COMMUNITY,
    "/v1/report?area=t3&from=2026-03-01&to=2026-03-31": Role.COMMUNITY,
    "/board/cases": Role.COMMUNITY,
    f"/board/cases/{STORY}": Role.COMMUNITY,
    "/board/overview?area=t3": Role.COMMUNITY,
}


async def with_later_codes(home: Database, story: str = STORY) -> None:
    """As a later build would have written it."""
    row = {"state": "verified", "assignments.0.stand": "praised", "assignments.0.role": "watch"}
    found = await home["case_list"].update_many(
        {"_id": story}, {"$set": row, "$push": {"numbers": "on_the_phone"}}
    )
    assert found.modified_count == 1
    await home["stories"].update_many(
        {"_id": story},
        {
            "$set": {f"wrote.case_list.{field}": code for field, code in row.items()},
            "$push": {"wrote.case_list.numbers": "on_the_phone"},
        },
    )
    await home["place"].update_many({}, {"$set": {"cells.$[].on_the_phone": 1}})


async def test_codes_of_a_later_build_go_out_as_they_are(mongo: Client, home: Database) -> None:
    async with front_end(mongo, home, FACTS, a_town(), RECIPE) as house:
        await with_later_codes(home)
        for path, role in PATHS.items():
            answer = await house.ask(path, role=role)
            assert (path, answer.status_code) == (path, 200), answer.text
        row = (await house.told("/v1/cases"))["items"][0]
        assert (row["state"], row["assignments"][0]["stand"]) == ("verified", "praised")
        assert row["numbers"][-1] == "on_the_phone"
        path = f"/v1/cases/{STORY}"
        late = await house.ask(path, {"at_least": FACTS[-1].id, "until": "closed"})
        assert (late.status_code, late.json()["code"]) == (503, "not-yet")


async def test_the_feed_of_changes_tells_them_and_outlives_a_story_it_cannot_tell(
    mongo: Client, home: Database
) -> None:
    facts = [*FACTS, *told(WISH_FACTS[:1], "wish", OTHER_STORY)]
    async with front_end(mongo, home, facts, a_town(), RECIPE):
        await with_later_codes(home, STORY)
        live = Live(lambda: ("g1", home), KeyReader(home, INSTALLATION), heartbeat_seconds=15)
        newest = {str(STORY): Place(1, 1), str(OTHER_STORY): Place(1, 2)}
        first, second = await live._changes(newest, "g1", home)
        assert b'"state":"verified"' in first.told
        assert str(Mark("g1", Place(1, 2))).encode() in second.told
        gone = {"$unset": {"wrote.case_list.state": 1}}
        await home["stories"].update_one({"_id": STORY}, gone)
        (left,) = await live._changes(newest, "g1", home)
        assert left == second
