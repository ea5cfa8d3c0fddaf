"""The demo's check accepts one small report, and nothing that was tampered with."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from pydantic import ValidationError

from deploy.demo.check import PublishedFigures, differences
from deploy.demo.run import HERE
from deploy.demo.scenario import read_scenario
from deploy.demo.sums import NUMBERS

WHOLE = read_scenario(HERE / "t3.yaml")
SCENARIO = WHOLE.model_copy(
    update={
        "groups": (
            WHOLE.groups[0].model_copy(update={"count": {"order": 1, "safety": 2}}),
            WHOLE.groups[5].model_copy(update={"count": {"family": 2, "parking": 1}}),
        )
    }
)
FIGURE = {"name": "events", "says": "3", "kind": "event", "numbers": ["received"], "figure": 3}
PUBLISHED = PublishedFigures.model_validate({"area": "t3/west", "figures": [FIGURE]})
DONE = {"received", "resolved", "closed"}
Rows = list[dict[str, Any]]


def row(story: str, kind: str, category: str, numbers: set[str]) -> dict[str, Any]:
    day = {"day": "2026-04-01", "submitted": "2026-04-01T03:00:00Z"}
    said = {"story": story, "area": "t3/west/g1", "kind": kind, "category": category}
    return {**said, **day, "numbers": sorted(numbers), "assignments": []}


ROWS = [
    row("a", "event", "order", DONE),
    row("b", "event", "safety", DONE | {"fast"}),
    row("c", "event", "safety", {"received", "open"}),
    row("d", "appeal", "family", DONE | {"on_the_spot"}),
    row("e", "appeal", "family", DONE | {"fast"}),
    row("f", "appeal", "parking", {"received", "otherwise", "closed"}),
]


def listed(query: dict[str, str]) -> Rows:
    """What a sound API lists."""
    return [
        each
        for each in ROWS
        if query["number"] in each["numbers"]
        and all(query.get(field, each[field]) == each[field] for field in ("kind", "category"))
    ]


def numbers(**query: str) -> dict[str, Any]:
    links = {number: {**query, "number": number} for number in NUMBERS}
    return {
        number: {"count": len(listed(link)), "cases": f"/v1/cases?{urlencode(link)}"}
        for number, link in links.items()
    }


def category(kind: str, name: str) -> dict[str, Any]:
    return {"category": name, "numbers": numbers(kind=kind, category=name)}


def kind(name: str, *names: str) -> dict[str, Any]:
    categories = [category(name, each) for each in names]
    return {"kind": name, "numbers": numbers(kind=name), "categories": categories}


def report() -> dict[str, Any]:
    kinds = [
        kind("event", "order", "safety", "people"),
        kind("appeal", "family", "parking"),
        kind("hazard", "fire"),
    ]
    period = {"from": "2026-03-02", "to": "2026-07-30"}
    return {"area": "t3/west", **period, "numbers": numbers(), "kinds": kinds}


class Reader:
    """Lists what a sound API would, changed on the way."""

    def __init__(self, change: Callable[[Rows], Rows] = lambda rows: rows) -> None:
        self._change = change

    def rows(self, link: str) -> Rows:
        return self._change(deepcopy(listed(dict(parse_qsl(link.partition("?")[2])))))


def every(**other: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**each, **other} for each in rows]


def test_a_sound_report_with_sound_lists_has_no_differences() -> None:
    assert differences(Reader(), report(), PUBLISHED, SCENARIO) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda rows: rows[:1] * len(rows), "only 1 different ones"),
        (lambda rows: [*rows[1:], *rows[-1:]], "different ones"),
        (lambda rows: rows[1:], "but its link lists"),
        (lambda rows: [], "but its link lists 0"),
        (every(area="t3"), "of t3"),
        (every(area="t3/westend"), "of t3/westend"),
        (every(kind="wish"), "of kind wish"),
        (every(category="people"), "of category people"),
        (every(day="2026-03-01"), "of 2026-03-01"),
        (every(submitted="2026-03-01T15:59:00Z"), "of 2026-03-01"),
        (every(submitted="2026-07-30T16:00:00Z"), "of 2026-07-31"),
        (every(numbers=[]), "do not count in it"),
    ],
)
def test_a_list_of_other_cases_is_noticed(change: Callable[[Rows], Rows], named: str) -> None:
    assert named in "\n".join(differences(Reader(change), report(), PUBLISHED, SCENARIO))


def without_totals(said: dict[str, Any]) -> None:
    said["numbers"] = {}


def other_totals(said: dict[str, Any]) -> None:
    said["numbers"]["fast"]["count"] += 1


def lost_received(said: dict[str, Any]) -> None:
    for part in (said, said["kinds"][0], said["kinds"][0]["categories"][0]):
        part["numbers"]["open"]["count"] += 1


def an_extra_kind(said: dict[str, Any]) -> None:
    said["kinds"].append({**deepcopy(said["kinds"][0]), "kind": "wish"})


def swapped(said: dict[str, Any]) -> None:
    every_part = [said, *said["kinds"], *(c for k in said["kinds"] for c in k["categories"])]
    for part in every_part:
        of = part["numbers"]
        of["fast"], of["on_the_spot"] = of["on_the_spot"], of["fast"]


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (lambda said: said.update(area="t3"), "area is t3"),
        (lambda said: said.update({"from": "2026-03-01"}), "from is 2026-03-01"),
        (lambda said: said.update({"to": "2026-07-29"}), "to is 2026-07-29"),
        (without_totals, "all kinds: has the numbers none"),
        (other_totals, "all kinds, fast: 3, but its parts come to 2"),
        (lost_received, "received is not open + resolved + otherwise"),
        (lambda said: said["kinds"].pop(1), "no kind appeal"),
        (lambda said: said["kinds"][0]["categories"].pop(0), "no category order"),
        (lambda said: said["kinds"][0]["numbers"].pop("fast"), "event: has the numbers"),
        (lambda said: said["kinds"].append(said["kinds"][2]), "hazard: listed 2 times"),
        (
            lambda said: said["kinds"][2]["categories"].append(said["kinds"][2]["categories"][0]),
            "hazard, fire: listed 2 times",
        ),
        (an_extra_kind, "wish: counts something"),
        (swapped, "appeal, fast: its link lists 1 cases that do not count in it"),
    ],
)
def test_a_report_of_something_else_is_noticed(
    tamper: Callable[[dict[str, Any]], object], named: str
) -> None:
    said = report()
    tamper(said)
    assert named in "\n".join(differences(Reader(), said, PUBLISHED, SCENARIO))


@pytest.mark.parametrize("figures", [[], [FIGURE, FIGURE]])
def test_figures_are_some_and_named_once(figures: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        PublishedFigures.model_validate({"area": "t3/west", "figures": figures})
