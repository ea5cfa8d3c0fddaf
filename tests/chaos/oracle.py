"""Was anything lost, or done twice? Asked of an installation at rest, one sentence per violation.

What clients were told is done is in its store exactly once; Kafka without its duplicates is the
stores, byte for byte; every read model is what the stores fold into; every fact was reacted to,
every partner's event answered, and every sealed text has its key.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deploy.lag import Installation
from deploy.verify import findings
from deploy.verify.stores import STORES
from shared.contracts.base import CommandId, FactId, StreamId
from shared.kafka_headers import read_every_name
from shared.mongo import Client, connect, database
from shared.mongo_store import COMMITS, from_document
from shared.store import Commit
from shared.town import Towns
from tests.chaos.heard import not_answered
from tests.chaos.owed import not_reacted_to
from tests.chaos.published import read_published
from tests.chaos.rest import Restless, settled

__all__ = ["Acknowledged", "Restless", "duplicates", "settled", "violations"]

_MOST_LINES: Final = 20
"""So many sentences of one kind are told; what is wrong in a thousand places is told once."""


@dataclass(frozen=True)
class Acknowledged:
    """What a client was told is done. `command` is None where it is not known, and where the
    answer was `already-so`: then another command did it."""

    service: str
    position: FactId
    command: CommandId | None


async def violations(
    place: Installation, towns: Towns, acknowledged: Sequence[Acknowledged]
) -> list[str]:
    """What is not as it must be; nothing when all is well. Raises deploy.lag.Away."""
    mongo = connect(place.mongo)
    read_every_name()
    try:
        stores = {
            service: await _commits(mongo, f"{place.database_prefix}_{service}")
            for service in STORES.values()
        }
        told = await read_published(place)
        found = await findings(place, towns)
        for service, commits in stores.items():
            mine = [each for each in acknowledged if each.service == service]
            found += _shortened(_not_there_once(mine, commits))
            found += _shortened(told.not_as_stored(commits))
        found += _shortened(_of_no_service(acknowledged))
        found += _shortened(told.said_otherwise())
        found += _shortened(await not_reacted_to(mongo, place, towns, stores))
        found += _shortened(await not_answered(mongo, place, told))
        found += _shortened(await _without_a_key(mongo, place, stores))
        return found
    finally:
        mongo.close()


async def duplicates(place: Installation) -> int:
    """How many records of the topics of facts and answers say again what another said before."""
    read_every_name()
    return (await read_published(place)).again


async def _commits(mongo: Client, name: str) -> list[Commit]:
    """Those that read; `findings` tells of the others."""
    commits = []
    async for document in database(mongo, name)[COMMITS].find().sort("_id", 1):
        try:
            commits.append(from_document(document))
        except (ValueError, KeyError, TypeError):
            continue
    return commits


def _not_there_once(
    acknowledged: Iterable[Acknowledged], commits: Iterable[Commit]
) -> Iterator[str]:
    """The position of each is a commit's, and its command decided that commit and no other."""
    ends: set[FactId] = set()
    decided: dict[tuple[StreamId, CommandId], list[FactId]] = {}
    for commit in commits:
        ends.add(commit.position)
        decided.setdefault((commit.stream, commit.cause.command_id), []).append(commit.position)
    for each in acknowledged:
        if each.position not in ends:
            yield f"{each.position} was acknowledged by {each.service} and is not in its store"
        elif each.command is not None:
            stream = StreamId(each.position.rpartition("@")[0])
            by = decided.get((stream, each.command), [])
            if by != [each.position]:
                where = ", ".join(by) or "nowhere"
                yield f"{each.position} was acknowledged; its command {each.command} is at {where}"


def _of_no_service(acknowledged: Iterable[Acknowledged]) -> Iterator[str]:
    known = set(STORES.values())
    for each in acknowledged:
        if each.service not in known:
            yield f"{each.position} was acknowledged by {each.service}, which has no store"


async def _without_a_key(
    mongo: Client, place: Installation, stores: Mapping[str, Iterable[Commit]]
) -> list[str]:
    """A text whose key is not there, and was not erased, is lost for good."""
    found = database(mongo, f"{place.database_prefix}_keys")["keys"].find({}, {"_id": 1})
    known = {document["_id"] async for document in found}
    return [
        f"{commit.position} has a text sealed for {subject}, of whom there is no key"
        for commits in stores.values()
        for commit in commits
        for subject in sorted({s for fact in commit.facts for s in _subjects(fact.model_dump())})
        if subject not in known
    ]


def _subjects(said: Any) -> Iterator[str]:
    """For whom anything in it is sealed."""
    if isinstance(said, Mapping):
        if said.keys() == {"subject", "box"}:
            yield str(said["subject"])
        else:
            for each in said.values():
                yield from _subjects(each)
    elif isinstance(said, list | tuple):
        for each in said:
            yield from _subjects(each)


def _shortened(sentences: Iterable[str]) -> list[str]:
    told = list(sentences)
    more = len(told) - _MOST_LINES
    return told if more <= 0 else [*told[:_MOST_LINES], f"… and {more} more of this kind"]
