"""The timeline of a case in words: what happened, who did it, when, and what was said. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.projections.answers import TimelineEntry
from services.projections.board.telling import Name, Teller

_AT_ONCE: Final = timedelta(minutes=1)
"""What is recorded so soon after it occurred needs no second time."""
_TOWNS: Final = {
    "kind": "kind",
    "area": "area",
    "channel": "channel",
    "unit": "unit",
    "outcome": "outcome",
    "rule": "rule",
}
"""Fields of facts that hold codes of the town, and what they are."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fact. `beside` is its name in English where the page speaks that; `quiet` steps were
    taken by a rule and only keep the books."""

    id: str
    said: str
    beside: str | None
    by: str
    at: datetime
    occurred: datetime | None
    quiet: bool
    lines: list[tuple[str, Name]]
    texts: list[tuple[str, str]]


_WORDS: Final = {"wish-rated": "rating_words", "wish-supplemented": "further_words"}
_FIRST: Final = ("title", "words")
_BOOKS: Final = {"case-stand-noted", "report-noted"}


def steps(entries: list[TimelineEntry], teller: Teller) -> list[Step]:
    """All of them, in the order in which they were recorded."""
    return [_step(entry, teller) for entry in entries]


def _step(entry: TimelineEntry, teller: Teller) -> Step:
    fact = entry.type.rpartition(".v")[0]
    term, english = _terms(fact, teller)
    late = entry.recorded - entry.occurred > _AT_ONCE
    return Step(
        id=entry.id,
        said=term,
        beside=english,
        by=teller.actor(entry.by),
        at=entry.recorded,
        occurred=entry.occurred if late else None,
        quiet=fact in _BOOKS,
        lines=list(_lines(fact, entry.details, teller)),
        texts=[
            (_label(fact, path, teller), text)
            for path, text in sorted(entry.texts.items(), key=lambda said: _rank(said[0]))
        ],
    )


def _terms(fact: str, teller: Teller) -> tuple[str, str | None]:
    """The term of the trade, and the page's own language beside it where that is another."""
    known = teller.phrases.catalogue.get(f"fact.{fact}")
    if known is None:
        return fact, None
    term, english = known
    return term, None if teller.phrases.language == "zh-CN" else english


def _lines(fact: str, details: Mapping[str, Any], teller: Teller) -> Iterator[tuple[str, Name]]:
    """What the codes and numbers of a fact say; ids and versions are left to the API."""
    t = teller.phrases
    for field, what in _TOWNS.items():
        if field in details:
            yield t(f"field.{field}"), teller.name(what, details[field])
        if field == "kind" and "category" in details:
            category = teller.name("category", details["category"], details.get("kind", ""))
            yield t("field.category"), category
    if "role" in details:
        yield t("field.role"), Name(t.code("assignment", details["role"]))
    if fact == "case-referred":
        yield t("field.owner"), teller.name("owner", details["to"])
    if fact == "case-closed":
        yield t("field.reason"), Name(t.code("closing", details["reason"]))
    if "due" in details:
        yield t("field.due"), Name(teller.when(details["due"]))
    if fact == "wish-rated":
        yield t("field.solved"), Name(t("answer.yes" if details["resolved"] else "answer.no"))
        yield t("field.satisfaction"), Name(f"{details['satisfaction']} / 5")
    if spot := details.get("settled_on_spot"):
        yield t("on-spot"), teller.name("outcome", spot["outcome"])
    if fact == "report-refused":
        yield t("field.code"), Name(details["code"])


def _rank(path: str) -> int:
    """What a matter is called and says comes before who brought it."""
    return _FIRST.index(path) if path in _FIRST else len(_FIRST)


def _label(fact: str, path: str, teller: Teller) -> str:
    """What a text is called; words are other words in each fact."""
    name = path.rpartition(".")[2]
    known = {"words": _WORDS.get(fact, "words"), "reason": "reason_text"}
    return teller.phrases.code("field", known.get(name, name))
