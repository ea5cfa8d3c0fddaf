"""Compares what the read API reports with what was published, line by line."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from deploy.demo.client import Client
from deploy.demo.scenario import Scenario

Report = dict[str, Any]
"""The place report as the read API answers it."""


class Published(BaseModel):
    """One published figure: `says` is the report's wording. It is the sum of `numbers`, or the
    cases `handed_over` to a unit, or how many `categories` something was received in: those and
    no other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    says: str
    kind: str
    numbers: tuple[str, ...] = ()
    handed_over: bool = False
    categories: tuple[str, ...] = ()
    figure: int

    @model_validator(mode="after")
    def _one_way_to_count(self) -> Self:
        if sum(map(bool, (self.numbers, self.handed_over, self.categories))) != 1:
            raise ValueError(f"{self.name}: say numbers, handed_over or categories")
        return self


class PublishedFigures(BaseModel):
    """All that was published of an area for the months that are played."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: str
    figures: tuple[Published, ...]


def read_published(file: Path) -> PublishedFigures:
    """Raises ValueError."""
    return PublishedFigures.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def place_report(reader: Client, area: str, scenario: Scenario) -> Report:
    """The report of the area for the days of the scenario."""
    first, last = (_day(at, scenario) for at in (scenario.starts, scenario.ends))
    report: Report = reader.get("/v1/report", **{"area": area, "from": first, "to": last})
    return report


def differences(reader: Client, report: Report, published: PublishedFigures) -> list[str]:
    """A line for each published figure that the report does not give, and for each number whose
    link opens a list of another length; none means all is well."""
    kinds = {kind["kind"]: kind for kind in report["kinds"]}
    lines = []
    for each in published.figures:
        if each.kind not in kinds:
            lines.append(f"{each.name}: the report has no kind {each.kind}")
        elif (found := _found(reader, kinds[each.kind], each)) != each.figure:
            lines.append(f"{each.name}: {found}, published {each.figure} ({each.says})")
    return [*lines, *_links(reader, report)]


def _found(reader: Client, kind: dict[str, Any], each: Published) -> int:
    numbers = kind["numbers"]
    if each.numbers:
        return sum(int(numbers[number]["count"]) for number in each.numbers)
    if each.handed_over:
        return sum(1 for row in reader.rows(numbers["received"]["cases"]) if row["assignments"])
    used = {c["category"] for c in kind["categories"] if c["numbers"]["received"]["count"]}
    return len(used & set(each.categories)) - len(used - set(each.categories))


def _links(reader: Client, report: Report) -> Iterator[str]:
    for name, numbers in _numbers(report):
        for number, figure in numbers.items():
            listed = len(reader.rows(figure["cases"]))
            if listed != figure["count"]:
                yield f"{name}, {number}: {figure['count']}, but its link lists {listed} cases"


def _numbers(report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "all kinds", report["numbers"]
    for kind in report["kinds"]:
        yield kind["kind"], kind["numbers"]
        for category in kind["categories"]:
            yield f"{kind['kind']}, {category['category']}", category["numbers"]


def _day(at: datetime, scenario: Scenario) -> str:
    return at.astimezone(scenario.zone).date().isoformat()
