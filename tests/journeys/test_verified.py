"""What an installation came to by itself is what its facts come to when they are folded again."""

import asyncio

import pytest

from deploy.demo.client import Client
from deploy.lag import Installation as Where
from deploy.local.installation import Installation
from deploy.verify import findings
from tests.conftest import TOWNS
from tests.journeys.conftest import WISH, until

pytestmark = pytest.mark.stack


def test_stores_topic_and_read_model_tell_the_same_once_all_is_at_rest(
    place: Installation, resident: Client, desk: Client, unit: Client
) -> None:
    said = resident.submit(WISH)
    story = said["story"]
    said = desk.do("accept", story, {}, said["position"])
    said = desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
    said = unit.do("report", story, {}, said["position"])
    said = unit.do("resolve", story, {"outcome": "resolved", "note": "已疏通"}, said["position"])
    said = resident.do("rate", story, {"resolved": True, "satisfaction": 5}, said["position"])
    desk.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
    where = Where(
        place.servers.kafka,
        place.servers.mongo,
        place.environment["WISHGRID_DATABASE_PREFIX"],
        place.environment["WISHGRID_TOPIC_PREFIX"],
    )
    until(lambda: asyncio.run(findings(where, TOWNS)) == [])
