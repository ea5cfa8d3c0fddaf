"""Changes over HTTP as they happen: real processes, a real topic, a real read model."""

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.servers import Servers
from shared.access import Role
from shared.contracts.base import AreaId, StoryId
from shared.contracts.recorded import Recorded, stream_id
from shared.mongo import Client, Database, database
from tests.conftest import new_story, send, submitted, told
from tests.projections.streams import Readers, a_client, readers

pytestmark = pytest.mark.stack

WEST = ["t3/west"]
UNIT = "sanitation-station"


@pytest.fixture(scope="module")
def place(stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    with readers(stack_servers, tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def views(place: Readers, mongo: Client) -> Database:
    return database(mongo, f"{place.databases}_views_g1")


def wish(area: str = "t3/west/g4") -> tuple[StoryId, Recorded]:
    """A new story of which only the wish is known."""
    story = new_story()
    fact = submitted(story).model_copy(update={"area": AreaId(area)})
    (recorded,) = told(stream_id("wish", story), [fact])
    return story, recorded


async def test_a_change_is_told_on_each_instance_once_it_can_be_read(
    place: Readers, producer: AIOKafkaProducer
) -> None:
    token = place.token(Role.COMMUNITY, areas=WEST)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        place.listening(token, 0) as one,
        place.listening(token, 1) as other,
        a_client() as client,
    ):
        story, fact = wish()
        await send(producer, place.topic, [fact])
        for n, stream in enumerate((one, other)):
            await stream.until(lambda s: story in s.stories(), "the change is told")
            url = f"{place.instances[n].url}/v1/cases/{story}"
            assert (await client.get(url, headers=headers)).status_code == 200
    said = {
        "story": story,
        "versions": {"wish": 1},
        "state": "submitted",
        "numbers": ["received", "open"],
    }
    assert one.told() == other.told() == [said]
    assert [e.id for e in one.events if e.kind] == [e.id for e in other.events if e.kind]
