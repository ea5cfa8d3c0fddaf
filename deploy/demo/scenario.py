"""Plays a scenario through the services' own HTTP, as residents, community and units would."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from deploy.demo.client import Client
from deploy.local.installation import Installation
from shared.access import Role


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resident(_Data):
    """Who submits; the same account may come again."""

    account: str
    name: str | None = None
    phone: str | None = None
    address: str | None = None


class Wish(_Data):
    """A wish and the steps it goes, each one verb with the body of its request."""

    ref: str
    resident: Resident
    wish: dict[str, Any]
    steps: tuple[dict[str, dict[str, Any]], ...]


class Desk(_Data):
    """Who accepts and dispatches."""

    sub: str
    areas: tuple[str, ...]


class Scenario(_Data):
    """A town's played days."""

    town: str
    community: Desk
    wishes: tuple[Wish, ...]


class Played(_Data):
    """Where a wish ended: its story and the last position answered."""

    ref: str
    story: str
    position: str


def read_scenario(file: Path) -> Scenario:
    """Raises ValueError."""
    return Scenario.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def play(place: Installation, scenario: Scenario, tell: Callable[[str], None]) -> list[Played]:
    """Send every wish and take it as far as it goes. Raises Refusal when a service says no."""
    with _people(place, scenario) as person:
        return [_play(wish, scenario, person, tell) for wish in scenario.wishes]


def community(place: Installation, scenario: Scenario) -> Client:
    """The desk that sees everything in its areas."""
    desk = scenario.community
    return Client(place, Role.COMMUNITY, desk.sub, scenario.town, desk.areas)


_Person = Callable[[Role, str], Client]


@contextmanager
def _people(place: Installation, scenario: Scenario) -> Iterator[_Person]:
    known: dict[tuple[Role, str], Client] = {}

    def person(role: Role, name: str) -> Client:
        if (role, name) not in known:
            if role is Role.COMMUNITY:
                known[role, name] = community(place, scenario)
            elif role is Role.UNIT:
                known[role, name] = Client(place, role, f"{name}-desk", scenario.town, unit=name)
            else:
                known[role, name] = Client(place, role, name, scenario.town)
        return known[role, name]

    try:
        yield person
    finally:
        for client in known.values():
            client.close()


def _play(wish: Wish, scenario: Scenario, person: _Person, tell: Callable[[str], None]) -> Played:
    resident = person(Role.RESIDENT, wish.resident.account)
    about = wish.resident.model_dump(exclude={"account"}, exclude_none=True)
    answer = resident.submit({**wish.wish, **about, "source_ref": wish.ref}, key=wish.ref)
    story, unit = answer["story"], ""
    done = ["submit"]
    for step in wish.steps:
        for verb, body in step.items():
            unit = body.get("unit", unit)
            if verb == "rate":
                who = resident
            elif verb in ("accept", "dispatch"):
                who = person(Role.COMMUNITY, scenario.community.sub)
            else:
                who = person(Role.UNIT, unit)
            answer = who.do(verb, story, body, answer["position"])
            done.append(verb)
    tell(f"{wish.ref}  {' → '.join(done)}")
    return Played(ref=wish.ref, story=story, position=answer["position"])
