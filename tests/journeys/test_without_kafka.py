"""Kafka goes away: wishes are taken in all the same, services end when told to, nothing is lost."""

import signal
import time
from pathlib import Path

import pytest

from deploy.demo.client import Client, Refusal
from deploy.local.installation import installation
from deploy.local.servers import Servers, servers
from shared.access import Role
from tests.journeys.conftest import TOWN, WISH

pytestmark = pytest.mark.stack


def test_what_was_accepted_without_kafka_goes_out_when_it_is_back_also_after_a_restart(
    stack_servers: Servers, tmp_path: Path
) -> None:
    with (
        servers(tmp_path / "servers", mongo=stack_servers.mongo) as own,
        installation(own, tmp_path, name="without", instances=2) as place,
    ):
        assert own.kafka_server is not None
        resident = Client(place, Role.RESIDENT, "wx-without", TOWN)
        resident.get("/v1/cases", at_least=resident.submit(WISH)["position"])
        own.kafka_server.kill()
        accepted = [resident.submit({**WISH, "words": f"没有{n}"}) for n in range(10)]

        intake = [instance.process for instance in place.services["intake"]]
        started = time.monotonic()
        for process in intake:
            process.ask_to_end()
        for process in intake:
            process.terminate(grace=30)
        assert all(process.returncode() != -signal.SIGKILL for process in intake)
        assert time.monotonic() - started < 25  # the relay's leader too, with unsent facts

        own.kafka_server.start()
        for instance in place.services["intake"]:
            instance.restart()
        for said in accepted:
            case = _read(resident, said["story"])
            assert case["state"] == "opened"
        assert len(resident.cases()) == 11
        resident.close()


def _read(resident: Client, story: str) -> dict[str, str]:
    """The service waits up to its own limit; Kafka may need longer to be back for everybody."""
    deadline = time.monotonic() + 60
    while True:
        try:
            case: dict[str, str] = resident.get(
                f"/v1/cases/{story}", at_least=f"wish-{story}@1", until="opened"
            )
        except Refusal as refusal:
            if refusal.code != "not-yet" or time.monotonic() > deadline:
                raise
        else:
            return case
