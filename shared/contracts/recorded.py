"""One recorded fact with what is known around it, and its form on Kafka.

CloudEvents 1.0, binary mode: attributes are headers, the value is the fact as JSON, the key is
the story. `ce_id` is derived from stream and version, so a fact published twice says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.contracts.base import (
    CommandId,
    FactId,
    ProfileVersion,
    StoryId,
    StreamId,
    TownId,
)
from shared.contracts.registry import FACT_STREAMS, AnyFact, decode_json

TYPE_PREFIX: Final = "wishgrid."


class Unreadable(ValueError):
    """Bytes from Kafka that are not one of our facts; `str()` says where it failed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A fact, where it stands and when: `occurred` is claimed, `recorded` is our clock."""

    fact: AnyFact
    stream: StreamId
    version: int
    town: TownId
    profile: ProfileVersion
    occurred: datetime
    recorded: datetime
    command_id: CommandId
    correlation: str
    causation: FactId | None = None
    traceparent: str | None = None

    @property
    def id(self) -> FactId:
        return fact_id(self.stream, self.version)

    @property
    def story(self) -> StoryId:
        return story_of(self.stream)


def fact_id(stream: StreamId, version: int) -> FactId:
    """`<stream>@<version>`, the name of a fact and a position to wait for."""
    return FactId(f"{stream}@{version}")


def stream_id(kind: str, story: StoryId) -> StreamId:
    """The stream of `kind` (wish, case, …) in a story."""
    return StreamId(f"{kind}-{story}")


def story_of(stream: StreamId) -> StoryId:
    """The story a stream belongs to."""
    return StoryId(stream.partition("-")[2])


def kind_of(stream: StreamId) -> str:
    """`wish`, `case`, …: the part of the story this stream tells."""
    return stream.partition("-")[0]


def schema_name(tag: str) -> str:
    """What `ce_dataschema` calls the schema of a type; the schema's `$id`."""
    return f"urn:wishgrid:schema:{tag}"


def to_wire(recorded: Recorded) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the Kafka record."""
    kind = kind_of(recorded.stream)
    tag = recorded.fact.type
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": recorded.id,
        "ce_source": f"/wishgrid/{kind}",
        "ce_type": TYPE_PREFIX + tag,
        "ce_subject": recorded.story,
        "ce_time": recorded.occurred.isoformat(timespec="milliseconds"),
        "ce_dataschema": schema_name(tag),
        "ce_streamversion": str(recorded.version),
        "ce_recordedtime": recorded.recorded.isoformat(timespec="milliseconds"),
        "ce_commandid": recorded.command_id,
        "ce_correlationid": recorded.correlation,
        "ce_town": recorded.town,
        "ce_profileversion": recorded.profile,
    }
    if recorded.causation is not None:
        headers["ce_causationid"] = recorded.causation
    if recorded.traceparent is not None:
        headers["traceparent"] = recorded.traceparent
    body = recorded.fact.model_dump_json(exclude_none=True).encode()
    return recorded.story.encode(), body, [(k, v.encode()) for k, v in headers.items()]


def from_wire(value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Recorded:
    """The fact in a Kafka record. Raises Unreadable, naming what is wrong."""
    try:
        found = {name: raw.decode() for name, raw in headers}
        identity, version = found["ce_id"], int(found["ce_streamversion"])
        stream = StreamId(identity.rpartition("@")[0])
        if fact_id(stream, version) != identity or not found["ce_type"].startswith(TYPE_PREFIX):
            raise Unreadable(f"ce_id {identity!r} and ce_streamversion {version} do not agree")
        causation = found.get("ce_causationid")
        tag = found["ce_type"][len(TYPE_PREFIX) :]
        if FACT_STREAMS.get(tag, kind_of(stream)) != kind_of(stream):
            raise Unreadable(f"{tag} does not belong in {stream}")
        return Recorded(
            fact=decode_json(tag, value or b""),
            stream=stream,
            version=version,
            town=TownId(found["ce_town"]),
            profile=ProfileVersion(found["ce_profileversion"]),
            occurred=_instant(found["ce_time"]),
            recorded=_instant(found["ce_recordedtime"]),
            command_id=CommandId(found["ce_commandid"]),
            correlation=found["ce_correlationid"],
            causation=None if causation is None else FactId(causation),
            traceparent=found.get("traceparent"),
        )
    except KeyError as missing:
        raise Unreadable(f"header {missing} is missing") from missing
    except (ValueError, AttributeError) as wrong:
        raise Unreadable(str(wrong)) from wrong


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise Unreadable(f"{text} names no time zone")
    return at
