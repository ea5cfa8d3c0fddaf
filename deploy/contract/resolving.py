"""A contract with all its references filled in, and without its texts."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]


def resolved(contract: Schema) -> Schema:
    """The contract with what each reference stands for in its place; those of channels to
    messages stay, they are names."""
    return {
        name: value if name in ("channels", "operations") else _filled(value, contract)
        for name, value in contract.items()
    }


def message_names(channel: Schema) -> list[str]:
    """The messages of a channel, by their names among the components."""
    return [message["$ref"].rpartition("/")[2] for message in channel["messages"].values()]


def _filled(said: Any, contract: Schema) -> Any:
    if isinstance(said, list):
        return [_filled(each, contract) for each in said]
    if not isinstance(said, dict):
        return said
    rest = {name: _filled(value, contract) for name, value in said.items() if name != "$ref"}
    if not isinstance(said.get("$ref"), str):
        return rest
    found: Any = contract
    for step in said["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return {**_filled(found, contract), **rest}


_TEXTS = frozenset({"title", "description", "summary", "examples", "tags", "info"})


def bare(said: Any) -> Any:
    """What is said without its texts; a default is no text. Names of fields may be the same
    words, and are kept."""
    if isinstance(said, Mapping):
        return {
            name: sorted(value) if name == "x-codes" else _fields(name, value)
            for name, value in said.items()
            if name not in _TEXTS
        }
    return [bare(each) for each in said] if isinstance(said, list) else said


def _fields(name: str, value: Any) -> Any:
    return {n: bare(v) for n, v in value.items()} if name == "properties" else bare(value)
