"""Kafka as a service needs it: answering, with all topics, each as it must be and whole."""

import contextlib

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from deploy.doctor.faults import Diagnosis
from deploy.kafka_door import lets_in
from deploy.lag import Installation, extents
from deploy.topics import PARTITIONS, REPLICATION, Difference, Topic, compare_topics, topics_of
from shared.kafka_access import KafkaAccess
from shared.town import Towns


async def look_at_kafka(place: Installation, towns: Towns | None, found: Diagnosis) -> bool:
    """Whether there are facts to be read."""
    wanted = topics_of(towns.partners() if towns is not None else (), facts=place.facts)
    try:
        missing, differences = await compare_topics(
            place.kafka, prefix=place.topic_prefix, topics=wanted
        )
        facts = place.topic_prefix + place.facts
        counts = {d.topic: int(d.value) for d in differences if d.setting == PARTITIONS}
        count = counts.get(facts, Topic(facts).partitions)
        headless = facts not in missing and await _lacks_its_head(place, facts, count)
    except (KafkaError, OSError) as failed:
        await _say_why(place.kafka, failed, found)
        found.unseen.append("what Kafka holds")
        return False
    if missing:
        found.add("topics-missing", topics=", ".join(missing))
    for difference in differences:
        _add(difference, place, found)
    if headless:
        found.add("log-without-head", topic=facts)
    return facts not in missing


async def _say_why(kafka: KafkaAccess, failed: Exception, found: Diagnosis) -> None:
    """A wrong password and a broker that is away are one error to clients."""
    with contextlib.suppress(KafkaError, OSError):
        if kafka.user is not None and not await lets_in(kafka):
            found.add("kafka-shut", where=kafka, user=kafka.user)
            return
    found.add("kafka-away", where=kafka, why=type(failed).__name__)


def _add(difference: Difference, place: Installation, found: Diagnosis) -> None:
    name = "topic-differs"
    if difference.setting in (PARTITIONS, REPLICATION):
        of_facts = difference.topic == place.topic_prefix + place.facts
        name = "topic-cut-wrong" if of_facts else "topic-to-make-again"
    found.add(name, **difference._asdict())


async def _lacks_its_head(place: Installation, facts: str, count: int) -> bool:
    partitions = [TopicPartition(facts, n) for n in range(count)]
    begins, _ = await extents(place, partitions)
    return any(begins.values())
