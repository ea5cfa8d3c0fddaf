"""The topics job: makes the topics that are missing, fails if one is not as it must be."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import PartnerId
from shared.kafka import CARE, DEAD, FACTS, FACTS_BEGIN
from shared.kafka_access import KafkaAccess

NO_ERROR = 0
TOPIC_ALREADY_EXISTS = 36
LEADER_SECONDS = 30.0
PARTITIONS = "partitions"
REPLICATION = "replication factor"
IN_SYNC = "min.insync.replicas"
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Topic:
    """A topic as it must be; `retention_ms` -1 keeps records for ever."""

    name: str
    partitions: int = 12
    retention_ms: int = -1
    cleanup_policy: str = "delete"
    compression: str = "producer"

    def configs(self) -> dict[str, str]:
        """Its settings under Kafka's names."""
        return {
            "retention.ms": str(self.retention_ms),
            "cleanup.policy": self.cleanup_policy,
            "compression.type": self.compression,
        }


def in_sync(copies: int) -> int:
    """How many of so many copies must have a record before it is acknowledged: a majority, so
    that what was acknowledged is still there when one broker is lost for good."""
    return copies // 2 + 1


_DAY_MS = 24 * 60 * 60 * 1000
FACTS_TOPIC = Topic(FACTS)
TOPICS = (FACTS_TOPIC, Topic(CARE), Topic(DEAD, partitions=3, retention_ms=30 * _DAY_MS))


def topics_of(partners: Iterable[PartnerId], *, facts: str = FACTS) -> tuple[Topic, ...]:
    """All topics of an installation whose facts are in `facts`. A partner's answers are made
    before what it publishes on: who cannot be answered is not heard. Inbound records are the
    partner's own plaintext and are kept for 3 days. Raises ValueError for a name that rights,
    which go by how it begins, would not hold for."""
    if not facts.startswith(FACTS_BEGIN):
        raise ValueError(f"{facts!r} is no topic of facts: it must begin with {FACTS_BEGIN}")
    pairs = (
        (
            Topic(answers_topic(partner), partitions=3, retention_ms=30 * _DAY_MS),
            # Uncompressed: the broker then unpacks what a partner packed, and refuses a bomb.
            Topic(inbound_topic(partner), 3, 3 * _DAY_MS, compression="uncompressed"),
        )
        for partner in sorted(partners)
    )
    return (replace(FACTS_TOPIC, name=facts), *TOPICS[1:], *chain.from_iterable(pairs))


class Difference(NamedTuple):
    """A setting of a topic that is not as it must be."""

    topic: str
    setting: str
    value: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.value}, wanted {self.wanted}"


class TopicNotAsWanted(Exception):
    """A topic cannot be made, or is there with other settings; an operator must decide."""


async def ensure_topics(
    kafka: KafkaAccess,
    replication: int = 1,
    *,
    prefix: str = "",
    topics: Sequence[Topic] = TOPICS,
) -> tuple[str, ...]:
    """Make what is missing and return its names; to be repeated at will.

    Returns when every partition has a leader. Raises TopicNotAsWanted naming each topic, setting,
    found and wanted value that differ; it never changes a topic. `prefix` goes before each name.
    """
    wanted = {prefix + topic.name: topic for topic in topics}
    admin = AIOKafkaAdminClient(**kafka.options())
    await admin.start()
    try:
        there = set(await admin.list_topics())
        missing = {name: topic for name, topic in wanted.items() if name not in there}
        made = await _create(admin, missing, replication)
        found = await _with_leaders(admin, wanted.keys())
        configs = await _configs(admin, wanted)
    finally:
        await admin.close()
    if differences := [
        str(difference)
        for name, topic in wanted.items()
        for difference in _differences(name, topic, replication, found[name], configs[name])
    ]:
        raise TopicNotAsWanted("\n".join(differences))
    return made


async def compare_topics(
    kafka: KafkaAccess, replication: int = 1, *, prefix: str = "", topics: Sequence[Topic] = TOPICS
) -> tuple[tuple[str, ...], list["Difference"]]:
    """Those that are missing, and what is not as it must be in those that are there; makes
    nothing. Raises KafkaError."""
    wanted = {prefix + topic.name: topic for topic in topics}
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        await admin.start()
        there = set(await admin.list_topics())
        here = {name: topic for name, topic in wanted.items() if name in there}
        found = {each["topic"]: each for each in await admin.describe_topics(list(here))}
        configs = await _configs(admin, here)
    finally:
        await admin.close()
    differences = [
        difference
        for name, topic in here.items()
        for difference in _differences(name, topic, replication, found[name], configs[name])
    ]
    return tuple(name for name in wanted if name not in there), differences


async def _create(
    admin: AIOKafkaAdminClient, missing: Mapping[str, Topic], replication: int
) -> tuple[str, ...]:
    if not missing:
        return ()
    requests = [
        NewTopic(
            name,
            topic.partitions,
            replication,
            topic_configs={**topic.configs(), IN_SYNC: str(in_sync(replication))},
        )
        for name, topic in missing.items()
    ]
    answer = await admin.create_topics(requests)
    made = []
    for result in answer.to_object()["topic_errors"]:
        if result["error_code"] == NO_ERROR:
            made.append(result["topic"])
        elif result["error_code"] != TOPIC_ALREADY_EXISTS:  # another run of this job was faster
            raise TopicNotAsWanted(f"{result['topic']}: not made: {result['error_message']}")
    return tuple(sorted(made))


async def _with_leaders(
    admin: AIOKafkaAdminClient, names: Iterable[str]
) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + LEADER_SECONDS
    while True:
        found = {each["topic"]: each for each in await admin.describe_topics(list(names))}
        waiting = [name for name, topic in found.items() if not _led(topic)]
        if not waiting:
            return found
        if time.monotonic() > deadline:
            raise TopicNotAsWanted(
                f"{', '.join(waiting)}: a partition has no leader after {LEADER_SECONDS:g} s"
            )
        await asyncio.sleep(POLL_SECONDS)


def _led(topic: Mapping[str, Any]) -> bool:
    partitions = topic["partitions"]
    return bool(partitions) and all(
        each["error_code"] == NO_ERROR and each["leader"] >= 0 for each in partitions
    )


async def _configs(
    admin: AIOKafkaAdminClient, wanted: Mapping[str, Topic]
) -> dict[str, dict[str, str]]:
    asked = [
        ConfigResource(
            ConfigResourceType.TOPIC, name, configs=dict.fromkeys((*topic.configs(), IN_SYNC))
        )
        for name, topic in wanted.items()
    ]
    return {
        resource["resource_name"]: {
            entry["config_names"]: entry["config_value"] for entry in resource["config_entries"]
        }
        for answer in await admin.describe_configs(asked)
        for resource in answer.to_object()["resources"]
    }


def _differences(
    name: str,
    topic: Topic,
    replication: int,
    found: Mapping[str, Any],
    configs: Mapping[str, str],
) -> list[Difference]:
    copies = min(len(each["replicas"]) for each in found["partitions"])
    together = int(configs.get(IN_SYNC, 1))
    settings = {
        PARTITIONS: (str(len(found["partitions"])), str(topic.partitions)),
        # More than asked for is no fault.
        REPLICATION: (str(copies), str(max(copies, replication))),
        IN_SYNC: (str(together), str(max(together, in_sync(copies)))),
    }
    settings |= {key: (configs.get(key, "unset"), value) for key, value in topic.configs().items()}
    return [
        Difference(name, setting, value, wanted)
        for setting, (value, wanted) in settings.items()
        if value != wanted
    ]
