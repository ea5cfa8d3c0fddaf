"""An example of everything on the topics: `examples.yaml`, put on the wire by the code itself."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.contract.headers import JSON, STRUCTURED
from shared.contracts.answers import EventAnswer, answer_to_wire
from shared.contracts.base import CommandId, ProfileVersion, StoryId, StreamId, TownId
from shared.contracts.recorded import TYPE_PREFIX, Recorded, stream_id, to_wire
from shared.contracts.registry import FACT_STREAMS, decode_document
from shared.profile import Verb

FILE: Final = Path(__file__).with_name("examples.yaml")


@dataclass(frozen=True)
class Example:
    """One record: its key, its headers and its value."""

    name: str
    key: str
    headers: Mapping[str, str]
    payload: Any


def event_type(verb: Verb) -> str:
    """`ce_type` of a partner's event."""
    return f"{TYPE_PREFIX}{verb}.v1"


def event_example(verb: Verb, *, structured: bool = False) -> Example:
    """What a partner sends, in binary or structured mode."""
    said = _said()
    data = said["events"][verb]
    attributes = {
        "specversion": "1.0",
        "id": said["event_id"],
        "source": said["source"],
        "type": event_type(verb),
        "time": said["time"],
    }
    if structured:
        envelope = {**attributes, "datacontenttype": JSON, "data": data}
        return Example(verb, data["ref"], {"content-type": STRUCTURED}, envelope)
    headers = {f"ce_{name}": text for name, text in attributes.items()}
    return Example(verb, data["ref"], headers, data)


def answer_examples() -> Iterator[Example]:
    """What a partner may be answered."""
    said = _said()
    for name, answer in said["answers"].items():
        told = EventAnswer.model_validate(answer)
        ce_id, origin = "3f7b0c9e51d2", "gate"
        if told.position is not None:
            ce_id, origin = f"answer-{told.position}", told.position.partition("-")[0]
        yield _record(name, answer_to_wire(ce_id, origin, told, said["recorded"]))


def fact_example(tag: str) -> Example:
    """A fact as the relay publishes it. Raises LookupError for one without an example."""
    said = _said()
    if tag not in said["facts"]:
        raise LookupError(f"{tag}: give it an example in {FILE.name}")
    told = Recorded(
        fact=decode_document({"type": tag, **said["facts"][tag]}),
        stream=_stream(tag),
        version=_version(tag),
        town=TownId(said["town"]),
        profile=ProfileVersion(said["profile"]),
        occurred=datetime.fromisoformat(said["occurred"]),
        recorded=datetime.fromisoformat(said["recorded"]),
        command_id=CommandId(said["command"]),
        correlation=said["correlation"],
        traceparent=said["traceparent"],
    )
    return _record(tag, to_wire(told))


def _stream(tag: str) -> StreamId:
    return stream_id(FACT_STREAMS[tag], StoryId(_said()["story"]))


def _version(tag: str) -> int:
    """Its place among the facts of its stream."""
    told = [each for each in _said()["facts"] if FACT_STREAMS[each] == FACT_STREAMS[tag]]
    return told.index(tag) + 1


def _record(name: str, wire: tuple[bytes, bytes, list[tuple[str, bytes]]]) -> Example:
    key, value, headers = wire
    told = {name: text.decode() for name, text in headers}
    return Example(name, key.decode(), told, json.loads(value))


@cache
def _said() -> Any:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))
