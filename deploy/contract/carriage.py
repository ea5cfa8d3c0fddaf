"""Whether what carries messages is as a contract said: servers, topics, keys, operations."""

from collections.abc import Iterator
from typing import Any, Final

from deploy.contract.resolving import bare, message_names

Schema = dict[str, Any]

_CLEANUP: Final = "cleanup.policy"
_RETENTION: Final = "retention.ms"
_FOR_EVER: Final = -1


def carriage_breaches(old: Schema, new: Schema) -> Iterator[str]:
    """What breaks for whoever uses the servers and operations of the contract `old`. Both have
    their references filled in."""
    for name, server in old["servers"].items():
        if name not in new["servers"]:
            yield f"server {name} is gone: whoever comes by it stays outside"
        else:
            yield from _server(name, server, new["servers"][name])
    for name, operation in old["operations"].items():
        if name not in new["operations"]:
            yield f"operation {name} is gone: whoever does it breaks"
        else:
            yield from _operation(name, operation, new["operations"][name], new)


def topic_breaches(name: str, old: Schema, new: Schema) -> Iterator[str]:
    """What breaks for whoever uses the topic of a channel."""
    if old["address"] != new["address"]:
        yield f"{name}: the topic is {new['address']} and no longer {old['address']}"
    was, is_ = (each["bindings"]["kafka"] for each in (old, new))
    if was["partitions"] != is_["partitions"]:
        yield (
            f"{name}: {is_['partitions']} partitions, not {was['partitions']}: keys move, order "
            "is lost"
        )
    before, after = (each.get("topicConfiguration", {}) for each in (was, is_))
    if _kept(after) < _kept(before):
        yield (
            f"{name}: records are kept for {after.get(_RETENTION)} ms and no longer for "
            f"{before[_RETENTION]}: who comes late lacks some"
        )
    for setting in sorted((before.keys() | after.keys()) - {_RETENTION}):
        if before.get(setting) != after.get(setting):
            yield f"{name}: {setting} is {after.get(setting)} and no longer {before.get(setting)}"


def channel_losses(name: str, old: Schema, new: Schema, messages: Schema) -> Iterator[str]:
    """Messages that a channel no longer carries, of those that there still are."""
    for message in _lost(message_names(old), message_names(new), messages):
        yield f"channel {name} no longer carries {message}: whoever uses it there breaks"


def another_key(name: str, old: Schema, new: Schema) -> Iterator[str]:
    """Whether the records of a message have another key; what a key means is said in words only,
    so any difference counts."""
    was, is_ = (bare(each.get("bindings", {}).get("kafka", {}).get("key")) for each in (old, new))
    if was != is_:
        yield f"{name}: its records have another key: what belongs together loses its order"


def _kept(settings: Schema) -> float:
    kept = settings.get(_RETENTION, 0)
    return float("inf") if kept == _FOR_EVER else float(kept)


def _server(name: str, old: Schema, new: Schema) -> Iterator[str]:
    was, is_ = bare(old), bare(new)
    ways, offered = was.pop("security", []), is_.pop("security", [])
    if was != is_:
        yield f"server {name}: its address or protocol is another: who comes by it stays outside"
    if any(way not in offered for way in ways) or (offered and not ways):
        yield f"server {name} asks otherwise who comes: whoever came as before stays outside"


def _operation(name: str, old: Schema, new: Schema, contract: Schema) -> Iterator[str]:
    for word in ("action", "channel"):
        if old[word] != new[word]:
            yield f"operation {name}: its {word} is another: whoever does it breaks"
    messages = contract["components"]["messages"]
    for message in _lost(_names(old), _names(new), messages):
        yield f"operation {name} is no longer about {message}: whoever does it breaks"
    if "reply" not in old:
        return
    reply = new.get("reply", {})
    if reply.get("channel") != old["reply"]["channel"]:
        yield f"operation {name} is not answered where it was: whoever waits there waits in vain"
    elif lost := _lost(_names(old["reply"]), _names(reply), messages):
        yield f"operation {name} is not answered by {', '.join(lost)}: who waits, waits in vain"


def _names(said: Schema) -> list[str]:
    return [each["$ref"].rpartition("/")[2] for each in said.get("messages", ())]


def _lost(before: list[str], after: list[str], there: Schema) -> list[str]:
    """A message that is gone altogether is told of by itself."""
    return [name for name in before if name not in after and name in there]
