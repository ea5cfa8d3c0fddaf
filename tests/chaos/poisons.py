"""What a partner publishes: good events, and among them every sort of bad one we know.

The same number of events under the same name are always the same bytes.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from shared.store import FACT_LIMIT
from tests.partner import binary, report, wish

EVERY: Final = 100
"""One in so many is bad."""
_SKIPPED: Final = 7
"""The first bad one comes after so many good ones."""

Headers = list[tuple[bytes, bytes]]
"""Names as bytes: one need not be UTF-8."""


@dataclass(frozen=True, slots=True)
class Told:
    """One record. `id` is what its answer names it by, None where only its place can; `code` what
    it must be refused with, None for a good one; `buried` ones are dead letters besides."""

    kind: str
    id: str | None
    value: bytes | None
    headers: Headers
    key: bytes
    code: str | None = None
    buried: bool = False


Poison = Callable[[str, str], Told]
"""A bad event under this id; the other is that of a good one that went before it."""


def events(name: str, count: int) -> Iterator[Told]:
    """So many records, one in a hundred of them bad, every sort as often as the others."""
    sorts = cycle(POISONS)
    good = f"{name}-0"
    for n in range(count):
        id_ = f"{name}-{n}"
        if n % EVERY == _SKIPPED:
            yield next(sorts)(id_, good)
        else:
            yield _told("good", id_, value=wish(id_))
            good = id_


def tally(told: Iterator[Told] | list[Told]) -> Counter[str]:
    """How many there are of each sort."""
    return Counter(each.kind for each in told)


def _told(kind: str, id_: str, code: str | None = None, **said: object) -> Told:
    given: dict[str, object] = {
        "id": id_,
        "value": wish(id_),
        "headers": _headers(id_),
        "key": id_.encode(),
        **said,
    }
    return Told(kind, code=code, **given)  # type: ignore[arg-type]  # the fields of Told by name


def _headers(id_: str, verb: str = "wish-submitted") -> Headers:
    return [(name.encode(), text) for name, text in binary(id_, verb)]


def _without(id_: str, attribute: bytes) -> Headers:
    return [(name, text) for name, text in _headers(id_) if name != attribute]


POISONS: Final[tuple[Poison, ...]] = (
    lambda i, _: _told("no JSON", i, "unreadable-event", value=b"\xff\xfe{", buried=True),
    lambda i, _: _told("no object", i, "unreadable-event", value=b"[1]", buried=True),
    lambda i, _: _told(
        "no id", i, "no-event-id", id=None, headers=_without(i, b"ce_id"), buried=True
    ),
    lambda i, _: _told(
        "no source", i, "no-event-source", headers=_without(i, b"ce_source"), buried=True
    ),
    lambda i, _: _told(
        "nothing", i, "unreadable-event", id=None, value=None, headers=[], buried=True
    ),
    lambda i, _: _told(
        "name of a header not UTF-8",
        i,
        "unreadable-header",
        headers=[*_headers(i), (b"\xff\xfe", b"x")],
        buried=True,
    ),
    lambda i, _: _told(
        "header not UTF-8",
        i,
        "invalid-event",
        headers=[*_headers(i), (b"ce_time", b"\xff\xfe")],
        buried=True,
    ),
    lambda i, _: _told("too large", i, "too-large", value=b"x" * (FACT_LIMIT + 1), buried=True),
    lambda i, _: _told("unknown type", i, "unknown-type", headers=_headers(i, "wish-granted")),
    lambda i, _: _told("unknown field", i, "unknown-field", value=wish(i, colour="red")),
    lambda i, _: _told("area of nobody", i, "area-not-yours", value=wish(i, area="t3/nowhere/g1")),
    lambda i, _: _told("unknown category", i, "unknown-category", value=wish(i, category="x")),
    lambda i, good: _told(
        "unit of nobody",
        i,
        "unit-not-yours",
        headers=_headers(i, "unit-reported"),
        value=report(good, unit="nobody"),
    ),
    lambda i, _: _told(
        "reference of nobody",
        i,
        "unknown-reference",
        headers=_headers(i, "unit-reported"),
        value=report(f"no-{i}"),
    ),
    lambda i, good: _told(
        "id told before with another body",
        i,
        "id-reused",
        id=good,
        headers=_headers(good),
        value=wish(good, words="别的话"),
        key=good.encode(),
    ),
    lambda i, good: _told("reference taken", i, "ref-taken", value=wish(good), key=good.encode()),
)
"""Every sort, by what makes it bad."""
