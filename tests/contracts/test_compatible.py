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
from deploy.contract.unsaid import redefined
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
        ({"partitions": 24}, "24 partitions, not 12"),
    ],
)
def test_a_topic_that_moves_is_noticed(change: dict[str, Any], said: str) -> None:
    other = deepcopy(NOW)
    facts = other["channels"]["facts"]
    (facts if "address" in change else facts["bindings"]["kafka"]).update(change)
    (found,) = breaches(NOW, other)
    assert said in found
    gone = deepcopy(NOW)
    del gone["channels"]["facts"]
    assert breaches(NOW, gone) == ["channel facts is gone: whoever uses it breaks"]


def kafka_of(channel: Schemas) -> dict[str, Any]:
    found: dict[str, Any] = channel["bindings"]["kafka"]["topicConfiguration"]
    return found


CLOSED_HEADER: Final = {"type": "string", "enum": ["1", "2"]}
CARRIED: Final[dict[str, tuple[Change, str]]] = {
    "a channel carries one message less": (
        lambda c: c["channels"]["facts"]["messages"].pop("wish-rated.v1"),
        "channel facts no longer carries wish-rated.v1: ",
    ),
    "records have another key": (
        lambda c: c["components"]["messages"]["wish-rated.v1"]["bindings"]["kafka"]["key"].update(
            pattern="^[0-9]+$"
        ),
        "wish-rated.v1: its records have another key: ",
    ),
    "records have no key": (
        lambda c: c["components"]["messages"][WISH].pop("bindings"),
        f"{WISH}: its records have another key: ",
    ),
    "records are kept for a shorter time": (
        lambda c: kafka_of(c["channels"]["facts"]).update({"retention.ms": 60000}),
        "facts: records are kept for 60000 ms and no longer for -1: ",
    ),
    "records are compacted": (
        lambda c: kafka_of(c["channels"]["answers"]).update({"cleanup.policy": ["compact"]}),
        "answers: cleanup.policy is ['compact'] and no longer ['delete']",
    ),
    "a topic has a setting nobody here can judge": (
        lambda c: kafka_of(c["channels"]["inbound"]).update({"max.message.bytes": 100}),
        "inbound: max.message.bytes is 100 and no longer None",
    ),
    "a server is gone": (
        lambda c: c["servers"].pop("guarded"),
        "server guarded is gone: ",
    ),
    "a server speaks otherwise": (
        lambda c: c["servers"]["local"].update(protocol="kafka-secure"),
        "server local: its address or protocol is another: ",
    ),
    "a server asks for a certificate": (
        lambda c: c["components"]["securitySchemes"]["scram"].update(type="X509"),
        "server guarded asks otherwise who comes: ",
    ),
    "a server that asked nobody asks": (
        lambda c: c["servers"]["local"].update(security=c["servers"]["guarded"]["security"]),
        "server local asks otherwise who comes: ",
    ),
    "an operation is gone": (
        lambda c: c["operations"].pop("readAnswers"),
        "operation readAnswers is gone: ",
    ),
    "an operation goes the other way": (
        lambda c: c["operations"]["submitWish"].update(action="receive"),
        "operation submitWish: its action is another: ",
    ),
    "an operation takes one message less": (
        lambda c: c["operations"]["submitWish"]["messages"].pop(),
        f"operation submitWish is no longer about {WISH}.structured: ",
    ),
    "an operation is not answered": (
        lambda c: c["operations"]["submitWish"].pop("reply"),
        "operation submitWish is not answered where it was: ",
    ),
    "an operation is answered by nothing": (
        lambda c: c["operations"]["submitWish"]["reply"].update(messages=[]),
        "operation submitWish is not answered by answer.v1: ",
    ),
    "a free header is given a form": (
        lambda c: c["components"]["messages"][WISH]["headers"]["properties"].update(
            ce_priority=CLOSED_HEADER
        ),
        f"{WISH}: headers.ce_priority may be 'anything'; partners",
    ),
    "what is left out means something else": (
        lambda c: field(c["components"]["schemas"], WISH, "on_behalf_of_resident").update(
            default=True
        ),
        f"{WISH}: payload.on_behalf_of_resident left out means True and no longer False",
    ),
    "nothing is said of how long records are kept": (
        lambda c: kafka_of(c["channels"]["facts"]).pop("retention.ms"),
        "facts: records are kept for None ms and no longer for -1: ",
    ),
}


@pytest.mark.parametrize(("change", "said"), CARRIED.values(), ids=CARRIED)
def test_what_carries_it_and_what_is_left_unsaid_must_stay(change: Change, said: str) -> None:
    other = deepcopy(NOW)
    change(other)
    assert [each for each in breaches(NOW, other) if each.startswith(said)]
    assert has_grown(NOW, other)


@pytest.mark.parametrize("within", ["anyOf", "oneOf", "items"])
def test_what_is_left_out_of_a_part_must_go_on_meaning_the_same(within: str) -> None:
    def part(**default: object) -> dict[str, Any]:
        inner = {"properties": {"note": {"type": "string", **default}}}
        return {"properties": {"p": {within: inner if within == "items" else [inner]}}}

    assert list(redefined(part(default=0), part(default=0), "payload")) == []
    ((where, what),) = redefined(part(), part(default=False), "payload")
    assert where.removesuffix(".note") in ("payload.p", "payload.p[]")
    assert what == "left out means False and no longer nothing"
    assert list(redefined(part(default=0), part(default=False), "payload"))


def test_what_carries_it_may_grow() -> None:
    other = deepcopy(NOW)
    kafka_of(other["channels"]["answers"])["retention.ms"] = -1
    other["servers"]["guarded"]["security"].append({"type": "X509"})
    other["servers"]["inner"] = other["servers"]["local"]
    other["operations"]["more"] = other["operations"]["readFacts"]
    headers = other["components"]["messages"][WISH]["headers"]["properties"]
    headers["ce_note"] = {"type": "string"}
    assert breaches(NOW, other) == []
    assert has_grown(NOW, other)


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
