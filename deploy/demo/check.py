"""Compares what the read API reports with what was published, line by line."""

from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from deploy.demo.client import Client
from deploy.demo.lists import Reads, not_as_listed
from deploy.demo.scenario import Scenario
from deploy.demo.sums import Asked, Report, not_adding_up, out_of_shape


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
    figures: Annotated[tuple[Published, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len({each.name for each in self.figures}) != len(self.figures):
            raise ValueError("two figures have the same name")
        return self


def read_published(file: Path) -> PublishedFigures:
    """Raises ValueError."""
    return PublishedFigures.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def asked_of(area: str, scenario: Scenario) -> Asked:
    """The area, and the days of the scenario."""
    first, last = (
        at.astimezone(scenario.zone).date().isoformat() for at in (scenario.starts, scenario.ends)
    )
    return Asked(area, first, last)


def place_report(reader: Client, asked: Asked) -> Report:
    """The report as the read API gives it."""
    period = {"from": asked.first, "to": asked.last}
    report: Report = reader.get("/v1/report", area=asked.area, **period)
    return report


def differences(
    reader: Reads, report: Report, published: PublishedFigures, scenario: Scenario
) -> list[str]:
    """A line for each published figure that the report does not give, for what in the report is
    not as asked or does not add up, and for each number whose link opens another list than it
    counts; none means all is well."""
    asked = asked_of(published.area, scenario)
    played = {(g.kind, category) for g in scenario.groups for category, n in g.count.items() if n}
    if shapeless := list(out_of_shape(report, asked, played)):
        return shapeless
    kinds = {kind["kind"]: kind for kind in report["kinds"]}
    lines = []
    for each in published.figures:
        if each.kind not in kinds:
            lines.append(f"{each.name}: the report has no kind {each.kind}")
        elif (found := _found(reader, kinds[each.kind], each)) != each.figure:
            lines.append(f"{each.name}: {found}, published {each.figure} ({each.says})")
    return [
        *lines,
        *not_adding_up(report, {kind for kind, _ in played}),
        *not_as_listed(reader, report, asked, scenario.zone),
    ]


def _found(reader: Reads, kind: dict[str, Any], each: Published) -> int:
    numbers = kind["numbers"]
    if each.numbers:
        return sum(int(numbers[number]["count"]) for number in each.numbers)
    if each.handed_over:
        return sum(1 for row in reader.rows(numbers["received"]["cases"]) if row["assignments"])
    used = {c["category"] for c in kind["categories"] if c["numbers"]["received"]["count"]}
    return len(used & set(each.categories)) - len(used - set(each.categories))
