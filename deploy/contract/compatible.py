"""Whether a contract keeps what an earlier one promised: one sentence for each promise broken.

Partners' programs write what the released contract allows: all of it must still be taken.
Readers' programs read what the released contract says: nothing else may be sent, and nothing
that they look for may be gone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from deploy.contract.messages import STRUCTURED
from deploy.contract.narrowing import excesses, losses
from deploy.contract.resolving import message_names, resolved

Schema = dict[str, Any]


def breaches(released: Schema, now: Schema) -> list[str]:
    """What breaks for programs that were written for the `released` contract, and for whom."""
    old, new = resolved(released), resolved(now)
    found: list[str] = []
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            found.append(f"channel {name} is gone: whoever uses it breaks")
            continue
        found += _moved(name, channel, new["channels"][name])
        for message in message_names(channel):
            found += _message(message, old, new, partners=name == "inbound")
    return found


def has_grown(released: Schema, now: Schema) -> bool:
    """Whether the contract says other than the released one, texts and examples apart."""
    return bool(_bare(resolved(released)) != _bare(resolved(now)))


def _moved(name: str, old: Schema, new: Schema) -> Iterator[str]:
    if old["address"] != new["address"]:
        yield f"{name}: the topic is {new['address']} and no longer {old['address']}"
    partitions = [each["bindings"]["kafka"]["partitions"] for each in (old, new)]
    if partitions[0] != partitions[1]:
        yield f"{name}: {partitions[1]} partitions, not {partitions[0]}: keys move, order is lost"


def _message(name: str, old: Schema, new: Schema, *, partners: bool) -> Iterator[str]:
    before = old["components"]["messages"][name]
    after = new["components"]["messages"].get(name)
    if after is None:
        who = "partners who send it are refused" if partners else "readers wait for it in vain"
        yield f"{name} is gone: {who}"
        return
    for part in ("headers", "payload"):
        was, is_ = _once(name, before[part]), _once(name, after[part])
        if partners:
            for where, what in excesses(was, is_, part):
                yield f"{name}: {where} {what}; partners who send that are refused from now on"
            continue
        for where, what in excesses(is_, was, part):
            yield f"{name}: {where} {what} from now on; readers do not expect that"
        for where, what in losses(was, is_, part):
            yield f"{name}: {where} {what}; readers look for it in vain"
    if before["contentType"] != after["contentType"]:
        yield f"{name}: it is {after['contentType']} and no longer {before['contentType']}"


def _once(name: str, schema: Schema) -> Schema:
    """The schema without the data of an event in structured mode: binary mode speaks of it."""
    if not name.endswith(STRUCTURED):
        return schema
    fields = {field: value for field, value in schema["properties"].items() if field != "data"}
    return {**schema, "properties": fields}


_TEXTS = frozenset({"title", "description", "summary", "examples", "tags", "info", "default"})


def _bare(said: Any) -> Any:
    """What is said without its texts. Names of fields may be the same words, and are kept."""
    if isinstance(said, Mapping):
        return {
            name: sorted(value) if name == "x-codes" else _fields(name, value)
            for name, value in said.items()
            if name not in _TEXTS
        }
    return [_bare(each) for each in said] if isinstance(said, list) else said


def _fields(name: str, value: Any) -> Any:
    return {n: _bare(v) for n, v in value.items()} if name == "properties" else _bare(value)
