"""Whatever is sent to intake, it is an answer or a problem with a code: never a fault of ours."""

from typing import Any

import pytest
from httpx import Response

from tests.build import STORY, invited, noted
from tests.hostile import BODIES, FIELDS, JSON, TOO_LARGE, VALUES, as_json
from tests.intake.office import SYSTEM, Office, bearer, matter, resident

RESOLVED = (noted(6, rateable=True), invited(6))
EVERYTHING = matter(
    title="下水道堵了",
    name="住户甲",
    phone="13800000000",
    address="3号楼2单元",
    on_behalf_of_resident=True,
    settled_on_spot={"outcome": "resolved", "note": "已疏通。"},
    source_ref="A-2026-017",
    occurred="2026-03-02T07:00:00Z",
)
ABOUT: dict[str, dict[str, Any]] = {
    "supplement": {"words": "今天又堵了。"},
    "withdraw": {"reason": "已自行解决。"},
    "rate": {"resolved": True, "satisfaction": 5, "words": "很快，谢谢。"},
}
SAID: dict[str, dict[str, Any]] = {"submit": EVERYTHING, **ABOUT}
TEXTS = {"words", "title", "name", "address", "reason", "note"}
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
MAY_BE_LEFT_OUT = {
    ("submit", "title"),
    ("submit", "name"),
    ("submit", "phone"),
    ("submit", "address"),
    ("submit", "settled_on_spot"),
    ("submit", "source_ref"),
    ("withdraw", "reason"),
    ("rate", "words"),
    *((verb, "occurred") for verb in ("submit", *ABOUT)),
}
FITS = {
    ("on_behalf_of_resident", "true"),
    ("resolved", "true"),
    ("source_ref", "dotted-string"),
    ("source_ref", "path"),
}
"""What looks odd and is what the field is for."""


def is_taken(verb: str, name: str, value: str) -> bool:
    if value == "none":
        return (verb, name) in MAY_BE_LEFT_OUT
    return (name, value) in FITS or (name in TEXTS and value in ANY_TEXT)


def check_problem(answer: Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    problem = answer.json()
    assert problem["code"].replace("-", "").isalpha()
    assert problem["status"] == answer.status_code
    assert len(answer.content) < 20_000  # what was sent is not sent back


async def send(office: Office, verb: str, who: dict[str, str], content: bytes) -> Response:
    """Send it to intake: a matter, or what is said about one that is resolved."""
    path = ""
    if verb != "submit":
        story = await office.sent(resident())
        await office.tell(story, *RESOLVED)
        path = f"/{story}/{verb}"
    answer = await office.post(path, {**who, **JSON}, content=content)
    if verb != "submit" and not answer.is_success:
        assert len(await office.facts(story)) == 1 + len(RESOLVED)
    return answer


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("verb", "name"), [(v, n) for v, body in SAID.items() for n in body])
async def test_whatever_a_field_holds_is_taken_as_text_or_refused(
    verb: str, name: str, value: str
) -> None:
    who = bearer() if verb == "submit" else resident()
    answer = await send(Office(), verb, who, as_json({**SAID[verb], name: VALUES[value]}))
    if is_taken(verb, name, value):
        assert answer.is_success, answer.text
        return
    check_problem(answer)
    if answer.status_code == 422:
        assert answer.json()["field"].partition(".")[0] == name


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["outcome", "note"])
async def test_whatever_a_settlement_holds_is_taken_as_text_or_refused(
    name: str, value: str
) -> None:
    settled = {**SAID["submit"]["settled_on_spot"], name: VALUES[value]}
    sent = as_json({**SAID["submit"], "settled_on_spot": settled})
    answer = await send(Office(), "submit", bearer(), sent)
    if is_taken("submit", name, value):
        assert answer.is_success, answer.text
        return
    check_problem(answer)
    if answer.status_code == 422:
        assert answer.json()["field"] == f"settled_on_spot.{name}"


@pytest.mark.parametrize("verb", SAID)
async def test_a_field_that_nothing_has_is_refused(verb: str) -> None:
    for name in FIELDS:
        sent = as_json({**SAID[verb], name: {"$gt": ""}})
        answer = await send(Office(), verb, resident(), sent)
        check_problem(answer)
        assert answer.json()["code"] == "invalid-request"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("verb", SAID)
async def test_what_says_nothing_that_can_be_read_is_refused(verb: str, body: str) -> None:
    check_problem(await send(Office(), verb, resident(), BODIES[body]))


@pytest.mark.parametrize("verb", SAID)
async def test_a_body_of_thirty_megabytes_is_too_large_for_anybody(verb: str) -> None:
    path = "" if verb == "submit" else f"/{STORY}/{verb}"
    for who in (resident(), bearer(), SYSTEM, {}):
        answer = await Office().post(path, {**who, **JSON}, content=TOO_LARGE)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


@pytest.mark.parametrize("story", ["$gt", "%7B%22$gt%22:%22%22%7D", f"{STORY}%00", "x" * 5000])
async def test_what_is_no_story_is_refused(story: str) -> None:
    for verb, body in SAID.items():
        if verb != "submit":
            check_problem(await Office().post(f"/{story}/{verb}", resident(), json=body))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Idempotency-Key", b"x" * 201),
        ("Idempotency-Key", "水".encode()),
        ("Idempotency-Key", b"a b"),
        ("If-Match", b"*"),
        ("If-Match", b'{"$gt": 0}'),
    ],
)
async def test_a_header_that_does_not_read_is_refused_by_name(header: str, value: bytes) -> None:
    answer = await Office().post("", {**bearer(), header: value}, json=matter())  # type: ignore[dict-item]  # bytes go out as they are
    check_problem(answer)
    assert answer.json()["field"].lower() == header.lower()


async def test_four_thousand_characters_are_not_too_many() -> None:
    for verb, name in (("submit", "words"), ("withdraw", "reason"), ("rate", "words")):
        who = bearer() if verb == "submit" else resident()
        answer = await send(Office(), verb, who, as_json({**SAID[verb], name: "𠮷" * 4000}))
        assert answer.is_success, answer.text
