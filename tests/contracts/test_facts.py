"""What a fact may hold: ids, codes, numbers, instants, and sealed text. No bare string."""

from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import AwareDatetime, BaseModel, PositiveInt

from shared.contracts.base import Code, Fact, Instant, Sealed, UnitId
from shared.contracts.registry import FACTS, STREAM_OWNERS

ATOMS: set[Any] = {bool, int, NoneType, Sealed, AwareDatetime}


def may_be_in_a_fact(kind: Any) -> bool:
    """Whether a field may be of this type: nothing in it can hold free text in the open."""
    if get_origin(kind) is Literal:
        return True
    if get_origin(kind) is Annotated:
        return may_be_in_a_fact(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType, tuple):
        return all(may_be_in_a_fact(part) for part in get_args(kind) if part is not ...)
    if isinstance(kind, NewType):
        return kind.__module__ == "shared.contracts.base"
    if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Sealed:
        return not bare_fields(kind)
    return kind in ATOMS


def bare_fields(fact: type[BaseModel]) -> set[str]:
    """The fields of a fact that could hold free text in the open."""
    hints = get_type_hints(fact, include_extras=True)
    return {name for name in fact.model_fields if not may_be_in_a_fact(hints[name])}


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_a_fact_holds_no_text_in_the_open(fact: type[Fact]) -> None:
    assert bare_fields(fact) == set()


Nickname = NewType("Nickname", str)


class Told(BaseModel):
    """A part of a fact that gives it away as well."""

    by: str


class Loose(Fact):
    """A fact that would give away what a resident wrote."""

    type: Literal["loose.v1"] = "loose.v1"
    unit: UnitId
    at: Instant
    count: PositiveInt
    either: Code | None
    units: tuple[UnitId, ...]
    words: str
    title: str | None
    short: Annotated[str, "at most ten"]
    tags: tuple[str, ...]
    names: list[UnitId]
    anything: Any
    details: dict[str, str]
    nickname: Nickname
    naive: datetime
    share: float
    told: Told


def test_a_fact_with_text_in_the_open_is_noticed() -> None:
    assert bare_fields(Loose) == {
        "words",
        "title",
        "short",
        "tags",
        "names",
        "anything",
        "details",
        "nickname",
        "naive",
        "share",
        "told",
    }


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS)
def test_a_fact_never_changes_and_says_what_became_true(fact: type[Fact]) -> None:
    assert fact.model_config["frozen"]
    assert fact.__doc__


def test_a_type_tag_names_its_class_and_version_and_one_owner() -> None:
    for tag, fact in FACTS.items():
        words = "".join(f"-{c.lower()}" if c.isupper() else c for c in fact.__name__).lstrip("-")
        assert tag.startswith(f"{words}.v")
        assert tag.partition(".v")[2].isdigit()
    assert sum(len(get_args(union)) for union in STREAM_OWNERS.values()) == len(FACTS)
