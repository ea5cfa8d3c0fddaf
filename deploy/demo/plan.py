"""What will be played, step by step: pure, and the same for the same scenario and seed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from random import Random
from typing import Any, Final, Literal

from deploy.demo.scenario import Group, Scenario, Texts, Verb
from shared.access import Role

INVENTED: Final = "（虚构）"
"""Every text begins with it."""
_LATEST_HOUR_TO_SUBMIT: Final = 18
_NOTICED_MINUTES: Final = (3, 40)
"""How long before it is handed in an officer came across it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody does something about a matter at `at` (UTC, whole minutes). `who` is an account,
    a staff id or a partner; `scope` an officer's area or a unit; `ref` names the matter and `n`
    counts its steps from 0."""

    at: datetime
    ref: str
    n: int
    verb: Verb
    role: Role
    who: str
    scope: str | None
    via: Literal["http", "kafka"]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """All steps in the order of their times."""

    steps: tuple[Step, ...]

    @cached_property
    def stories(self) -> Mapping[str, tuple[Step, ...]]:
        """The steps of each matter, in order, by its reference."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.ref, []).append(step)
        return {ref: tuple(steps) for ref, steps in found.items()}

    def without(self, dropped: Step) -> "Plan":
        """The plan in which this step is never taken, nor those of its matter that need it."""
        return Plan(tuple(s for s in self.steps if s.ref != dropped.ref or s.n < dropped.n))


def plan(scenario: Scenario, seed: int) -> Plan:
    """Every matter with a time, a place, people and words of its own. Raises ValueError for a
    group whose last step would fall behind the end."""
    steps: list[Step] = []
    for number, group in enumerate((*scenario.groups, *scenario.beside), start=1):
        order = [category for category, count in group.count.items() for _ in range(count)]
        Random(f"{seed}/{number}").shuffle(order)
        for place, category in enumerate(order):
            ref = f"{scenario.town}-{number:02}-{place + 1:03}"
            matter = _Matter(scenario, group, category, ref, Random(f"{seed}/{ref}"))
            steps += matter.steps(place / len(order), 1 / len(order))
            if steps[-1].at > scenario.ends:
                raise ValueError(f"{group.name}: {ref} would not be over in {scenario.days} days")
    return Plan(tuple(sorted(steps, key=lambda step: (step.at, step.ref, step.n))))


class _Matter:
    """One matter being thought up; `random` is its own, so that no other depends on it."""

    def __init__(
        self, scenario: Scenario, group: Group, category: str, ref: str, random: Random
    ) -> None:
        self.scenario = scenario
        self.group = group
        self.category = category
        self.ref = ref
        self.random = random
        self.area = group.area or random.choice(scenario.areas)
        self.spot = {
            "building": random.randint(1, 18),
            "door": random.randint(1, 4),
            "floor": random.randint(2, 6),
        }

    def steps(self, share: float, width: float) -> Iterator[Step]:
        """Its course, begun in its share of the days its group is submitted in."""
        at = self._submitted(share + self.random.random() * width)
        for n, verb in enumerate(self.group.course):
            if n:
                at = self._later(at, verb)
            role, who, scope, via = self._actor(verb)
            yield Step(
                at.astimezone(UTC), self.ref, n, verb, role, who, scope, via, self._body(verb, at)
            )

    @property
    def _said(self) -> Texts:
        return self.scenario.texts[self.group.kind][self.category]

    def _submitted(self, share: float) -> datetime:
        first, last = self.group.submitted
        begins = self.scenario.starts.astimezone(self.scenario.zone)
        day = (begins + timedelta(days=math.floor(first + (last - first) * share))).date()
        opens = self.scenario.at_work[0]
        minute = self.random.randrange(60 * (_LATEST_HOUR_TO_SUBMIT - opens))
        at = datetime.combine(day, time(opens), self.scenario.zone) + timedelta(minutes=minute)
        return max(at, begins + timedelta(days=min(0, math.floor(first)), hours=1))

    def _later(self, at: datetime, verb: Verb) -> datetime:
        """The pace after `at`, in the morning instead of at night."""
        opens, closes = self.scenario.at_work
        hours = self.random.uniform(*self.scenario.paces[self.group.pace][verb])
        then = (at + timedelta(minutes=max(1, round(hours * 60)))).astimezone(self.scenario.zone)
        if opens <= then.hour < closes:
            return then
        day = then.date() + timedelta(days=1 if then.hour >= closes else 0)
        morning = datetime.combine(day, time(opens), self.scenario.zone)
        return morning + timedelta(minutes=self.random.randrange(60))

    def _actor(self, verb: Verb) -> tuple[Role, str, str | None, Literal["http", "kafka"]]:
        scenario, partner = self.scenario, self.group.by == "partner"
        match verb:
            case "submit" | "settle" | "rate" | "doubt":
                if partner:
                    return Role.SYSTEM, scenario.partner.id, None, "kafka"
                if self.group.by == "resident":
                    return Role.RESIDENT, f"{self.ref}-account", None, "http"
                return Role.OFFICER, self._officer, self.area, "http"
            case "accept" | "dispatch":
                return Role.COMMUNITY, scenario.desk, scenario.community, "http"
            case "report" | "progress" if partner:
                return Role.SYSTEM, scenario.partner.id, self._said.unit, "kafka"
        return Role.UNIT, f"{self._said.unit}-desk", self._said.unit, "http"

    @property
    def _officer(self) -> str:
        return f"officer-{self.area.rpartition('/')[2]}"

    def _body(self, verb: Verb, at: datetime) -> dict[str, Any]:
        match verb:
            case "submit":
                return self._matter(at)
            case "settle":
                done = {"outcome": "resolved", "note": self._text(self._said.done)}
                return {**self._matter(at), "settled_on_spot": done}
            case "dispatch":
                return {"unit": self._said.unit}
            case "progress":
                return {"note": self._text(self.scenario.progress)}
            case "resolve":
                return {"outcome": "resolved", "note": self._text(self._said.done)}
            case "doubt":
                words = self._text(self.scenario.doubts)
                return {"resolved": False, "satisfaction": 2, "words": words}
            case "rate":
                words = self._text(self.scenario.praise)
                return {
                    "resolved": True,
                    "satisfaction": self.random.choice((4, 5, 5)),
                    "words": words,
                }
        return {}

    def _matter(self, at: datetime) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": self.group.kind,
            "category": self.category,
            "area": self.area,
            "channel": self.group.channel,
            "words": self._text(self._said.words),
        }
        if self.group.by == "resident" or self.group.on_behalf:
            body |= {
                "name": f"住户{self.random.choice(self.scenario.people)}",
                "phone": f"1380000{self.random.randrange(10_000):04}",
                "address": "{building}号楼{door}单元".format(**self.spot),
            }
        if self.group.by != "resident" and not self.group.on_behalf:
            noticed = at - timedelta(minutes=self.random.randint(*_NOTICED_MINUTES))
            body["occurred"] = noticed.astimezone(UTC).isoformat()
        if self.group.by == "partner":
            body["submitted_by"] = f"{Role.OFFICER}:{self._officer}"
        return body

    def _text(self, said: tuple[str, ...]) -> str:
        return INVENTED + self.random.choice(said).format(**self.spot)
