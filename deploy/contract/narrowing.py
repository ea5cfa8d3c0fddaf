"""Compares two schemas: what one allows that the other does not, and what it no longer has.

It knows the keywords that our schemas use. A change to any other is reported, never passed over.
"""

from collections.abc import Iterator
from typing import Any, Final

Schema = dict[str, Any]
Difference = tuple[str, str]
"""Where, and what may be there."""

_MOST: Final = ("maxLength", "maximum", "maxItems")
_LEAST: Final = ("minLength", "minimum", "minItems", "exclusiveMinimum")
_FORMS: Final = ("pattern", "format")
_TEXTS: Final = frozenset(
    {"title", "description", "examples", "default", "$id", "$schema", "x-codes", "$defs"}
)
_STRUCTURE: Final = frozenset(
    {"type", "const", "enum", "properties", "required", "additionalProperties", "items"}
)
_KNOWN: Final = frozenset({*_MOST, *_LEAST, *_FORMS, *_TEXTS, *_STRUCTURE})


def excesses(inner: Schema, outer: Schema, place: str) -> Iterator[Difference]:
    """What `inner` allows and `outer` does not; nothing where all of `inner` fits."""
    found: dict[Difference, None] = {}
    for choice in _choices(inner):
        tried = (tuple(_differences(choice, other, place)) for other in _choices(outer))
        nearest = min(tried, key=len)
        found |= dict.fromkeys(nearest)
    if "oneOf" in outer and "oneOf" not in inner:
        found[place, "may fit several choices at once"] = None
    yield from found


def losses(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """What was said in `before` and is no longer in `after`: fields, words of a list, codes."""
    words = [each for each in _words(before) if each not in _words(after)]
    for word in words if _words(after) else ():
        yield place, f"is never {word!r} any more"
    for code in before.get("x-codes", {}):
        if code not in after.get("x-codes", {}):
            yield place, f"has no code {code!r} any more"
    for name, field in before.get("properties", {}).items():
        if name not in after.get("properties", {}):
            yield f"{place}.{name}", "is gone"
        else:
            yield from losses(field, after["properties"][name], f"{place}.{name}")
    if "items" in before and "items" in after:
        yield from losses(before["items"], after["items"], f"{place}[]")


def _differences(inner: Schema, outer: Schema, place: str) -> Iterator[Difference]:
    for name in sorted((inner.keys() | outer.keys()) - _KNOWN):
        if inner.get(name) != outer.get(name):
            yield place, f"has another `{name}`, which nobody here can judge"
    yield from _value_excesses(inner, outer, place)
    yield from _object_excesses(inner, outer, place)
    if "items" in outer:
        yield from excesses(inner.get("items", {}), outer["items"], f"{place}[]")


def _value_excesses(inner: Schema, outer: Schema, place: str) -> Iterator[Difference]:
    for kind in _kinds(inner):
        wider = {kind, "number"} if kind == "integer" else {kind}
        if _kinds(outer) and not wider & set(_kinds(outer)):
            yield place, f"may be of type {kind}"
    if not _kinds(inner) and _kinds(outer) and not _words(inner):
        yield place, "may be of any type"
    if _words(outer):
        for word in _words(inner) or ["anything"]:
            if word not in _words(outer):
                yield place, f"may be {word!r}"
    if _words(inner):
        return  # a word of a list was compared by itself
    for name in _FORMS:
        if name in outer and inner.get(name) != outer[name]:
            yield place, f"need not be of the {name} {outer[name]}"
    for name in (*_MOST, *_LEAST):
        if name in outer and not _within(name, inner.get(name), outer[name]):
            yield place, f"may go beyond `{name}` {outer[name]}"


def _within(bound: str, inner: Any, outer: Any) -> bool:
    if inner is None:
        return False
    return bool(inner <= outer if bound in _MOST else inner >= outer)


def _object_excesses(inner: Schema, outer: Schema, place: str) -> Iterator[Difference]:
    for name in outer.get("required", ()):
        if name not in inner.get("required", ()):
            yield f"{place}.{name}", "may be absent"
    fields = outer.get("properties", {})
    closed = outer.get("additionalProperties") is False
    for name, field in inner.get("properties", {}).items():
        if name in fields:
            yield from excesses(field, fields[name], f"{place}.{name}")
        elif closed:
            yield f"{place}.{name}", "may be said"
    if closed and inner.get("additionalProperties") is not False and "properties" in inner:
        yield place, "may have fields of any name"


def _choices(schema: Schema) -> list[Schema]:
    """The schemas of which one must fit; itself, where there is no choice."""
    for name in ("anyOf", "oneOf"):
        if name in schema:
            base = {word: value for word, value in schema.items() if word != name}
            return [
                choice
                for branch in schema[name]
                if not base.get("type") or base["type"] == branch.get("type", base["type"])
                for choice in _choices(_both(base, branch))
            ]
    return [schema]


def _both(base: Schema, branch: Schema) -> Schema:
    """What must hold where both do."""
    both = {**base, **branch}
    if "required" in base and "required" in branch:
        both["required"] = [*base["required"], *branch["required"]]
    if "properties" in base and "properties" in branch:
        fields = base["properties"]
        both["properties"] = {
            **fields,
            **{n: {**fields.get(n, {}), **f} for n, f in branch["properties"].items()},
        }
    return both


def _kinds(schema: Schema) -> list[str]:
    said = schema.get("type", [])
    return [said] if isinstance(said, str) else list(said)


def _words(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", []))
