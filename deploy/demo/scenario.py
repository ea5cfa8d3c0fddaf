"""The scenario as data: how many matters of which sort, who brings them, at what pace."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Verb = Literal[
    "submit",
    "settle",
    "accept",
    "dispatch",
    "report",
    "progress",
    "resolve",
    "doubt",
    "rate",
]
"""What is done to a matter. `settle`: handed in and done in one act; `doubt`: rated as not
solved, `rate`: as solved."""
Span = tuple[float, float]
"""At least, at most."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PartnerSystem(_Data):
    """The system that publishes on Kafka, and under which source."""

    id: str
    source: str


class Group(_Data):
    """Matters that go the same way. `submitted` in days after the start; `count` by category;
    `on_behalf`: an officer brings what a resident asked for; `area` instead of the town's
    `areas`."""

    name: str
    kind: str
    by: Literal["officer", "resident", "partner"]
    on_behalf: bool = False
    area: str | None = None
    channel: str
    pace: str
    submitted: Span
    course: Annotated[tuple[Verb, ...], Field(min_length=1)]
    count: Mapping[str, Annotated[int, Field(ge=0)]]


class Texts(_Data):
    """What may be said of a category, and which unit it goes to."""

    unit: str
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    done: Annotated[tuple[str, ...], Field(min_length=1)]


class Scenario(_Data):
    """A town's played months. `paces`: hours from the step before, by verb; `at_work`: the
    hours of the day, in the town's time, between which anything is done; `beside`: groups of
    another place or an earlier day, which the report of the place and months leaves out."""

    town: str
    community: str
    seed: int
    starts: AwareDatetime
    days: Annotated[int, Field(gt=0)]
    time_zone: str
    at_work: tuple[int, int]
    desk: str
    areas: Annotated[tuple[str, ...], Field(min_length=1)]
    partner: PartnerSystem
    people: Annotated[tuple[str, ...], Field(min_length=1)]
    paces: Mapping[str, Mapping[Verb, Span]]
    groups: tuple[Group, ...]
    beside: tuple[Group, ...] = ()
    progress: Annotated[tuple[str, ...], Field(min_length=1)]
    doubts: Annotated[tuple[str, ...], Field(min_length=1)]
    praise: Annotated[tuple[str, ...], Field(min_length=1)]
    texts: Mapping[str, Mapping[str, Texts]]

    @property
    def begins(self) -> datetime:
        """When the first matter may be handed in, at the same hour as on the first day."""
        earliest = min((group.submitted[0] for group in self.beside), default=0.0)
        return self.starts + timedelta(days=math.floor(min(earliest, 0.0)))

    @property
    def ends(self) -> datetime:
        """When the last day is over."""
        return self.starts + timedelta(days=self.days)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @model_validator(mode="after")
    def _groups_can_be_played(self) -> Self:
        for group in (*self.groups, *self.beside):
            first, *later = group.course
            if first not in ("submit", "settle"):
                raise ValueError(f"{group.name}: a course begins with submit or settle")
            if lacking := set(later) - set(self.paces.get(group.pace, ())):
                raise ValueError(f"{group.name}: pace {group.pace} lacks {', '.join(lacking)}")
            if unsaid := set(group.count) - set(self.texts.get(group.kind, ())):
                raise ValueError(f"{group.name}: no texts for {', '.join(unsaid)}")
            if {"rate", "doubt"} & set(later) and group.by != "resident":
                raise ValueError(f"{group.name}: only who has an account can rate")
        return self


def read_scenario(file: Path) -> Scenario:
    """Raises ValueError."""
    return Scenario.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
