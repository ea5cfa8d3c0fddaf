"""Every fact there is, by its type tag, and how one is decoded."""

from types import UnionType
from typing import Annotated, Any, Final, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.contracts.base import ActorId, Fact
from shared.contracts.dispatch import DispatchFact
from shared.contracts.intake import IntakeFact


class UnknownFact(BaseModel):
    """A fact of a type this build does not know; it keeps all its fields."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    type: str
    by: ActorId = ActorId("unknown")


KnownFact = IntakeFact | DispatchFact
AnyFact = KnownFact | UnknownFact

STREAM_OWNERS: Final[dict[str, UnionType]] = {"wish": IntakeFact, "case": DispatchFact}
"""Which facts belong in which kind of stream. One stream has one writer."""


def type_tag(fact: type[Fact]) -> str:
    """`unit-reported.v1` for the class that carries it."""
    return str(fact.model_fields["type"].default)


FACTS: Final[dict[str, type[Fact]]] = {
    type_tag(fact): fact for union in STREAM_OWNERS.values() for fact in get_args(union)
}

FACT_STREAMS: Final[dict[str, str]] = {
    type_tag(fact): kind for kind, union in STREAM_OWNERS.items() for fact in get_args(union)
}
"""The kind of stream a fact belongs in, by its type tag."""

_ADAPTER: Final[TypeAdapter[KnownFact]] = TypeAdapter(
    Annotated[KnownFact, Field(discriminator="type")],
    config=ConfigDict(hide_input_in_errors=True),
)


def decode_json(type_tag: str, body: bytes) -> AnyFact:
    """The fact in `body`. Raises ValueError when a known type does not read as one, or when the
    body says another type, or none."""
    # The tag names the class: looking for it in the body first would read every body twice.
    fact = cast("AnyFact", FACTS.get(type_tag, UnknownFact).model_validate_json(body))
    if fact.type != type_tag:
        raise ValueError(f"a body of type {fact.type!r} was sent as {type_tag!r}")
    if "type" not in fact.model_fields_set:
        raise ValueError(f"a body without a type was sent as {type_tag!r}")
    return fact


def decode_document(document: dict[str, Any]) -> AnyFact:
    """The same from a stored document."""
    if document.get("type") in FACTS:
        return _ADAPTER.validate_python(document)
    return UnknownFact.model_validate(document)
