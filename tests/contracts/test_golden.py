"""Facts as they were released load for ever, and say the same when they are sent again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.recorded import Recorded, from_wire, to_wire
from shared.contracts.registry import FACTS, decode_document

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))


def golden(file: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read


def read_golden(file: Path) -> Recorded:
    said = golden(file)
    headers = [(name, text.encode()) for name, text in said["headers"].items()]
    return from_wire(json.dumps(said["value"]).encode(), headers)


def without_golden(facts: Mapping[str, object], files: list[Path]) -> set[str]:
    return set(facts) - {file.stem for file in files}


def test_every_fact_has_a_golden_file() -> None:
    assert without_golden(FACTS, FILES) == set()


def test_a_new_fact_without_a_golden_file_is_noticed() -> None:
    assert without_golden({**FACTS, "case-forgotten.v1": None}, FILES) == {"case-forgotten.v1"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_released_fact_loads_as_what_it_is_called(file: Path) -> None:
    recorded = read_golden(file)
    assert recorded.fact.type == file.stem
    assert type(recorded.fact) is FACTS[file.stem]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_released_fact_is_sent_again_as_it_was(file: Path) -> None:
    said = golden(file)
    key, value, headers = to_wire(read_golden(file))
    assert key.decode() == said["key"]
    assert {name: text.decode() for name, text in headers} == said["headers"]
    assert json.loads(value) == said["value"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_released_fact_loads_from_a_store_as_well(file: Path) -> None:
    assert decode_document(golden(file)["value"]) == read_golden(file).fact
