"""The list of codes is all there is: whatever code the source refuses with is in it, and used."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shared.codes import CODES, table
from shared.problems import _SIMPLE

ROOT = Path(__file__).parents[2]
KNOWN = {each.code: each for each in CODES}
REFUSALS = {"Refused", "Illegible", "illegible"}
GATE = ("inbound", "gate", "partner_orders", "partner_events")


class Said(NamedTuple):
    """A code in the source, and the status it makes (None on Kafka, or where it is not told)."""

    code: str
    status: int | None
    where: str


def in_source() -> Iterator[Said]:
    """Every code the source says, `unknown-<what>` by who asks for it."""
    files = [*(ROOT / "shared").rglob("*.py"), *(ROOT / "services").rglob("*.py")]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                yield from _of(node, file)


def _of(call: ast.Call, file: Path) -> Iterator[Said]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    where = f"{file.relative_to(ROOT)}:{call.lineno}"
    fields = {keyword.arg for keyword in call.keywords}
    if name in REFUSALS:
        status = None if file.stem in GATE else 422 if "field" in fields else 409
        for code in _texts(call.args[0]):
            yield Said(code, status, where)
    elif name == "problem" and len(call.args) > 2:
        for code in _texts(call.args[2]):
            (status,) = _numbers(call.args[1]) or (None,)
            yield Said(code, status, where)
    elif name in ("check", "check_code"):
        for what in _texts(call.args[0]):
            yield Said(f"unknown-{what}", 422, where)


def _texts(node: ast.expr) -> list[str]:
    """The strings an expression can be; a part of a longer one is none."""
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _numbers(node: ast.expr) -> tuple[int, ...]:
    return (node.value,) if isinstance(node, ast.Constant) and type(node.value) is int else ()


SIMPLE = [Said(code, status, "shared/problems.py") for status, code, _ in _SIMPLE.values()]
FRAMEWORK = [
    Said("no-such-path", 404, "shared/problems.py"),
    Said("no-such-method", 405, "shared/problems.py"),
]


def test_every_code_in_the_source_is_in_the_list_with_its_status() -> None:
    said = [*in_source(), *SIMPLE, *FRAMEWORK]
    assert len(said) > 80
    unknown = [each for each in said if each.code not in KNOWN]
    assert unknown == []
    other = [e for e in said if e.status is not None and e.status not in KNOWN[e.code].statuses]
    assert other == []


def test_every_code_in_the_list_is_in_the_source_and_there_once() -> None:
    said = {each.code for each in (*in_source(), *SIMPLE, *FRAMEWORK)}
    assert KNOWN.keys() - said == set()
    assert len(KNOWN) == len(CODES)
    assert all(each.says and each.where for each in CODES)


def test_the_list_people_read_is_this_one() -> None:
    page = (ROOT / "deploy" / "clients" / "README.md").read_text(encoding="utf-8")
    assert "\n".join(table()) in page
