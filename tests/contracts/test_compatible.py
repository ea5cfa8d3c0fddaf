"""Each promise of a released contract, and that breaking it is noticed and said."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, cast

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.contract.compatible import breaches, has_grown
from deploy.contract.document import VERSION, asyncapi
from deploy.contract.export import RELEASED, last_released, version_of
from deploy.contract.promise import broken
from deploy.contract.resolving import message_names, resolved
from shared.profile import Verb
from tests.contracts.test_contract import FORM, MESSAGES, code_of, fits

SHELL: Final = CliRunner()
NOW: Final = asyncapi()
Schemas = dict[str, Any]
Change = Callable[[Schemas], object]


def mutated(change: Change) -> dict[str, Any]:
    """The contract with its schemas changed."""
    other = deepcopy(NOW)
    change(other["components"]["schemas"])
    return other


def field(schemas: Schemas, name: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = schemas[name]["properties"][field]
    return found


WISH, REPORT = "inbound.wish-submitted.v1", "inbound.unit-reported.v1"

PARTNERS_LOSE: Final[dict[str, tuple[Change, str]]] = {
    "a field is gone": (
        lambda s: s[WISH]["properties"].pop("title"),
        "payload.title may be said",
    ),
    "a field becomes compulsory": (
        lambda s: s[WISH]["required"].append("phone"),
        "payload.phone may be absent",
    ),
    "a type is narrowed": (
        lambda s: field(s, WISH, "title")["anyOf"].pop(),
        "payload.title may be of type null",
    ),
    "a type is another": (
        lambda s: field(s, WISH, "words").update(type="object"),
        "payload.words may be of type string",
    ),
    "words of a list are fewer": (
        lambda s: field(s, WISH, "kind").update(enum=["appeal", "wish"]),
        "payload.kind may be 'anything'",
    ),
    "a pattern is another": (
        lambda s: field(s, WISH, "ref").update(pattern="^[A-Z]+$"),
        "payload.ref need not be of the pattern ^[A-Z]+$",
    ),
    "a pattern comes": (
        lambda s: field(s, WISH, "on_behalf_of_resident").update(pattern="^t"),
        "payload.on_behalf_of_resident need not be of the pattern ^t",
    ),
    "a text must be shorter": (
        lambda s: field(s, WISH, "words").update(maxLength=3999),
        "payload.words may go beyond `maxLength` 3999",
    ),
    "a text must be longer": (
        lambda s: field(s, WISH, "words").update(minLength=2),
        "payload.words may go beyond `minLength` 2",
    ),
    "a choice is gone": (
        lambda s: s[REPORT]["oneOf"].pop(),
        "payload.ref may be absent",
    ),
    "what may be in a part is less": (
        lambda s: s["Settled"]["properties"].pop("note"),
        "payload.settled_on_spot.note may be said",
    ),
    "a keyword comes that nobody can judge": (
        lambda s: s[WISH].update(dependentRequired={"name": ["phone"]}),
        "payload has another `dependentRequired`",
    ),
}

READERS_LOSE: Final[dict[str, tuple[Change, str]]] = {
    "a field is gone": (
        lambda s: s["wish-submitted.v1"]["properties"].pop("source_ref"),
        "payload.source_ref is gone",
    ),
    "a field becomes optional": (
        lambda s: s["case-closed.v1"]["required"].remove("reason"),
        "payload.reason may be absent",
    ),
    "a type is another": (
        lambda s: field(s, "wish-rated.v1", "satisfaction").update(type="string"),
        "payload.satisfaction may be of type string",
    ),
    "a word is gone": (
        lambda s: field(s, "case-dispatched.v1", "role").update(enum=["lead"]),
        "payload.role is never 'assist' any more",
    ),
    "a word is new where they are all listed": (
        lambda s: field(s, "case-dispatched.v1", "role")["enum"].append("advise"),
        "payload.role may be 'advise'",
    ),
    "a bound is wider": (
        lambda s: field(s, "wish-rated.v1", "satisfaction").update(maximum=10),
        "payload.satisfaction may go beyond `maximum` 5",
    ),
    "a form is dropped": (
        lambda s: field(s, "case-accepted.v1", "due").pop("format"),
        "payload.due need not be of the format date-time",
    ),
    "a field of a part is gone": (
        lambda s: s["Sealed"]["properties"].pop("box"),
        "payload.words.box is gone",
    ),
    "an answer says something else": (
        lambda s: field(s, "answer.v1", "version").update(type="string"),
        "payload.version may be of type string",
    ),
    "a code of an answer is gone": (
        lambda s: field(s, "answer.v1", "code")["x-codes"].pop("ref-taken"),
        "payload.code has no code 'ref-taken' any more",
    ),
}


@pytest.mark.parametrize(("change", "said"), PARTNERS_LOSE.values(), ids=PARTNERS_LOSE)
def test_what_a_partner_may_send_must_go_on_being_taken(change: Change, said: str) -> None:
    found = breaches(NOW, mutated(change))
    sentences = [each for each in found if said in each]
    assert sentences
    assert all("partners who send that are refused" in each for each in sentences)
    assert len({each.partition(":")[0] for each in sentences}) == len(sentences)
    assert ".structured" not in "".join(sentences), "it is said once, not of each mode"


@pytest.mark.parametrize(("change", "said"), READERS_LOSE.values(), ids=READERS_LOSE)
def test_what_a_reader_finds_must_go_on_being_there(change: Change, said: str) -> None:
    found = breaches(NOW, mutated(change))
    assert [each for each in found if said in each and "readers" in each]


MAY_BE: Final[dict[str, Change]] = {
    "a partner may say more": lambda s: s[WISH]["properties"].update(photo={"type": "string"}),
    "a partner must say less": lambda s: s[WISH]["required"].remove("category"),
    "a text may be longer": lambda s: field(s, WISH, "words").update(maxLength=8000),
    "a form is not asked any more": lambda s: field(s, WISH, "ref").pop("pattern"),
    "a reader finds more": lambda s: s["case-closed.v1"]["properties"].update(
        by_law={"type": "boolean"}
    ),
    "what a reader may find is always there": lambda s: s["wish-rated.v1"]["required"].append(
        "words"
    ),
    "a bound is narrower": lambda s: field(s, "wish-rated.v1", "satisfaction").update(minimum=2),
    "there is a new code": lambda s: field(s, "answer.v1", "code")["x-codes"].update(new="New."),
    "a part of a fact has more": lambda s: s["Sealed"]["properties"].update(k={"type": "string"}),
}


@pytest.mark.parametrize("change", MAY_BE.values(), ids=MAY_BE)
def test_a_contract_may_grow_under_a_higher_version(change: Change) -> None:
    grown = mutated(change)
    assert breaches(NOW, grown) == []
    assert has_grown(NOW, grown)


def test_texts_and_examples_may_change() -> None:
    def reworded(schemas: Schemas) -> None:
        for name in schemas:
            schemas[name]["description"] = "otherwise"
        schemas[WISH]["properties"]["title"]["examples"] = ["x"]
        schemas["answer.v1"]["properties"]["code"]["x-codes"]["erased"] = "otherwise"

    other = mutated(reworded)
    assert not breaches(NOW, other)
    assert not has_grown(NOW, other)


def without_message(name: str, channel: str) -> dict[str, Any]:
    other = deepcopy(NOW)
    del other["components"]["messages"][name], other["channels"][channel]["messages"][name]
    return other


def test_a_type_that_is_gone_is_noticed() -> None:
    for_readers = breaches(NOW, without_message("case-closed.v1", "facts"))
    assert for_readers == ["case-closed.v1 is gone: readers wait for it in vain"]
    for_partners = breaches(NOW, without_message(REPORT, "inbound"))
    assert for_partners == [f"{REPORT} is gone: partners who send it are refused"]


def test_a_header_that_is_not_always_there_any_more_is_noticed() -> None:
    other = deepcopy(NOW)
    other["components"]["messages"]["case-closed.v1"]["headers"]["required"].remove("ce_town")
    (found,) = breaches(NOW, other)
    assert found.startswith("case-closed.v1: headers.ce_town may be absent")
    other = deepcopy(NOW)
    other["components"]["messages"][REPORT]["headers"]["required"].append("ce_time")
    (found,) = breaches(NOW, other)
    assert found.startswith(f"{REPORT}: headers.ce_time may be absent; partners")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "wishgrid.facts.v2"}, "the topic is wishgrid.facts.v2"),
        ({"bindings": {"kafka": {"partitions": 24}}}, "24 partitions, not 12"),
    ],
)
def test_a_topic_that_moves_is_noticed(change: dict[str, Any], said: str) -> None:
    other = deepcopy(NOW)
    other["channels"]["facts"].update(change)
    (found,) = breaches(NOW, other)
    assert said in found
    gone = deepcopy(NOW)
    del gone["channels"]["facts"]
    assert breaches(NOW, gone) == ["channel facts is gone: whoever uses it breaks"]


def test_this_build_keeps_what_every_released_contract_promised() -> None:
    files = sorted(RELEASED.glob("*.json"))
    assert files
    for file in files:
        contract = json.loads(file.read_text(encoding="utf-8"))
        assert contract["info"]["version"] == file.stem
        assert broken(contract) == []
    assert version_of(last_released().stem) <= version_of(VERSION)


def test_what_a_released_contract_shows_is_taken_by_the_gate_of_today() -> None:
    contract = resolved(json.loads(last_released().read_text(encoding="utf-8")))
    messages = contract["components"]["messages"]
    names = message_names(contract["channels"]["inbound"])
    for name in (name for name in names if not name.endswith(".structured")):
        (example,) = messages[name]["examples"]
        fits(name, "payload").validate(example["payload"])
        verb = re.fullmatch(r"inbound\.(.+)\.v1", name)
        assert verb is not None
        assert code_of(cast("Verb", verb[1]), example["payload"]) not in FORM
    assert names == [name for name in MESSAGES if name in names]


def test_a_contract_that_grew_without_a_higher_version_is_noticed() -> None:
    less = mutated(lambda schemas: schemas["case-closed.v1"]["properties"].pop("wish_version"))
    (found,) = broken(less)
    assert f"is called {VERSION}: raise VERSION" in found
    less["info"]["version"] = "0.9.0"
    assert broken(less) == []


def test_a_broken_promise_ends_the_check_with_a_sentence_each(tmp_path: Path) -> None:
    def more(schemas: Schemas) -> None:
        schemas["case-closed.v1"]["properties"]["fine"] = {"type": "integer"}
        schemas["case-closed.v1"]["required"].append("fine")

    file = tmp_path / "1.json"
    file.write_text(json.dumps({**mutated(more), "info": {"version": "0.1"}}), encoding="utf-8")
    said = SHELL.invoke(app, ["contract", "check", str(file)])
    assert said.exit_code == 1
    assert said.output.splitlines() == [
        "case-closed.v1: payload.fine may be absent from now on; readers do not expect that",
        "case-closed.v1: payload.fine is gone; readers look for it in vain",
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"info": {"version": "x"}}', "\xff"])
def test_what_is_no_contract_is_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "1.json"
    file.write_bytes(text.encode("latin-1"))
    said = SHELL.invoke(app, ["contract", "check", str(file)])
    assert said.exit_code == 1
    assert "does not read as a contract of ours" in said.output
    assert "Traceback" not in said.output


def test_the_last_released_contract_is_what_is_checked_by_default() -> None:
    said = SHELL.invoke(app, ["contract", "check"])
    assert (said.exit_code, said.output) == (0, f"all that contract {VERSION} promised is kept\n")


def test_the_contract_is_written_as_files(tmp_path: Path) -> None:
    said = SHELL.invoke(app, ["contract", "export", str(tmp_path / "c")])
    assert said.exit_code == 0, said.output
    assert json.loads((tmp_path / "c/asyncapi.json").read_text(encoding="utf-8")) == NOW
    schema = json.loads((tmp_path / "c/schemas/case-closed.v1.json").read_text(encoding="utf-8"))
    assert schema["$id"] == "urn:wishgrid:schema:case-closed.v1"
    assert "<!doctype html>" in (tmp_path / "c/index.html").read_text(encoding="utf-8")
    (tmp_path / "file").write_text("")
    said = SHELL.invoke(app, ["contract", "export", str(tmp_path / "file")])
    assert (said.exit_code, "cannot be written" in said.output) == (1, True)
