"""The contract says what is on the topics: nothing else is sent, and all of it is taken."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from deploy.contract.document import asyncapi, json_schemas
from deploy.contract.examples import event_example, fact_example
from deploy.contract.messages import ANSWER, inbound_name
from deploy.contract.resolving import message_names, resolved
from deploy.contract.schemas import EVENTS
from deploy.topics import topics_of
from services.intake.inbound import Event, read_event
from shared.contracts.answer_codes import ANSWER_CODES
from shared.contracts.answers import EventAnswer, answer_to_wire
from shared.contracts.base import PartnerId
from shared.contracts.recorded import to_wire
from shared.contracts.registry import FACTS, decode_document
from shared.errors import Refused
from shared.profile import Verb
from tests.contracts.test_golden import FILES, golden
from tests.contracts.test_wire import WHOLE_STORY
from tests.intake.test_partner_orders import ordered

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = asyncapi()
MESSAGES: Final[dict[str, Any]] = resolved(DOCUMENT)["components"]["messages"]
SCHEMAS: Final = dict(json_schemas())
FORM: Final = {"invalid-event", "unknown-field"}
"""What the gate says of data that does not fit."""


@cache
def fits(name: str, part: str, *, closed: bool = False) -> Draft202012Validator:
    """What judges the headers or the payload of a message; `closed`: it may have no more."""
    schema = MESSAGES[name][part]
    schema = {**schema, "additionalProperties": False} if closed else schema
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_every_fact_every_event_and_the_answer_have_a_message_on_one_channel() -> None:
    channels = {name: message_names(each) for name, each in DOCUMENT["channels"].items()}
    assert channels["facts"] == list(FACTS)
    assert channels["answers"] == [ANSWER]
    assert set(channels["inbound"]) == {
        inbound_name(verb, structured=mode) for verb in get_args(Verb) for mode in (False, True)
    }
    assert sorted(MESSAGES) == sorted(name for names in channels.values() for name in names)


def test_channels_are_the_topics_that_are_made() -> None:
    wanted = {topic.name: topic for topic in topics_of([PartnerId("{partner}")])}
    for channel in DOCUMENT["channels"].values():
        topic, said = wanted[channel["address"]], channel["bindings"]["kafka"]
        assert said["partitions"] == topic.partitions
        assert said["topicConfiguration"]["retention.ms"] == topic.retention_ms


@pytest.mark.parametrize("name", MESSAGES)
def test_an_example_is_as_its_message_says_and_names_each_header(name: str) -> None:
    for example in MESSAGES[name]["examples"]:
        fits(name, "payload").validate(example["payload"])
        fits(name, "headers", closed=True).validate(example["headers"])
        assert not fits(name, "payload").is_valid(
            {**example["payload"], "said": 7, "by": 7, "id": 7}
        )
        for header in MESSAGES[name]["headers"]["required"]:
            fewer = {n: text for n, text in example["headers"].items() if n != header}
            assert not fits(name, "headers").is_valid(fewer)


def test_a_fact_without_an_example_is_named() -> None:
    with pytest.raises(LookupError, match=r"case-forgotten\.v1: give it an example"):
        fact_example("case-forgotten.v1")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_released_fact_is_as_the_contract_says(file: Path) -> None:
    said = golden(file)
    fits(file.stem, "payload", closed=True).validate(said["value"])
    fits(file.stem, "headers", closed=True).validate(said["headers"])


def test_a_whole_story_on_the_wire_is_as_the_contract_says() -> None:
    for recorded in WHOLE_STORY:
        _, value, headers = to_wire(recorded)
        tag = recorded.fact.type
        fits(tag, "payload", closed=True).validate(json.loads(value))
        fits(tag, "headers", closed=True).validate({n: text.decode() for n, text in headers})


@pytest.mark.parametrize("tag", FACTS)
def test_what_a_fact_must_have_is_required_and_nothing_else(tag: str) -> None:
    (example,) = MESSAGES[tag]["examples"]
    for name in MESSAGES[tag]["payload"]["properties"].keys() & example["payload"].keys():
        fewer = {n: value for n, value in example["payload"].items() if n != name}
        assert fits(tag, "payload").is_valid(fewer) == (name != "type" and reads(tag, fewer)), name


def reads(tag: str, body: dict[str, Any]) -> bool:
    """Whether it is a fact of this type."""
    try:
        return decode_document(body).type == tag
    except ValidationError:
        return False


def test_an_answer_says_nothing_that_the_contract_does_not_say() -> None:
    whole = {**MESSAGES[ANSWER]["examples"][1]["payload"], "field": "ref", "place": "t:0:1"}
    assert whole.keys() == EventAnswer.model_fields.keys()
    _, value, headers = answer_to_wire("e", "gate", EventAnswer(**whole), "2026-03-02T08:00:00Z")
    fits(ANSWER, "payload", closed=True).validate(json.loads(value))
    fits(ANSWER, "headers", closed=True).validate({n: text.decode() for n, text in headers})


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_stands_alone_and_is_found_by_the_header(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    for example in MESSAGES[name]["examples"]:
        Draft202012Validator(schema).validate(example["payload"])
        assert example["headers"].get("ce_dataschema", schema["$id"]) == schema["$id"]
    assert "#/components" not in json.dumps(schema)


def test_every_field_that_a_partner_says_is_explained_and_shown() -> None:
    shown: dict[str, set[str]] = {}
    for verb in EVENTS:
        for name, field in MESSAGES[inbound_name(verb)]["payload"]["properties"].items():
            assert field.get("description"), f"{verb}: {name}"
            shown.setdefault(name, set()).update(map(str, field.get("examples", ())))
    nowhere = {name for name, examples in shown.items() if not examples}
    assert nowhere <= {"story"}, "story is said instead of ref"


VALUES: Final[tuple[Any, ...]] = (
    None, 7, "", "  ", " a ", "甲", "a", "a" * 201, "a" * 4001, [], {}, True,
)  # fmt: skip


def changed(example: dict[str, Any], known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The data of an event with one thing otherwise: as it may be, and as it may not."""
    story = "6f1c2b1e-58a3-5d64-9a55-0c1f6a0b7c11"
    yield example
    yield {**example, "made_up": "x"}
    yield {**example, "story": story}
    yield {**{n: value for n, value in example.items() if n != "ref"}, "story": story}
    yield {**example, "ref": None, "story": story}
    for name in known:
        yield {n: value for n, value in example.items() if n != name}
        yield from ({**example, name: value} for value in VALUES)


@pytest.mark.parametrize("verb", EVENTS)
def test_the_gate_takes_what_fits_the_contract_and_refuses_what_does_not(verb: Verb) -> None:
    name = inbound_name(verb)
    taken, refused = 0, 0
    for data in changed(event_example(verb).payload, MESSAGES[name]["payload"]["properties"]):
        code = code_of(verb, data)
        if fits(name, "payload").is_valid(data):
            assert code not in FORM, (data, code)
            taken += 1
        else:
            assert code is not None, data
            refused += 1
    assert taken > 5
    assert refused > 30


def code_of(verb: Verb, data: dict[str, Any]) -> str | None:
    """Why the gate refuses an event with this data, in either mode; None if it does not."""
    codes: set[str | None] = set()
    for structured in (False, True):
        sent = event_example(verb, structured=structured)
        body = {**sent.payload, "data": data} if structured else data
        try:
            ordered(event_in(sent.headers, body))
            codes.add(None)
        except Refused as refusal:
            codes.add(refusal.code)
    (code,) = codes
    return code


def event_in(headers: Any, body: Any) -> Event:
    """The event in a record of a partner."""
    said = [(name, text.encode()) for name, text in headers.items()]
    return read_event(json.dumps(body).encode(), said)


ID_TRIES: Final = ("e-1", "~" * 200, "~" * 201, "", "a b", "é", "\x7f")


@pytest.mark.parametrize("header", ["ce_id", "ce_source"])
@pytest.mark.parametrize("text", ID_TRIES)
def test_the_gate_reads_the_ids_that_the_contract_allows(header: str, text: str) -> None:
    sent = event_example("unit-reported")
    headers = {**sent.headers, header: text}
    try:
        event_in(headers, sent.payload)
        read = True
    except Refused:
        read = False
    assert fits(inbound_name("unit-reported"), "headers").is_valid(headers) == read


AT_THE_GATE: Final = ("gate", "inbound", "partner_events", "partner_orders")
OVER_HTTP: Final = {
    "already-accepted", "already-dispatched", "already-lead", "already-rated", "already-settled",
    "already-verified", "already-withdrawn", "bad-position", "key-reused", "no-lead-yet", "no-unit",
    "not-accepted", "not-resolved", "not-resolved-yet", "not-the-lead", "not-yet",
    "not-yours-to-settle",
    "occurred-before-submission", "rating-awaited", "repeated-parameter", "unknown-owner",
    "unknown-parameter", "unknown-rule", "unknown-unit", "unknown-wish", "verification-not-asked",
}  # fmt: skip
"""Codes of refusals that no event can meet."""


def codes_in(source: str) -> set[str]:
    """Every code that a module refuses by."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            # One of several may be chosen there: every word of the argument counts.
            words = [
                each.value
                for each in ast.walk(node.args[0])
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            ]
            if name in ("Refused", "Illegible", "illegible"):
                found |= {word for word in words if not word.endswith("-")}
            elif name == "check_code":
                found |= {f"unknown-{word}" for word in words}
    return found


def test_every_code_of_a_refusal_is_told_to_partners_or_known_to_be_of_http() -> None:
    everywhere: set[str] = set()
    for folder in ("services/intake", "services/dispatch", "shared"):
        for file in (ROOT / folder).rglob("*.py"):
            codes = codes_in(file.read_text(encoding="utf-8"))
            if file.parent.name == "intake" and file.stem in AT_THE_GATE:
                assert codes <= ANSWER_CODES.keys(), file
            everywhere |= codes
    assert everywhere - OVER_HTTP == ANSWER_CODES.keys()
    assert everywhere >= OVER_HTTP


def test_a_new_code_is_noticed() -> None:
    source = 'raise Refused("made-up" if x else "too", field="f")\nprofile.check_code("thing", 1)'
    assert codes_in(source) == {"made-up", "too", "unknown-thing"}


def test_the_readme_of_the_gate_lists_the_codes_of_the_contract() -> None:
    text = (ROOT / "services/intake/README.md").read_text(encoding="utf-8")
    table = text.partition("| code | |")[2].partition("\n\n")[0]
    listed = {code for row in table.splitlines() for code in re.findall(r"`([a-z-]+)`", first(row))}
    assert listed == ANSWER_CODES.keys()


def first(row: str) -> str:
    """The first cell of a row of a table."""
    return row.strip("| ").partition("|")[0]
