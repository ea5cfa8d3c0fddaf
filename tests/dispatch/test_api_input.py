"""Whatever is sent to dispatch, it is an answer or a problem with a code: never a fault of ours."""

import pytest
from httpx import Response

from tests.build import STORY
from tests.dispatch.office import Office, bearer
from tests.dispatch.test_api import CALLS
from tests.hostile import BODIES, FIELDS, JSON, TOO_LARGE, VALUES, as_json

TEXTS = ("note", "reason")
ANY_TEXT = {
    "dollar-string",
    "dotted-string",
    "nul",
    "nul-within",
    "right-to-left",
    "joined",
    "path",
    "newline",
    "full-width",
}
"""What a sealed text may well say."""
TAKEN_AS = {
    ("verify", "note", "none"),
    *((verb, "occurred", "none") for verb in CALLS),
}
"""What is left out by saying null."""


def check_problem(answer: Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    problem = answer.json()
    assert problem["code"].replace("-", "").isalpha()
    assert problem["status"] == answer.status_code
    assert len(answer.content) < 20_000  # what was sent is not sent back


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("verb", "name"),
    [(verb, name) for verb, call in CALLS.items() for name in [*call.body, "occurred"]]
    + [("verify", "note"), ("dispatch", "role")],
)
async def test_whatever_a_field_holds_is_taken_as_text_or_refused(
    verb: str, name: str, value: str
) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    sent = as_json({**call.body, name: VALUES[value]})
    answer = await office.post(verb, {**bearer(call.roles[0]), **JSON}, content=sent)
    if (name in TEXTS and value in ANY_TEXT) or (verb, name, value) in TAKEN_AS:
        assert answer.status_code == 200, answer.text
        return
    check_problem(answer)
    if answer.status_code == 422:
        assert answer.json()["field"] == name
    assert len(await office.facts()) == len(call.facts)


@pytest.mark.parametrize("verb", CALLS)
async def test_a_field_that_no_command_has_is_refused_by_name(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    for name in FIELDS:
        sent = as_json({**call.body, name: {"$gt": ""}})
        answer = await office.post(verb, {**bearer(call.roles[0]), **JSON}, content=sent)
        check_problem(answer)
        assert answer.json()["code"] == "invalid-request"
    assert len(await office.facts()) == len(call.facts)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("verb", CALLS)
async def test_what_is_no_command_is_refused(verb: str, body: str) -> None:
    office, call = Office(), CALLS[verb]
    await office.tell(*call.facts)
    who = bearer(call.roles[0])
    check_problem(await office.post(verb, {**who, **JSON}, content=BODIES[body]))
    assert len(await office.facts()) == len(call.facts)


@pytest.mark.parametrize("verb", CALLS)
async def test_a_body_of_thirty_megabytes_is_too_large_for_anybody(verb: str) -> None:
    for who in (bearer(CALLS[verb].roles[0]), {}):
        answer = await Office().post(verb, {**who, **JSON}, content=TOO_LARGE)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize(
    "story",
    [
        "$gt",
        "%7B%22$gt%22:%22%22%7D",
        f"{STORY}%00",
        f"{STORY}%0A",
        STORY.upper(),
        "..%2F..%2Fwishes",
        "%ED%A0%80",
        "x" * 5000,
    ],
)
async def test_what_is_no_story_is_refused(story: str) -> None:
    for verb, call in CALLS.items():
        who = bearer(call.roles[0])
        check_problem(await Office().post(verb, who, story=story, json=call.body))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Idempotency-Key", "x" * 201),
        ("Idempotency-Key", "水".encode()),
        ("Idempotency-Key", " "),
        ("If-Match", "*"),
        ("If-Match", '{"$gt": 0}'),
        ("If-Match", "-1"),
        ("If-Match", "9999999999"),
    ],
)
async def test_a_header_that_does_not_read_is_refused_by_name(
    header: str, value: str | bytes
) -> None:
    office = Office()
    await office.tell(*CALLS["accept"].facts)
    answer = await office.post("accept", {**bearer(), header: value})  # type: ignore[dict-item]  # bytes go out as they are
    check_problem(answer)
    assert answer.json()["field"].lower() == header.lower()


@pytest.mark.parametrize("verb", [verb for verb, call in CALLS.items() if {*TEXTS} & {*call.body}])
async def test_four_thousand_characters_are_not_too_many(verb: str) -> None:
    call = CALLS[verb]
    office, name = Office(), next(name for name in TEXTS if name in call.body)
    await office.tell(*call.facts)
    body = {**call.body, name: "长" * 4000}
    assert (await office.post(verb, bearer(call.roles[0]), json=body)).status_code == 200
