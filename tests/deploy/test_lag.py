"""How far behind everybody is, as operators see it: `wishgrid lag` and /metrics agree."""

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from typer.testing import CliRunner, Result

from deploy.cli.lag_table import show
from deploy.cli.main import app
from deploy.demo.client import Client
from deploy.lag import Installation as Where
from deploy.lag import Lag, Place, measure
from deploy.local.installation import ROOT, Installation, Instance, installation
from deploy.local.servers import Servers, servers
from deploy.topics import TOPICS, Topic, ensure_topics
from shared.access import Role
from shared.mongo import Client as MongoClient
from shared.mongo import database
from tests.deploy.gone import wait_for
from tests.journeys.conftest import TOWN, WISH

SUB = "wx-somebody-in-particular"
PROJECTIONS = "wishgrid.projections.g1"
SECONDS = 60


@pytest.fixture(scope="module")
def own(stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Kafka of this module's own, to be killed."""
    with servers(tmp_path_factory.mktemp("servers"), mongo=stack_servers.mongo) as running:
        yield running


@pytest.fixture(scope="module")
def place(own: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(
        own, tmp_path_factory.mktemp("lag"), name=f"lag{uuid.uuid4().hex[:6]}", instances=2
    ) as running:
        yield running


@contextmanager
def resident_of(place: Installation) -> Iterator[Client]:
    client = Client(place, Role.RESIDENT, SUB, TOWN)
    try:
        yield client
    finally:
        client.close()


def asked(place: Installation, *more: str) -> Result:
    names = ("KAFKA", "MONGO", "DATABASE_PREFIX", "TOPIC_PREFIX")
    told = {f"WISHGRID_{name}": place.environment[f"WISHGRID_{name}"] for name in names}
    return CliRunner().invoke(app, ["lag", *more], env=told)


def lag_of(place: Installation) -> dict[str, Any]:
    """What `wishgrid lag --json` says."""
    said = asked(place, "--json")
    assert said.exit_code == 0, said.output
    found: dict[str, Any] = json.loads(said.output)
    return found


def scraped(instance: Instance) -> str:
    answer = httpx.get(f"{instance.url}/metrics", timeout=10)
    assert answer.status_code == 200
    return answer.text


def number(instance: Instance, name: str, **labels: str) -> float | None:
    """The sum of the samples that carry these labels; None when there is none."""
    found = [
        sample.value
        for family in text_string_to_metric_families(scraped(instance))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


def nothing_waits(place: Installation) -> bool:
    said = lag_of(place)
    behind = [each["lag"] for each in said["consumers"].values()]
    ages = [each["unpublished_seconds"] for each in said["relays"].values()]
    return not any(behind) and not any(ages)


def submitted(place: Installation, count: int) -> list[str]:
    """The stories of so many new wishes."""
    with resident_of(place) as resident:
        return [resident.submit({**WISH, "words": f"第{n}件"})["story"] for n in range(count)]


@pytest.mark.stack
def test_lag_rises_while_nobody_projects_and_falls_to_nothing_afterwards(
    place: Installation,
) -> None:
    stories = submitted(place, 3)
    wait_for(lambda: nothing_waits(place), SECONDS)
    assert lag_of(place)["generations"] == {PROJECTIONS: "reading"}
    assert set(lag_of(place)["consumers"]) >= {
        PROJECTIONS,
        "wishgrid.intake.reactions",
        "wishgrid.dispatch.reactions",
    }
    for instance in place.services["projections"]:
        assert number(instance, "wishgrid_projector_lag_records") == 0
        instance.process.terminate()

    stories += submitted(place, 5)
    wait_for(lambda: lag_of(place)["consumers"][PROJECTIONS]["lag"] >= 10, SECONDS)
    # Five wishes and five cases opened; those who react are not behind.
    reactions = ("wishgrid.intake.reactions", "wishgrid.dispatch.reactions")
    wait_for(
        lambda: not any(lag_of(place)["consumers"][name]["lag"] for name in reactions), SECONDS
    )
    for instance in place.services["projections"]:
        instance.restart()
    wait_for(lambda: nothing_waits(place), SECONDS)
    for instance in place.services["projections"]:
        assert number(instance, "wishgrid_projector_lag_records") == 0
    told = "".join(scraped(instance) for instance in place.instances())
    assert not [secret for secret in [SUB, *stories] if secret in told]
    assert 'path="/v1/wishes"' in told


@pytest.mark.stack
def test_without_kafka_every_instance_says_how_long_the_oldest_commit_waits(
    place: Installation,
) -> None:
    assert place.servers.kafka_server is not None
    submitted(place, 1)
    wait_for(lambda: nothing_waits(place), SECONDS)
    intake = place.services["intake"]
    place.servers.kafka_server.kill()
    submitted(place, 2)

    def age(instance: Instance) -> float:
        seconds = number(instance, "wishgrid_relay_unpublished_seconds")
        assert seconds is not None  # it needs no Kafka
        return seconds

    for least in (1, 4):  # it grows
        wait_for(lambda least=least: min(map(age, intake)) > least, SECONDS)  # type: ignore[misc]  # ruff wants it bound
    reader = place.services["projections"][0]
    assert number(reader, "wishgrid_projector_lag_records") is None
    assert number(reader, "wishgrid_readable", reading="lag") == 0
    assert number(reader, "wishgrid_readable", reading="parked") == 1
    said = asked(place)
    assert (said.exit_code, said.output.count("\n")) == (1, 1)
    assert f"Kafka at {place.servers.kafka} does not answer" in said.output

    place.servers.kafka_server.start()
    wait_for(lambda: nothing_waits(place), SECONDS)
    wait_for(lambda: max(map(age, intake)) == 0, SECONDS)
    wait_for(lambda: number(reader, "wishgrid_projector_lag_records") == 0, SECONDS)
    leading = [number(instance, "wishgrid_relay_leading") for instance in intake]
    assert sorted(map(bool, leading)) == [False, True]


@pytest.mark.stack
def test_what_a_service_holds_is_told(place: Installation) -> None:
    submitted(place, 2)
    wait_for(lambda: nothing_waits(place), SECONDS)
    for service in ("intake", "dispatch"):
        instances = place.services[service]
        for check in ("relay", "understood"):
            assert not any(number(i, "wishgrid_fault", check=check) for i in instances)
        assert sum(number(i, "wishgrid_store_documents_total") or 0 for i in instances) >= 2
        assert sum(number(i, "wishgrid_store_flushes_total") or 0 for i in instances) >= 1
        assert sum(number(i, "wishgrid_relay_records_total") or 0 for i in instances) >= 2
        assert [number(i, "wishgrid_parked_records") for i in instances] == [0, 0]
        assert [number(i, "wishgrid_reaction_issues") for i in instances] == [0, 0]
    reader = place.services["projections"][0]
    assert number(reader, "wishgrid_fault", check="projector") == 0
    assert number(reader, "wishgrid_parked_records") == 0


@pytest.mark.stack
def test_every_number_is_documented_and_nothing_else(place: Installation) -> None:
    names = {
        sample.name
        for instance in place.instances()
        for family in text_string_to_metric_families(scraped(instance))
        for sample in family.samples
    }
    text = (ROOT / "deploy" / "observability" / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `wishgrid_")]
    assert {name for row in rows for name in re.findall(r"wishgrid_\w+", row)} == names


@pytest.mark.stack
def test_the_table_shows_every_consumer_and_store(place: Installation) -> None:
    said = asked(place)
    assert said.exit_code == 0, said.output
    assert "relays" in said.output
    assert "dispatch" in said.output


@pytest.mark.stack
async def test_a_topic_of_a_partner_is_lagged_behind_by_the_gate(
    stack_servers: Servers, mongo: MongoClient
) -> None:
    prefix = f"t{uuid.uuid4().hex}."
    inbound = "wishgrid.inbound.hotline.v1"
    await ensure_topics(
        stack_servers.kafka, prefix=prefix, topics=[*TOPICS, Topic(inbound, partitions=2)]
    )
    producer = AIOKafkaProducer(**stack_servers.kafka.options())
    await producer.start()
    await producer.send_and_wait(prefix + inbound, b"{}", partition=1)
    await producer.stop()
    where = Where(stack_servers.kafka, stack_servers.mongo, f"test_{prefix[:-1]}", prefix)
    found = await measure(where)
    assert [(p.partition, p.read, p.lag) for p in found.consumers["wishgrid.intake.gate"]] == [
        (0, 0, 0),
        (1, 0, 1),
    ]
    assert PROJECTIONS not in found.consumers  # nobody began a read model
    assert dict(found.relays) == {"intake": 0, "dispatch": 0}
    assert found.generations == {}
    assert await database(mongo, where.database_prefix).list_collection_names() == []


@pytest.mark.stack
async def test_an_installation_without_topics_is_one_sentence(stack_servers: Servers) -> None:
    told = {"WISHGRID_KAFKA": stack_servers.kafka.servers, "WISHGRID_MONGO": stack_servers.mongo}
    prefix = f"t{uuid.uuid4().hex}."
    said = await asyncio.to_thread(
        CliRunner().invoke, app, ["lag", "--topic-prefix", prefix], env=told
    )
    assert said.exit_code == 1
    assert said.output == f"there is no topic {prefix}wishgrid.facts.v1: run `wishgrid topics`\n"


def test_without_mongodb_it_is_one_sentence_and_no_password() -> None:
    uri = "mongodb://operator:hunter2@127.0.0.1:1/?replicaSet=rs0"
    said = CliRunner().invoke(app, ["lag", "--kafka", "127.0.0.1:1", "--mongo", uri])
    assert said.exit_code == 1
    assert said.output == "MongoDB at 127.0.0.1:1 does not answer\n"


def test_the_table_adds_up(tmp_path: Path) -> None:
    lag = Lag(
        {
            "wishgrid.projections.g1": [Place("f", 0, 10, 4), Place("f", 1, 7, 7)],
            "wishgrid.projections.g2": [Place("f", 0, 10, 1)],
        },
        {"intake": 12.4},
        {"wishgrid.projections.g2": "building"},
    )
    with (tmp_path / "said").open("w", encoding="utf-8") as file:
        show(lag, Console(file=file, width=120))
    rows = [
        [cell.strip() for cell in line.strip("│┃ \n").split("│")]
        for line in (tmp_path / "said").read_text(encoding="utf-8").splitlines()
    ]
    assert ["wishgrid.projections.g1", "f", "0", "10", "4", "6"] in rows
    assert ["", "", "", "", "sum", "6"] in rows or ["sum", "6"] in [r[-2:] for r in rows]
    assert ["wishgrid.projections.g2 (building)", "f", "0", "10", "1", "9"] in rows
    assert ["intake", "12"] in rows
    assert lag.as_json()["consumers"]["wishgrid.projections.g1"]["lag"] == 6
