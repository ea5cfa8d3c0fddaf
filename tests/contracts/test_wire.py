"""A fact on Kafka: what is sent is what is read, and what does not read says why."""

import json

import pytest

from shared.contracts.base import FactId, StoryId, StreamId
from shared.contracts.recorded import (
    Recorded,
    Unreadable,
    fact_id,
    from_wire,
    kind_of,
    story_of,
    stream_id,
    to_wire,
)
from shared.contracts.registry import UnknownFact, decode_document, decode_json
from tests.build import CASE_FACTS, CASE_STREAM, STORY, WISH_FACTS, WISH_STREAM, recorded, told

WHOLE_STORY = [*told(WISH_FACTS, "wish"), *told(CASE_FACTS, "case")]
SENT = recorded(CASE_FACTS[3], CASE_STREAM, 4, causation=FactId(f"{WISH_STREAM}@1"))
OPTIONAL = {"content-type", "ce_specversion", "ce_source", "ce_subject", "ce_dataschema"}
"""Headers for others to route and filter by; we read the ones that say the same."""


def headers_of(fact: Recorded) -> dict[str, bytes]:
    return dict(to_wire(fact)[2])


def value_of(fact: Recorded) -> bytes:
    return to_wire(fact)[1]


@pytest.mark.parametrize(
    "fact", WHOLE_STORY, ids=lambda fact: fact.id.partition("-")[0] + fact.id[-2:]
)
def test_what_is_sent_is_what_is_read(fact: Recorded) -> None:
    key, value, headers = to_wire(fact)
    assert from_wire(value, headers) == fact
    assert key.decode() == fact.story


def test_cause_and_trace_travel_with_a_fact() -> None:
    traced = Recorded(
        **{
            **{name: getattr(SENT, name) for name in Recorded.__slots__},
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        }
    )
    _, value, headers = to_wire(traced)
    assert from_wire(value, headers) == traced


@pytest.mark.parametrize("name", sorted(headers_of(SENT).keys() - OPTIONAL - {"ce_causationid"}))
def test_a_missing_header_is_named(name: str) -> None:
    headers = [(n, v) for n, v in headers_of(SENT).items() if n != name]
    with pytest.raises(Unreadable, match=f"header '{name}' is missing"):
        from_wire(value_of(SENT), headers)


@pytest.mark.parametrize("name", sorted([*OPTIONAL, "ce_causationid"]))
def test_headers_that_only_repeat_may_be_missing(name: str) -> None:
    headers = [(n, v) for n, v in headers_of(SENT).items() if n != name]
    assert from_wire(value_of(SENT), headers).fact == SENT.fact


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ce_streamversion", b"5"),
        ("ce_streamversion", b"four"),
        ("ce_id", b"4"),
        ("ce_type", b"unit-reported.v1"),
        ("ce_id", b"wish-" + CASE_STREAM.partition("-")[2].encode() + b"@4"),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-03-02T08:00:00"),
        ("ce_town", b"\xff"),
    ],
)
def test_headers_that_contradict_or_do_not_read_are_unreadable(name: str, text: bytes) -> None:
    with pytest.raises(Unreadable):
        from_wire(value_of(SENT), {**headers_of(SENT), name: text}.items())


@pytest.mark.parametrize("body", [None, b"", b"{", b"{}", b"[]", b'{"type": "unit-reported.v1"}'])
def test_a_known_type_with_a_broken_body_is_unreadable(body: bytes | None) -> None:
    with pytest.raises(Unreadable):
        from_wire(body, to_wire(SENT)[2])


def test_a_body_of_another_type_than_its_header_is_unreadable() -> None:
    closed = value_of(recorded(CASE_FACTS[10], CASE_STREAM, 4))
    with pytest.raises(Unreadable, match=r"should be 'unit-reported\.v1'"):
        from_wire(closed, to_wire(SENT)[2])
    headers = {**headers_of(SENT), "ce_type": b"wishgrid.case-lent.v1"}
    with pytest.raises(Unreadable, match=r"'case-closed\.v1' was sent as 'case-lent\.v1'"):
        from_wire(closed, headers.items())


def test_a_type_of_a_later_build_keeps_its_fields_and_is_sent_on_whole() -> None:
    body = {"type": "case-lent.v1", "by": "community:west", "to": "t9", "why": {"rule": "12"}}
    fact = decode_json("case-lent.v1", json.dumps(body).encode())
    assert isinstance(fact, UnknownFact)
    assert fact.model_dump() == body
    assert decode_document(body) == fact
    sent = recorded(fact, CASE_STREAM, 4)
    _, value, headers = to_wire(sent)
    assert json.loads(value) == body
    assert from_wire(value, headers) == sent


def test_a_field_of_a_later_build_is_read_past_and_passed_on() -> None:
    body = {**json.loads(value_of(SENT)), "since": "a later build"}
    read = from_wire(json.dumps(body).encode(), to_wire(SENT)[2])
    assert read.fact.model_dump(exclude={"since"}) == SENT.fact.model_dump()
    assert json.loads(to_wire(read)[1]) == body
    assert decode_document(body).model_dump(mode="json", exclude_none=True) == body


def test_ids_of_story_stream_and_fact_agree() -> None:
    stream = stream_id("case", STORY)
    assert stream == f"case-{STORY}"
    assert (kind_of(stream), story_of(stream)) == ("case", STORY)
    assert fact_id(stream, 7) == f"{stream}@7"
    assert (SENT.id, SENT.story) == (fact_id(CASE_STREAM, 4), STORY)
    assert story_of(StreamId("wish-a-b-c")) == StoryId("a-b-c")
