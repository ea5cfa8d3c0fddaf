"""The messages of the contract: what partners send and are answered, and every fact."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from deploy.contract import headers
from deploy.contract.examples import (
    Example,
    answer_examples,
    event_example,
    event_type,
    fact_example,
)
from deploy.contract.schemas import EVENTS, illustrated, sent, shared_parts, taken
from shared.contracts.answers import ANSWER_TYPE, EventAnswer
from shared.contracts.recorded import TYPE_PREFIX, schema_name
from shared.contracts.registry import FACT_STREAMS, FACTS
from shared.profile import Verb

Schema = dict[str, Any]

ANSWER: Final = ANSWER_TYPE.removeprefix(TYPE_PREFIX)
STRUCTURED: Final = ".structured"
"""Ends the name of an event's message in structured mode."""

OPERATIONS: Final[Mapping[Verb, tuple[str, str]]] = {
    "wish-submitted": ("submitWish", "点单. Hand in a matter under your own reference."),
    "hazard-raised": (
        "raiseHazard",
        "隐患上报. Hand in a hazard: its kind is the one agreed for you.",
    ),
    "unit-reported": ("reportIn", "报到. A unit has taken up the case it was named for."),
    "progress-reported": ("reportProgress", "办理. A unit says how far it is."),
}
"""By what an event asks for the name of the operation, and what it does."""

_BY_REFERENCE: Final = "Order is promised for records with one key: use your reference."
_BY_EVENT: Final = "The id of the event that is answered, or the record's place where it has none."
_BY_STORY: Final = "The story: all that became true of one matter is in one partition, in order."


def inbound_name(verb: Verb, *, structured: bool = False) -> str:
    """The name of a partner's message, apart from the fact of the same type."""
    return f"inbound.{verb}.v1{STRUCTURED if structured else ''}"


def messages_into(shared: dict[str, Schema]) -> Iterator[tuple[str, Schema]]:
    """Every message by its name; the schemas of their payloads are put into `shared`."""
    for verb in EVENTS:
        yield inbound_name(verb), _event(verb, shared)
        yield inbound_name(verb, structured=True), _structured_event(verb)
    yield ANSWER, _answer(shared)
    for tag in FACTS:
        yield tag, _fact(tag, shared)


def _event(verb: Verb, shared: dict[str, Schema]) -> Schema:
    example, name, type_ = event_example(verb), inbound_name(verb), event_type(verb)
    shared[name] = illustrated(shared_parts(taken(verb), shared), example.payload)
    text = f"{OPERATIONS[verb][1]}\n\nAt most 256 KB."
    said = _message(type_, text, headers.of_event(type_), _schema(name))
    return {**said, **_record("partner", _BY_REFERENCE, [example])}


def _structured_event(verb: Verb) -> Schema:
    type_ = event_type(verb)
    attributes = headers.attributes(type_)
    data = _schema(inbound_name(verb))
    envelope = {
        "type": "object",
        "properties": {
            **attributes,
            "datacontenttype": {"type": "string", "const": headers.JSON},
            "data": data,
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }
    text = f"{OPERATIONS[verb][1]}\n\nIn structured mode: attributes and data are one object."
    said = _message(type_, text, headers.of_structured_event(), envelope)
    example = event_example(verb, structured=True)
    record = _record("partner", _BY_REFERENCE, [example])
    return {**said, **record, "contentType": headers.STRUCTURED}


def _answer(shared: dict[str, Schema]) -> Schema:
    examples = list(answer_examples())
    told = {name: text for each in reversed(examples) for name, text in each.payload.items()}
    shared[ANSWER] = illustrated(shared_parts(sent(EventAnswer), shared), told)
    text = f"One answer to each event, perhaps seen twice.\n\n{EventAnswer.__doc__}"
    said = _message(ANSWER_TYPE, text, headers.of_answer(), _schema(ANSWER))
    return {**said, **_record("partner", _BY_EVENT, examples)}


def _fact(tag: str, shared: dict[str, Schema]) -> Schema:
    example, type_ = fact_example(tag), TYPE_PREFIX + tag
    shared[tag] = illustrated(shared_parts(sent(FACTS[tag]), shared), example.payload)
    text = FACTS[tag].__doc__ or ""
    said = headers.of_fact(FACT_STREAMS[tag], type_, schema_name(tag))
    message = _message(type_, text, said, _schema(tag))
    return {**message, **_record("reader", _BY_STORY, [example])}


def _schema(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _message(type_: str, text: str, said: Schema, payload: Schema) -> Schema:
    summary, _, more = text.partition("\n\n")
    return {
        "name": type_,
        "title": type_,
        "summary": " ".join(summary.split()),
        **({"description": " ".join(more.split())} if more else {}),
        "contentType": headers.JSON,
        "headers": said,
        "payload": payload,
    }


def _record(whose: str, key: str, examples: Iterable[Example]) -> Schema:
    """The record that a message is: whose business, by which key, and what it looks like."""
    by_key = {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}
    return {
        "tags": [{"name": whose}],
        "bindings": {"kafka": by_key},
        "examples": [
            {"name": each.name, "headers": dict(each.headers), "payload": each.payload}
            for each in examples
        ],
    }
