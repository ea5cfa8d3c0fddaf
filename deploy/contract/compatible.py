"""Whether a contract keeps what an earlier one promised: one sentence for each promise broken.

Partners' programs write what the released contract allows: all of it must still be taken.
Readers' programs read what the released contract says: nothing else may be sent, and nothing
that they look for may be gone.
"""

from collections.abc import Iterator
from typing import Any

from deploy.contract.carriage import (
    another_key,
    carriage_breaches,
    channel_losses,
    topic_breaches,
)
from deploy.contract.messages import STRUCTURED
from deploy.contract.narrowing import excesses, losses
from deploy.contract.resolving import bare, message_names, resolved
from deploy.contract.unsaid import claims, redefined

Schema = dict[str, Any]


def breaches(released: Schema, now: Schema) -> list[str]:
    """What breaks for programs that were written for the `released` contract, and for whom."""
    old, new = resolved(released), resolved(now)
    found: list[str] = []
    for name, channel in old["channels"].items():
        if name not in new["channels"]:
            found.append(f"channel {name} is gone: whoever uses it breaks")
            continue
        now_there = new["channels"][name]
        found += topic_breaches(name, channel, now_there)
        found += channel_losses(name, channel, now_there, new["components"]["messages"])
        for message in message_names(channel):
            found += _message(message, old, new, partners=name == "inbound")
    found += carriage_breaches(old, new)
    return found


def has_grown(released: Schema, now: Schema) -> bool:
    """Whether the contract says other than the released one, texts and examples apart."""
    return bool(bare(resolved(released)) != bare(resolved(now)))


def _message(name: str, old: Schema, new: Schema, *, partners: bool) -> Iterator[str]:
    before = old["components"]["messages"][name]
    after = new["components"]["messages"].get(name)
    if after is None:
        who = "partners who send it are refused" if partners else "readers wait for it in vain"
        yield f"{name} is gone: {who}"
        return
    for part in ("headers", "payload"):
        was, is_ = _once(name, before[part]), _once(name, after[part])
        for where, what in redefined(was, is_, part):
            yield f"{name}: {where} {what}"
        if partners:
            for where, what in (*excesses(was, is_, part), *claims(was, is_, part)):
                yield f"{name}: {where} {what}; partners who send that are refused from now on"
            continue
        for where, what in excesses(is_, was, part):
            yield f"{name}: {where} {what} from now on; readers do not expect that"
        for where, what in losses(was, is_, part):
            yield f"{name}: {where} {what}; readers look for it in vain"
    if before["contentType"] != after["contentType"]:
        yield f"{name}: it is {after['contentType']} and no longer {before['contentType']}"
    yield from another_key(name, before, after)


def _once(name: str, schema: Schema) -> Schema:
    """The schema without the data of an event in structured mode: binary mode speaks of it."""
    if not name.endswith(STRUCTURED):
        return schema
    fields = {field: value for field, value in schema["properties"].items() if field != "data"}
    return {**schema, "properties": fields}
