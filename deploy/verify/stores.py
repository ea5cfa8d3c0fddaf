"""What the event stores tell, story by story, and what in them is not as it must be."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from shared.contracts.base import CommandId, StoryId, StreamId
from shared.contracts.recorded import Recorded, story_of
from shared.mongo import Client, Database, Document, database
from shared.mongo_store import COMMITS, from_document
from shared.store import Commit

STORES: Final = {"wish": "intake", "case": "dispatch"}
"""Which service's store holds the streams of a kind."""


@dataclass
class Told:
    """A story as the stores have it: the facts of each of its streams in order."""

    story: StoryId
    facts: list[Recorded] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


async def told_stories(mongo: Client, prefix: str) -> AsyncIterator[Told]:
    """Every story there is, once, with the facts of all stores."""
    streams = [
        _streams(database(mongo, f"{prefix}_{service}"), f"{kind}-")
        for kind, service in STORES.items()
    ]
    heads = [await anext(stream, None) for stream in streams]
    while waiting := [head for head in heads if head is not None]:
        story = min(waiting, key=_place).story
        told = Told(story)
        for n, head in enumerate(heads):
            if head is not None and head.story == story:
                told.facts += head.facts
                told.findings += head.findings
                heads[n] = await anext(streams[n], None)
        yield told


async def told_story(mongo: Client, prefix: str, story: StoryId) -> Told:
    """One story with the facts of all stores; without any if there is none."""
    told = Told(story)
    for kind, service in STORES.items():
        async for stream in _streams(database(mongo, f"{prefix}_{service}"), f"{kind}-{story}@"):
            told.facts += stream.facts
            told.findings += stream.findings
    return told


async def stray_commits(mongo: Client, prefix: str) -> list[str]:
    """Commits of streams that do not belong in their store."""
    return [
        f"commit {document['_id']} is in the store of {service}, which has no such streams"
        for kind, service in STORES.items()
        async for document in database(mongo, f"{prefix}_{service}")[COMMITS].find(
            {"_id": {"$not": {"$regex": f"^{kind}-"}}}, {"_id": 1}
        )
    ]


def _place(told: Told) -> str:
    """Stories in the order of their streams' keys, where a version follows the id."""
    return f"{told.story}@"


async def _streams(store: Database, prefix: str) -> AsyncIterator[Told]:
    """The streams whose commits' names begin so, in the order of their stories."""
    those = {"_id": {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}}
    now: list[Document] = []
    async for document in store[COMMITS].find(those).sort("_id", 1):
        if now and _stream(now[0]) != _stream(document):
            yield _checked(now)
            now = []
        now.append(document)
    if now:
        yield _checked(now)


def _stream(document: Document) -> StreamId:
    return StreamId(str(document["_id"]).rpartition("@")[0])


def _checked(documents: list[Document]) -> Told:
    """The commits of one stream: numbered without a hole, and no command decided twice."""
    stream = _stream(documents[0])
    told = Told(story_of(stream))
    decided: dict[CommandId, str] = {}
    following = 1
    for document in documents:
        commit = _read(document, told)
        if commit is None:
            continue
        if commit.first != following:
            told.findings.append(
                f"{stream}@{following} is missing in its store: {commit.stream}@{commit.first} "
                f"is what follows"
            )
        following = commit.last + 1
        if before := decided.get(commit.cause.command_id):
            told.findings.append(
                f"{document['_id']} and {before} were decided by one command, "
                f"{commit.cause.command_id}"
            )
        decided.setdefault(commit.cause.command_id, str(document["_id"]))
        told.facts += commit.recorded_facts()
    return told


def _read(document: Document, told: Told) -> Commit | None:
    try:
        commit = from_document(document)
    except (ValueError, KeyError, TypeError) as wrong:
        told.findings.append(f"commit {document['_id']} does not read: {type(wrong).__name__}")
        return None
    if document["_id"] != f"{commit.stream}@{commit.first:010d}":
        told.findings.append(f"commit {document['_id']} says it is {commit.position}")
    return commit
