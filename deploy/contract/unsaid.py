"""Compares what two schemas make of what a program does not say: a field that it leaves out, and a
name of its own where names were free."""

from collections.abc import Iterator
from typing import Any, Final

from deploy.contract.narrowing import Difference, excesses

Schema = dict[str, Any]

_FREE: Final[Schema] = {"type": "string"}
"""What may stand under a free name: those are headers and CloudEvents attributes, all texts."""
_NONE: Final = "nothing"


def claims(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """What was allowed under a name that `before` left free, and is not in `after`, which gives
    that name a form."""
    was, is_ = before.get("properties", {}), after.get("properties", {})
    if "properties" in before and before.get("additionalProperties") is not False:
        for name in sorted(is_.keys() - was.keys()):
            yield from excesses(_FREE, is_[name], f"{place}.{name}")
    for name in sorted(was.keys() & is_.keys()):
        yield from claims(was[name], is_[name], f"{place}.{name}")


def redefined(before: Schema, after: Schema, place: str) -> Iterator[Difference]:
    """Fields that may be left out, and what leaving them out means now."""
    fields = after.get("properties", {})
    for name, field in before.get("properties", {}).items():
        if name not in fields:
            continue
        # As they are written: false is no 0.
        was, is_ = (
            repr(each["default"]) if "default" in each else _NONE for each in (field, fields[name])
        )
        if name not in before.get("required", ()) and was != is_:
            yield f"{place}.{name}", f"left out means {is_} and no longer {was}"
        yield from redefined(field, fields[name], f"{place}.{name}")
    for way in ("anyOf", "oneOf"):
        for old, new in zip(before.get(way, ()), after.get(way, ()), strict=False):
            yield from redefined(old, new, place)
    if "items" in before and "items" in after:
        yield from redefined(before["items"], after["items"], f"{place}[]")
