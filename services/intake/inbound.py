"""Inbound events as partners send them: CloudEvents 1.0 on Kafka, binary or structured.

Nothing is known of who wrote a record but the topic it came by; what it says is read here and
judged in `gate`.
"""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import StringConstraints, TypeAdapter, ValidationError

from shared.contracts.base import EventId, EventSource, Instant
from shared.errors import Refused
from shared.profile import SourceText
from shared.store import FACT_LIMIT

_TYPE: Final = re.compile(r"wishgrid\.([a-z-]{1,40})\.v1")
_ID: Final[TypeAdapter[EventId]] = TypeAdapter(
    Annotated[EventId, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]
)
_SOURCE: Final[TypeAdapter[EventSource]] = TypeAdapter(SourceText)
_TIME: Final[TypeAdapter[Instant]] = TypeAdapter(Instant)
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""It stays in facts for ever, so it can be nothing else."""
_STRUCTURED: Final = "application/cloudevents+json"
_READ: Final = ("id", "source", "specversion", "type", "time")
"""The attributes that mean something here."""
_GARBLED: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands in names of headers for what is not UTF-8, see `shared.kafka_headers`."""
_OPENED: Final = 1024 * 1024
"""Bytes of an envelope that is opened to see whose it is. A record that was compressed may have
any size."""

T = TypeVar("T")
Headers = Iterable[tuple[str, bytes | None]]


class Illegible(Refused):
    """A record that is no event. `id` and `source` are there if they could be read; `raw` is as
    in Event."""

    def __init__(
        self,
        code: str,
        field: str | None = None,
        *,
        source: EventSource | None = None,
        id: EventId | None = None,
        raw: bytes = b"",
    ) -> None:
        super().__init__(code, field=field)
        self.source = source
        self.id = id
        self.raw = raw

    @property
    def named(self) -> bool:
        """Whether the sender knows which one is meant."""
        return self.source is not None and self.id is not None


@dataclass(frozen=True, slots=True)
class Event:
    """One inbound event. `body` is its data, a JSON object; `verb` what its type asks for, None
    for a type that nobody knows; `raw` all it says, to tell it from another under the same id."""

    source: EventSource
    id: EventId
    verb: str | None
    time: Instant | None
    body: dict[str, Any]
    raw: bytes
    traceparent: str | None = None


def read_event(value: bytes | None, headers: Headers) -> Event:
    """The event in a Kafka record. Raises Illegible, with what could be read of its id.

    It is structured where the content type says so or no header is an attribute, else binary.
    """
    whole = value or b""
    seen = _seen(headers)
    said, data = _envelope(whole) if seen.structured else (seen.said, whole)
    id_, source = _read(_ID, said.get("id")), _read(_SOURCE, said.get("source"))
    raw = orjson.dumps([said.get(name) for name in _READ]) + whole

    def illegible(code: str, field: str | None = None) -> Illegible:
        return Illegible(code, field, source=source, id=id_, raw=raw)

    if seen.twice is not None:
        raise illegible("duplicate-attribute", seen.twice)
    if id_ is None:
        raise illegible("no-event-id", "id")
    if source is None:
        raise illegible("no-event-source", "source")
    if seen.garbled:
        raise illegible("unreadable-header")
    if len(whole) > FACT_LIMIT:
        raise illegible("too-large")
    if said.get("specversion") != "1.0":
        raise illegible("unknown-specversion", "specversion")
    time = _time(said.get("time"))
    if time is None and "time" in said:
        raise illegible("invalid-event", "time")
    try:
        body = _object(data)
    except ValueError:
        raise illegible("unreadable-event", "data") from None
    kind = _TYPE.fullmatch(said.get("type") or "")
    return Event(source, id_, kind and kind[1], time, body, raw, seen.traceparent)


@dataclass(slots=True)
class _Seen:
    """What the headers say. `twice`: an attribute that is there twice, and so not at all;
    `garbled`: one has a name that does not read."""

    said: dict[str, str | None]
    structured: bool = True
    twice: str | None = None
    garbled: bool = False
    traceparent: str | None = None


def _seen(headers: Headers) -> _Seen:
    seen, content_type = _Seen({}), ""
    for name, value in headers:
        lower, text = name.lower(), _text(value)
        attribute = lower.removeprefix("ce_")
        seen.garbled = seen.garbled or _GARBLED in name
        if lower == "content-type":
            content_type = (text or "").lower()
        elif lower == "traceparent":
            seen.traceparent = text if _TRACEPARENT.fullmatch(text or "") else None
        elif attribute in _READ and lower != attribute and value is not None:
            seen.twice = attribute if attribute in seen.said else seen.twice
            seen.said[attribute] = None if attribute == seen.twice else text
    seen.structured = content_type.startswith(_STRUCTURED) or not seen.said
    return seen


def _envelope(raw: bytes) -> tuple[dict[str, str | None], object]:
    """Attributes and data of a structured event; null is not said. Raises Illegible where nothing
    can be read of it."""
    if len(raw) > _OPENED:
        raise Illegible("too-large", raw=raw)
    try:
        envelope = _object(raw)
    except ValueError:
        raise Illegible("unreadable-event", raw=raw) from None
    said = {
        name: text if isinstance(text, str) else None
        for name in _READ
        if (text := envelope.get(name)) is not None
    }
    data, encoded = envelope.get("data"), envelope.get("data_base64")
    if encoded is None:
        return said, data
    try:
        return said, base64.b64decode(encoded, validate=True) if data is None else None
    except (ValueError, TypeError):
        return said, None


def _object(data: object) -> dict[str, Any]:
    read = orjson.loads(data) if isinstance(data, bytes) else data  # no NaN, no broken Unicode
    if not isinstance(read, dict):
        raise ValueError("no JSON object")
    return read


def _text(raw: bytes | None) -> str | None:
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        return None


def _time(text: str | None) -> Instant | None:
    """RFC 3339 and nothing else that could be taken for an instant."""
    return _read(_TIME, text) if text is not None and _RFC_3339.fullmatch(text) else None


def _read(form: TypeAdapter[T], text: str | None) -> T | None:
    try:
        return None if text is None else form.validate_python(text)
    except ValidationError:
        return None
