"""What partners said on their topics, and whether each of their events was answered."""

from collections.abc import AsyncIterator
from typing import Final

from deploy.lag import Installation
from services.intake.inbound import Illegible, read_event
from shared.contracts.answers import EventAnswer, answers_topic, inbound_topic
from shared.contracts.base import PartnerId
from shared.kafka import DEAD, Record
from shared.mongo import Client, database
from tests.chaos.published import Published, records_of, topics_of

_INBOUND: Final = inbound_topic(PartnerId(""))[: -len(".v1")]


async def not_answered(mongo: Client, place: Installation, told: Published) -> list[str]:
    """Events of partners that nobody answered, and refusals that were decided and not told."""
    found = []
    buried = await _buried(place)
    names = await topics_of(place.kafka, place.topic_prefix + _INBOUND)
    async for record in records_of(place.kafka, names):
        where = (
            f"{record.topic.removeprefix(place.topic_prefix)}:{record.partition}:{record.offset}"
        )
        partner = PartnerId(record.topic.removeprefix(place.topic_prefix).split(".")[2])
        if place.topic_prefix + answers_topic(partner) not in told.topics:
            if where not in buried:
                found.append(f"{where} has neither an answer nor a dead letter")
        elif not told.answered & _names(record, where):
            found.append(f"{where} was never answered")
    return found + [line async for line in _untold(mongo, place, told)]


def _names(record: Record, where: str) -> set[tuple[str, str]]:
    """How an answer may name the event in this record."""
    try:
        event = read_event(record.value, record.headers)
    except Illegible as wrong:
        if not wrong.named:
            return {("", where)}
        return {(str(wrong.source), str(wrong.id))}
    return {(event.source, event.id)}


async def _buried(place: Installation) -> set[str]:
    """The places of the records that became dead letters."""
    names = await topics_of(place.kafka, place.topic_prefix + DEAD)
    return {
        (dict(record.headers).get("place") or b"").decode("utf-8", "replace")
        async for record in records_of(place.kafka, names)
    }


async def _untold(mongo: Client, place: Installation, told: Published) -> AsyncIterator[str]:
    claims = database(mongo, f"{place.database_prefix}_intake")["inbound"]
    async for claim in claims.find({"answer": {"$exists": True}}):
        answer = EventAnswer.model_validate(claim["answer"])
        if answer.model_dump_json(exclude_none=True).encode() not in told.answers:
            yield f"event {claim['place']} was refused ({answer.code}) and its partner not told"
