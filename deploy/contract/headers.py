"""Schemas of the headers: CloudEvents 1.0 in binary mode, one header per attribute."""

from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.answers import ANSWER_TYPE

Schema = dict[str, Any]

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
PRINTABLE: Final = r"^[\x21-\x7e]{1,200}$"
_TRACE: Final = {
    "type": "string",
    "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "description": "W3C trace context; it is carried on into the facts.",
}


def of_fact(kind: str, type_: str, dataschema: str) -> Schema:
    """Headers of a fact of a `kind` of stream. Cause and trace are there where there is one."""
    always = {
        "content-type": _one(JSON),
        "ce_specversion": _one("1.0"),
        "ce_id": _text(
            "`<stream>@<version>`: the same fact has the same id, however often it is "
            "published. Drop what you have seen.",
            "^[a-z]+-[^@]+@[1-9][0-9]*$",
        ),
        "ce_source": _one(
            f"/wishgrid/{kind}", "`/wishgrid/` and the kind of stream: wish or case."
        ),
        "ce_type": _one(type_, "The type: one of those below."),
        "ce_subject": _text("The story: the record's key too."),
        "ce_time": _instant("When it occurred, as somebody claims."),
        "ce_dataschema": _one(dataschema, "The schema of the data: its `$id`."),
        "ce_streamversion": _text(
            "The fact's version in its stream, from 1, without gaps.", "^[1-9][0-9]*$"
        ),
        "ce_recordedtime": _instant(
            "When it was recorded, by our clock; never before the stream's last."
        ),
        "ce_commandid": _text("The command that led to it. Facts of one command share it."),
        "ce_correlationid": _text("The same in everything that followed from one request."),
        "ce_town": _text("The town."),
        "ce_profileversion": _text("`<n>.<digest>` of the town's profile that was in force."),
    }
    sometimes = {
        "ce_causationid": _text("The fact that it is a reaction to."),
        "traceparent": _TRACE,
    }
    return _headers(always, sometimes)


def of_answer() -> Schema:
    """Headers of an answer."""
    always = {
        "content-type": _one(JSON),
        "ce_specversion": _one("1.0"),
        "ce_id": _text("An answer that is seen twice has one id. Drop what you have seen."),
        "ce_source": _text(
            "Who answers: `/wishgrid/` and the gate, or the stream that decided.",
            "^/wishgrid/[a-z]+$",
        ),
        "ce_type": _one(ANSWER_TYPE),
        "ce_time": _instant("When it was decided."),
    }
    return _headers(always, {"ce_subject": _text("The story, where there is one.")})


def of_event(type_: str) -> Schema:
    """Headers of a partner's event in binary mode."""
    said = attributes(type_)
    always = {f"ce_{name}": said[name] for name in ("specversion", "id", "source", "type")}
    sometimes = {"ce_time": said["time"], "content-type": _one(JSON), "traceparent": _TRACE}
    return _headers(always, sometimes)


def of_structured_event() -> Schema:
    """Headers of a partner's event in structured mode."""
    return _headers({"content-type": _one(STRUCTURED)}, {"traceparent": _TRACE})


def attributes(type_: str) -> dict[str, Schema]:
    """CloudEvents attributes that are read of a partner's event."""
    return {
        "specversion": _one("1.0"),
        "id": _text(
            "Yours, unique within the source. The same event twice is one event.", PRINTABLE
        ),
        "source": _text("One of the sources listed for you.", PRINTABLE),
        "type": _one(type_, "The type: one of those below."),
        "time": _instant("When it occurred, with its offset; absent means now."),
    }


def _headers(always: Mapping[str, Schema], sometimes: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": {**always, **sometimes}, "required": list(always)}


def _one(word: str, text: str | None = None) -> Schema:
    said: Schema = {"type": "string", "const": word}
    return said if text is None else {**said, "description": text}


def _instant(text: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": text}


def _text(text: str, pattern: str | None = None) -> Schema:
    said: Schema = {"type": "string", "description": text}
    return said if pattern is None else {**said, "pattern": pattern}
