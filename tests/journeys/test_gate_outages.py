"""MongoDB and Kafka go away among events: none is skipped, each is answered when they are back."""

import asyncio
from pathlib import Path
from typing import Final

import orjson
import pytest

from deploy.local.installation import Installation, installation
from deploy.local.servers import servers
from tests.journeys.conftest import log_of
from tests.journeys.gate_client import sender
from tests.partner import binary, report, wish

pytestmark = pytest.mark.stack

EVENTS: Final = 150


def test_no_event_is_skipped_while_mongodb_or_kafka_are_away(tmp_path: Path) -> None:
    settings = {"WISHGRID_SESSION_TIMEOUT_SECONDS": "6"}
    with (
        servers(tmp_path / "servers") as own,
        installation(own, tmp_path, name="outages", settings=settings) as place,
    ):
        asyncio.run(_in_and_out(place))
        logs = log_of(place, "intake") + log_of(place, "dispatch")
        assert "a background job died" not in logs


async def _in_and_out(place: Installation) -> None:
    mongo, kafka = place.servers.mongo_server, place.servers.kafka_server
    assert mongo is not None
    assert kafka is not None
    ids = []
    async with sender(place) as partner:
        for n in range(EVENTS):
            if n == EVENTS // 3:
                mongo.kill()
            if n == 2 * EVENTS // 3:
                await asyncio.to_thread(mongo.start)
                await asyncio.to_thread(kafka.restart)
            ref = f"A-{n}"
            await partner.send(wish(ref), binary(f"s-{ref}"), ref.encode())
            await partner.send(report(ref), binary(f"r-{ref}", "unit-reported"), ref.encode())
            ids += [f"s-{ref}", f"r-{ref}"]
        answers = await partner.answered(ids)
    codes = {id_: [orjson.loads(body).get("code") for _, body in answers[id_]] for id_ in answers}
    expected: dict[str, list[str | None]] = {
        id_: [None if id_.startswith("s-") else "not-dispatched"] for id_ in ids
    }
    assert codes == expected
