"""The table of rights: every user of Kafka, and all that it may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import PartnerId
from shared.kafka import CARE, DEAD, FACTS_BEGIN

ADMIN: Final = "admin"
"""The broker's super user: it makes topics, users and rights, and needs no line here."""

Resource = Literal["topic", "group", "transactional-id", "cluster"]


@dataclass(frozen=True, order=True)
class Right:
    """`user` may do this with what has this name, or with all whose name `begins` so.

    Kafka lets whoever may read or write a thing describe it too, and whoever may write a topic
    write it idempotently.
    """

    user: str
    operation: str
    resource: Resource
    name: str
    begins: bool = False
    host: str = "*"
    given: bool = True
    """False for what is forbidden by name; the table has no such line."""

    def __str__(self) -> str:
        verb = "may" if self.given else "may not"
        which = (
            f"every {self.resource} {self.name}…" if self.begins else f"{self.resource} {self.name}"
        )
        place = "" if self.host == "*" else f" from {self.host}"
        return f"{self.user} {verb} {self.operation} {which}{place}"


def _read(topic: str, begins: bool = False) -> Right:
    return Right("", "read", "topic", topic, begins)


def _write(topic: str, begins: bool = False) -> Right:
    return Right("", "write", "topic", topic, begins)


def _groups(beginning: str) -> Right:
    """To be a member of every consumer group whose name begins so."""
    return Right("", "read", "group", beginning, begins=True)


_ALL_INBOUND, _ALL_ANSWERS = "wishgrid.inbound.", "wishgrid.answers."
_READS_FACTS = _read(FACTS_BEGIN, begins=True)
_RELAY = (_write(FACTS_BEGIN, begins=True), _write(CARE), _write(_ALL_ANSWERS, begins=True))

SERVICES: Final[Mapping[str, tuple[Right, ...]]] = {
    "wishgrid.intake": (
        _READS_FACTS,
        _read(_ALL_INBOUND, begins=True),
        # What the gate refuses before any stream is said by the gate itself.
        _write(_ALL_ANSWERS, begins=True),
        _write(DEAD),
        _groups("wishgrid.intake."),
    ),
    "wishgrid.dispatch": (_READS_FACTS, _groups("wishgrid.dispatch.")),
    "wishgrid.projections": (_READS_FACTS, _groups("wishgrid.projections.")),
    "wishgrid.care": (_read(CARE), _groups("wishgrid.care.")),
    # Apart from their services: nobody but a relay, which carries what was decided and stored,
    # can put a fact into the world.
    "wishgrid.intake-relay": _RELAY,
    "wishgrid.dispatch-relay": _RELAY,
}


def partner_user(partner: PartnerId) -> str:
    """Who a partner is to Kafka."""
    return f"partner.{partner}"


def _of_partner(partner: PartnerId) -> tuple[Right, ...]:
    """Its own topic to write, also in transactions, its answers to read, and groups to read in."""
    own = f"{partner_user(partner)}."
    return (
        _write(inbound_topic(partner)),
        _read(answers_topic(partner)),
        _groups(own),
        Right("", "write", "transactional-id", own, begins=True),
    )


def users(partners: Iterable[PartnerId], prefix: str = "") -> tuple[str, ...]:
    """Every user there must be but the admin. `prefix` goes before each name, as before topics."""
    return tuple(prefix + name for name in (*SERVICES, *map(partner_user, sorted(partners))))


def rights(partners: Iterable[PartnerId], prefix: str = "") -> frozenset[Right]:
    """Every right there must be. `prefix` goes before each name of user, topic and group."""
    table = {**SERVICES, **{partner_user(each): _of_partner(each) for each in partners}}
    return frozenset(
        replace(right, user=prefix + user, name=prefix + right.name)
        for user, those in table.items()
        for right in those
    )


def ours(user: str, prefix: str = "") -> bool:
    """Is this a user of an installation with this prefix? The admin is the broker's."""
    return user.startswith(_beginnings(prefix))


def touches(right: Right, prefix: str = "") -> bool:
    """Is it about a user, topic or group of an installation with this prefix?"""
    name, beginnings = right.name, _beginnings(prefix)
    if ours(right.user, prefix):
        return True
    if right.resource == "cluster":
        return False
    if right.begins:
        return any(name.startswith(b) or b.startswith(name) for b in beginnings)
    return name == "*" or name.startswith(beginnings)


def _beginnings(prefix: str) -> tuple[str, ...]:
    return (f"{prefix}wishgrid.", f"{prefix}partner.")
