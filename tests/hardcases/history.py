"""A long history: many stories, each as two real services played it, in stores and on a topic.

A few stories are played with the rules; the others are copies of them under ids of their own. The
ids of what reactions decided are derived again for each copy, so that to the services they are as
if they had been played here.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from bson.raw_bson import RawBSONDocument

from services.dispatch import policies as of_dispatch
from services.intake import policies as of_intake
from shared.contracts.base import StoryId
from shared.contracts.recorded import to_wire
from shared.handling import command_id
from shared.mongo import Database
from shared.mongo_store import COMMITS, encode
from shared.store import Commit
from tests.build import APPEAL, STORY
from tests.conftest import new_story
from tests.shared.test_replay import BOTH, played, roundabout, straight, submit

POLICIES: Final = (
    of_intake.NOTE_STAND,
    of_dispatch.OPEN,
    of_dispatch.TAKE_RATING,
    of_dispatch.TAKE_REPORT,
    of_dispatch.TAKE_SETTLEMENT,
    of_dispatch.TAKE_WITHDRAWAL,
)
Services = Collection[str]
EACH: Final[Services] = ("intake", "dispatch")
AT_A_TIME: Final = 5_000
_STORY: Final = STORY.encode()


@dataclass(frozen=True)
class Pattern:
    """One commit of a story that was played: as it is stored, and its facts as they go out."""

    service: str
    stored: bytes
    records: Sequence[tuple[bytes, Sequence[tuple[str, bytes]]]]
    command: bytes
    reaction: tuple[str, str, str] | None
    """What its command id is made of, if a reaction decided it: fact, policy, stream."""


async def patterns() -> list[list[Pattern]]:
    """Some stories: straight, settled on the spot, reopened, and with all that may get in the
    way."""
    reopened = [*straight(STORY, solved=False), *straight(STORY, solved=True)[1:]]
    stories = []
    for first, steps in (
        (submit(APPEAL), straight(STORY, solved=True)),
        (submit(APPEAL, settled=True), []),
        (submit(APPEAL), reopened),
        (submit(BOTH), roundabout(STORY)),
    ):
        town = await played(first, steps)
        assert not town.issues.documents
        wishes = [_pattern("intake", commit) for commit in town.wishes.commits]
        stories.append([*wishes, *(_pattern("dispatch", commit) for commit in town.cases.commits)])
    return stories


class History:
    """So many facts at least, story by story."""

    def __init__(self, stories: Sequence[Sequence[Pattern]], facts: int) -> None:
        self.facts = 0
        self._told: list[tuple[StoryId, Sequence[Pattern]]] = []
        while self.facts < facts:
            pattern = stories[len(self._told) % len(stories)]
            self._told.append((new_story(), pattern))
            self.facts += sum(len(each.records) for each in pattern)

    @property
    def stories(self) -> int:
        """How many."""
        return len(self._told)

    async def store(self, home: Database, service: str) -> int:
        """Into the store of one service; how many commits."""
        stored = 0
        for chunk in _chunks(self._commits(service)):
            await home[COMMITS].insert_many(chunk, ordered=False)
            stored += len(chunk)
        return stored

    async def publish(
        self, producer: AIOKafkaProducer, topic: str, parts: Sequence[Services] = (EACH,)
    ) -> None:
        """Onto a topic, acknowledged: all that the services of one part say before the next."""
        for services in parts:
            sent = []
            for out in self._records(services):
                sent.append(await producer.send(topic, **out))
                if len(sent) > AT_A_TIME:
                    await asyncio.gather(*sent)
                    sent.clear()
            await asyncio.gather(*sent)

    def _records(self, services: Services) -> Iterator[dict[str, Any]]:
        for story, pattern in self._told:
            name = story.encode()
            for commit in pattern:
                if commit.service not in services:
                    continue
                command = _command(commit, story)
                for value, headers in commit.records:
                    own = [
                        (k, command if k == "ce_commandid" else v.replace(_STORY, name))
                        for k, v in headers
                    ]
                    yield {"value": value.replace(_STORY, name), "key": name, "headers": own}

    def _commits(self, service: str) -> Iterator[RawBSONDocument]:
        for story, pattern in self._told:
            name = story.encode()
            for commit in pattern:
                if commit.service == service:
                    stored = commit.stored.replace(_STORY, name)
                    command = _command(commit, story)
                    yield RawBSONDocument(stored.replace(commit.command, command))


def _pattern(service: str, commit: Commit) -> Pattern:
    records = [to_wire(recorded)[1:] for recorded in commit.recorded_facts()]
    command = commit.cause.command_id
    fact = commit.cause.causation
    reaction = None
    if fact is not None:
        (policy,) = (p for p in POLICIES if command_id(fact, p, commit.stream) == command)
        reaction = (str(fact), policy, str(commit.stream))
    return Pattern(service, bytes(encode(commit).raw), records, command.encode(), reaction)


def _command(commit: Pattern, story: StoryId) -> bytes:
    if commit.reaction is None:
        return commit.command
    return command_id(*(part.replace(STORY, story) for part in commit.reaction)).encode()


def _chunks(documents: Iterator[RawBSONDocument]) -> Iterator[list[RawBSONDocument]]:
    chunk: list[RawBSONDocument] = []
    for document in documents:
        chunk.append(document)
        if len(chunk) == AT_A_TIME:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
