"""How an inbound record reads, and that none of them does anything else but not read."""

import base64
import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.intake.inbound import Illegible, read_event
from shared.store import FACT_LIMIT
from tests.partner import SOURCE, Headers, attributes, binary, data, structured
from tests.spec import tried

BODY = {"ref": "A-1"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CLOUD_EVENT = [("content-type", b"application/cloudevents+json; charset=utf-8")]
BATCH = [("content-type", b"application/cloudevents-batch+json")]


def without(name: str) -> list[tuple[str, bytes]]:
    return [(header, value) for header, value in binary() if header != name]


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (data(BODY), binary()),
        (data(BODY), [(name.upper(), value) for name, value in binary()]),
        (data(BODY), [*binary(), ("content-type", b"application/json"), ("x", b"\xff")]),
        (structured(BODY), []),
        (structured(BODY), CLOUD_EVENT),
        (structured(BODY), [("content-type", b"Application/CloudEvents+JSON")]),
        (structured(BODY), [*CLOUD_EVENT, *binary("another")]),
        (structured(BODY, time=None, subject=None), []),
        (structured(None, data_base64=base64.b64encode(data(BODY)).decode()), []),
    ],
    ids=[
        "binary",
        "binary in capitals",
        "binary beside other headers",
        "structured by its looks",
        "structured by content type",
        "structured by content type in capitals",
        "structured inside, whatever the headers say",
        "null is not said",
        "base64",
    ],
)
def test_one_event_reads_the_same_in_every_form(value: bytes, headers: Headers) -> None:
    event = read_event(value, headers)
    assert (event.source, event.id, event.verb) == (SOURCE, "e-1", "wish-submitted")
    assert (event.time, event.body) == (None, BODY)


@pytest.mark.parametrize(
    ("value", "headers", "code", "field"),
    [
        (None, [], "unreadable-event", None),
        (b"", [], "unreadable-event", None),
        (b"\xff\xfe{", [], "unreadable-event", None),
        (b"[]", BATCH, "unreadable-event", None),
        (b"[" * 500_000, [], "unreadable-event", None),
        (b"{" * 2_000_000, [], "too-large", None),
        (data(BODY), without("ce_id"), "no-event-id", "id"),
        (data(BODY), [*without("ce_id"), ("ce_id", b"\xff\xfe")], "no-event-id", "id"),
        (data(BODY), [*without("ce_id"), ("ce_id", "七".encode())], "no-event-id", "id"),
        (data(BODY), [*without("ce_id"), ("ce_id", b"e" * 201)], "no-event-id", "id"),
        (data(BODY), [*binary(), ("CE_ID", b"e-2")], "duplicate-attribute", "id"),
        (structured(BODY, id=7), [], "no-event-id", "id"),
        (structured(BODY, id=True), [], "no-event-id", "id"),
        (data(BODY), without("ce_source"), "no-event-source", "source"),
        (structured(BODY, source=["/a"]), [], "no-event-source", "source"),
    ],
)
def test_what_has_no_readable_id_has_no_name(
    value: bytes | None, headers: Headers, code: str, field: str | None
) -> None:
    wrong = illegible(value, headers)
    assert (wrong.code, wrong.field, wrong.named) == (code, field, False)


@pytest.mark.parametrize(
    ("value", "headers", "code", "field"),
    [
        (None, binary(), "unreadable-event", "data"),
        (b"", binary(), "unreadable-event", "data"),
        (b"\xff\xfe{}", binary(), "unreadable-event", "data"),
        (b'{"a": NaN}', binary(), "unreadable-event", "data"),
        (b'{"a": "\\ud800"}', binary(), "unreadable-event", "data"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, binary(), "unreadable-event", "data"),
        (b"[]", binary(), "unreadable-event", "data"),
        (structured([]), [], "unreadable-event", "data"),
        (structured(orjson.dumps(BODY).decode()), [], "unreadable-event", "data"),
        (structured(None, data_base64="!"), [], "unreadable-event", "data"),
        (structured(None, data_base64=7), [], "unreadable-event", "data"),
        (structured(BODY, data_base64="e30="), [], "unreadable-event", "data"),
        (data({"a": "x" * FACT_LIMIT}), binary(), "too-large", None),
        (structured({"a": "x" * FACT_LIMIT}), [], "too-large", None),
        (data(BODY), binary(specversion="0.3"), "unknown-specversion", "specversion"),
        (data(BODY), without("ce_specversion"), "unknown-specversion", "specversion"),
        (data(BODY), binary(time="2026-03-02T08:00:00"), "invalid-event", "time"),
        (data(BODY), binary(time="1767225600"), "invalid-event", "time"),
        (data(BODY), binary(time="2026-02-30T08:00:00Z"), "invalid-event", "time"),
        (data(BODY), binary(time="0001-01-01T00:00:00+23:59"), "invalid-event", "time"),
        (data(BODY), binary(time=""), "invalid-event", "time"),
        (data(BODY), [*binary(), ("ce_time", b"\xff")], "invalid-event", "time"),
        (structured(BODY, time=1767225600), [], "invalid-event", "time"),
        (data(BODY), [*binary(), ("ce_type", b"x")], "duplicate-attribute", "type"),
        (data(BODY), [*binary(), ("\ufffd\ufffd", b"x")], "unreadable-header", None),
    ],
)
def test_what_is_no_event_says_whose_it_was_and_where_it_is_wrong(
    value: bytes | None, headers: Headers, code: str, field: str | None
) -> None:
    wrong = illegible(value, headers)
    assert (wrong.code, wrong.field) == (code, field)
    assert (wrong.source, wrong.id) == (SOURCE, "e-1")


@pytest.mark.parametrize("type_", ["", "x", "wishgrid.Wish.v1", "wishgrid.wish-submitted.v1\n"])
def test_a_type_that_is_none_of_ours_reads_and_has_no_verb(type_: str) -> None:
    assert read_event(data(BODY), binary(type=type_)).verb is None


def test_the_trace_of_a_partner_is_taken_over_only_if_it_is_one() -> None:
    assert read_event(data(BODY), [*binary(), ("traceparent", TRACE.encode())]).traceparent == TRACE
    for garbage in (b"zhang san", b"\xff", b"0" * 900_000, TRACE.encode() + b"\n"):
        assert read_event(data(BODY), [*binary(), ("traceparent", garbage)]).traceparent is None


def test_the_same_data_of_another_type_or_time_is_another_event() -> None:
    said = {
        read_event(data(BODY), binary(**more)).raw
        for more in ({}, {"verb": "hazard-raised"}, {"time": "2026-03-02T08:00:00Z"})
    }
    again = read_event(data(BODY), [*binary(), ("traceparent", TRACE.encode())]).raw
    assert len(said) == 3
    assert again in said


SOMETHING = st.one_of(st.none(), st.binary(max_size=200))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20) | st.integers(0, 2**53),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(
    [*(f"ce_{name}" for name in attributes()), "ce_time", "content-type", "ce_"]
)
HEADERS = st.lists(st.tuples(NAMES | st.text(max_size=8), SOMETHING), max_size=12)
ENVELOPES = st.dictionaries(
    st.sampled_from([*attributes(), "time", "data", "data_base64"]) | st.text(max_size=5), JSON
)
VALUES = st.one_of(SOMETHING, JSON.map(orjson.dumps), ENVELOPES.map(orjson.dumps))


@tried(500)
@examples(value=VALUES, headers=HEADERS)
def test_whatever_comes_is_an_event_or_illegible(
    value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    with contextlib.suppress(Illegible):
        event = read_event(value, headers)
        assert event.source
        assert event.id


@tried(200)
@examples(said=st.dictionaries(st.sampled_from([*attributes(), "data", "time"]), JSON))
def test_whatever_an_envelope_says_is_an_event_or_illegible(said: dict[str, Any]) -> None:
    with contextlib.suppress(Illegible):
        assert read_event(orjson.dumps({**attributes(), "data": BODY, **said}), []).id


def illegible(value: bytes | None, headers: Headers) -> Illegible:
    with pytest.raises(Illegible) as wrong:
        read_event(value, headers)
    return wrong.value
