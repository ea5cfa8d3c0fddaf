"""Compares what the read API says with what must come out of a played scenario."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from deploy.demo.client import Client
from deploy.demo.scenario import Played


class ExpectedCase(BaseModel):
    """One case as it must be read; `wish` and `case` are the versions of its streams."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    wish: int
    case: int
    unit: str | None = None
    outcome: str | None = None
    solved: bool | None = None
    satisfaction: int | None = None


class Expected(BaseModel):
    """All cases by reference, and how many there are in each state."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: Mapping[str, ExpectedCase]
    by_state: Mapping[str, int]


def read_expected(file: Path) -> Expected:
    """Raises ValueError."""
    return Expected.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def differences(reader: Client, played: Sequence[Played], expected: Expected) -> list[str]:
    """A line for each thing that is not as it must be; none means all is well.

    It waits for the facts the expectation counts, by position; what never arrives is refused by
    the service after its own waiting time.
    """
    lines = [line for each in played for line in _case(reader, each, expected)]
    rows = reader.cases()
    lines += _compare("case list", "stories", {r["story"] for r in rows}, {p.story for p in played})
    lines += _compare("case list", "by state", Counter(r["state"] for r in rows), expected.by_state)
    lines += _compare("scenario", "references", {p.ref for p in played}, set(expected.cases))
    return lines


def _case(reader: Client, played: Played, expected: Expected) -> list[str]:
    want = expected.cases.get(played.ref)
    if want is None:
        return [f"{played.ref}: nothing is expected of it"]
    story, where = played.story, f"/v1/cases/{played.story}"
    reader.get(f"{where}/timeline", at_least=f"wish-{story}@{want.wish}")
    found = reader.get(where, at_least=f"case-{story}@{want.case}")
    timeline = reader.get(f"{where}/timeline")
    rating: dict[str, Any] = found.get("rating") or {}
    pairs = {
        "source_ref": (found["source_ref"], played.ref),
        "state": (found["state"], want.state),
        "unit": (found["unit"], want.unit),
        "outcome": (found["outcome"], want.outcome),
        "solved": (rating.get("resolved"), want.solved),
        "satisfaction": (rating.get("satisfaction"), want.satisfaction),
        "versions": (found["versions"], {"wish": want.wish, "case": want.case}),
        "timeline": (len(timeline), want.wish + want.case),
    }
    return [
        line
        for what, (is_, must) in pairs.items()
        for line in _compare(played.ref, what, is_, must)
    ]


def _compare(who: str, what: str, found: object, wanted: object) -> list[str]:
    return [] if found == wanted else [f"{who}: {what} is {found!r}, must be {wanted!r}"]
