"""The topics job makes what is missing, may be repeated, and fails on anything else."""

import asyncio
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.servers import Servers
from deploy.topics import TOPICS, Topic, TopicNotAsWanted, ensure_topics, topics_of
from shared.contracts.base import PartnerId
from shared.kafka import FACTS
from shared.kafka_access import KafkaAccess
from tests.conftest import TOWNS_FOLDER

pytestmark = pytest.mark.stack

DAY = 24 * 60 * 60 * 1000


@pytest.fixture
def prefix() -> str:
    """A prefix no other test uses."""
    return f"t{uuid.uuid4().hex}."


def all_of(prefix: str) -> tuple[str, ...]:
    return tuple(sorted(prefix + each.name for each in TOPICS))


async def described(kafka: KafkaAccess, name: str) -> list[int]:
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([name])
        return [each["leader"] for each in topic["partitions"]]
    finally:
        await admin.close()


def test_the_topics_of_facts_are_the_ones_that_were_fixed() -> None:
    assert [
        (each.name, each.partitions, each.retention_ms, each.cleanup_policy) for each in TOPICS
    ] == [
        ("wishgrid.facts.v1", 12, -1, "delete"),
        ("wishgrid.care.v1", 12, -1, "delete"),
        ("wishgrid.dead.v1", 3, 30 * DAY, "delete"),
    ]


def test_a_partner_has_a_topic_for_answers_made_before_the_one_it_publishes_on() -> None:
    added = topics_of([PartnerId("hotline")])[len(TOPICS) :]
    assert [(each.name, each.retention_ms) for each in added] == [
        ("wishgrid.answers.hotline.v1", 30 * DAY),
        ("wishgrid.inbound.hotline.v1", 3 * DAY),
    ]


def test_facts_may_be_in_another_topic_of_a_name_that_rights_hold_for() -> None:
    new = "wishgrid.facts.v2"
    assert topics_of([], facts=new) == (Topic(new), *TOPICS[1:])
    with pytest.raises(ValueError, match=r"'facts2' is no topic of facts: it must begin with"):
        topics_of([], facts="facts2")


def test_after_a_republish_into_another_topic_the_job_looks_at_that_one(
    stack_servers: Servers, prefix: str
) -> None:
    """The old one, cut wrong, is why there is another; it holds up nobody any more."""
    old = ensure_topics(stack_servers.kafka, prefix=prefix, topics=[Topic(FACTS, partitions=3)])
    asyncio.run(old)
    said = {
        "WISHGRID_KAFKA": stack_servers.kafka.servers,
        "WISHGRID_TOPIC_PREFIX": prefix,
        "WISHGRID_TOWNS": str(TOWNS_FOLDER),
    }
    told = CliRunner().invoke(app, ["topics"], env=said)
    assert (told.exit_code, "partitions is 3, wanted 12" in told.output) == (1, True)
    said["WISHGRID_FACTS_TOPIC"] = "wishgrid.facts.v2"
    told = CliRunner().invoke(app, ["topics"], env=said)
    assert (told.exit_code, told.output) == (0, f"made {prefix}wishgrid.facts.v2\n")


async def test_missing_topics_are_made_and_led_and_a_second_run_makes_none(
    stack_servers: Servers, prefix: str
) -> None:
    made = await ensure_topics(stack_servers.kafka, prefix=prefix)
    assert made == all_of(prefix)
    leaders = await described(stack_servers.kafka, made[0])
    assert len(leaders) == 12
    assert min(leaders) >= 0
    assert await ensure_topics(stack_servers.kafka, prefix=prefix) == ()


async def test_two_runs_at_once_make_each_topic_once(stack_servers: Servers, prefix: str) -> None:
    first, second = await asyncio.gather(
        ensure_topics(stack_servers.kafka, prefix=prefix),
        ensure_topics(stack_servers.kafka, prefix=prefix),
    )
    assert tuple(sorted(first + second)) == all_of(prefix)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (Topic("facts", partitions=3), "partitions is 3, wanted 12"),
        (Topic("facts", retention_ms=604800000), "retention.ms is 604800000, wanted -1"),
        (Topic("facts", cleanup_policy="compact"), "cleanup.policy is compact, wanted delete"),
    ],
)
async def test_a_topic_with_other_settings_fails_the_job_and_stays_as_it_is(
    stack_servers: Servers, prefix: str, there: Topic, message: str
) -> None:
    await ensure_topics(stack_servers.kafka, prefix=prefix, topics=[there])
    for _ in range(2):
        with pytest.raises(TopicNotAsWanted) as differs:
            await ensure_topics(stack_servers.kafka, prefix=prefix, topics=[Topic("facts")])
        assert str(differs.value) == f"{prefix}facts: {message}"


async def test_too_few_copies_fail_the_job(stack_servers: Servers, prefix: str) -> None:
    await ensure_topics(stack_servers.kafka, prefix=prefix, topics=[Topic("facts")])
    with pytest.raises(TopicNotAsWanted, match=r"facts: replication factor is 1, wanted 3$"):
        await ensure_topics(stack_servers.kafka, 3, prefix=prefix, topics=[Topic("facts")])


async def test_a_topic_that_cannot_be_made_fails_the_job(
    stack_servers: Servers, prefix: str
) -> None:
    with pytest.raises(TopicNotAsWanted, match=r"facts: not made: "):
        await ensure_topics(stack_servers.kafka, 3, prefix=prefix, topics=[Topic("facts")])
