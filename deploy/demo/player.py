"""Plays a plan: each step at its time on the town's clock, by whoever takes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.demo.client import Client, Refusal
from deploy.demo.partner import Partner, Unanswered, partner
from deploy.demo.plan import Plan, Step
from deploy.demo.scenario import Scenario
from deploy.local.installation import Installation
from shared.access import Role
from shared.clock import ShiftedClock, begin

_FACTS_OF_THE_WISH: Final = {"submit": 1, "settle": 1, "rate": 1, "doubt": 1}
"""What a step adds to the wish's stream itself; on Kafka, a unit's report too."""
_FACTS_IN_ANSWER: Final = {"settle": 2, "resolve": 2, "rate": 1, "doubt": 1}
"""What intake then notes there of the case: before it has, the clock may not go on."""
_VERBS_OF_PARTNERS: Final = {
    "submit": "wish-submitted",
    "report": "unit-reported",
    "progress": "progress-reported",
}


class NotPlayed(Exception):
    """A step that the services did not take; says which and why."""


@dataclass
class Played:
    """How far a matter has come: its story, the last position answered, and how many facts its
    wish has once all that follows from them is there too."""

    ref: str
    story: str
    position: str
    wish: int = 0


Tell = Callable[[Step], None]


def play(place: Installation, clock: Path, scenario: Scenario, plan: Plan, tell: Tell) -> "Stories":
    """Take every step, tell of each, and return when all that follows from them can be read.

    Steps follow each other in the plan's order, each after the positions it builds on; the clock
    goes on only when what a step leads to is recorded. Raises NotPlayed.
    """
    with _cast(place, scenario) as cast:
        stories: Stories = {}
        for step in plan.steps:
            if ShiftedClock(clock).now() < step.at:
                begin(clock, step.at)
            try:
                stories[step.ref] = cast.take(step, stories.get(step.ref))
            except (Refusal, Unanswered) as refusal:
                raise NotPlayed(f"{step.ref} {step.verb} at {step.at}: {refusal}") from refusal
            tell(step)
        if ShiftedClock(clock).now() < scenario.ends:
            begin(clock, scenario.ends)
        for played in stories.values():
            cast.wait(played.story, played.position)
    return stories


Stories = dict[str, Played]
"""By reference."""


def community(place: Installation, scenario: Scenario) -> Client:
    """The desk that sees everything in its areas."""
    return Client(place, Role.COMMUNITY, scenario.desk, scenario.town, [scenario.community])


def county(place: Installation, scenario: Scenario) -> Client:
    """Who sees everything in the town, beyond the community too."""
    return Client(place, Role.COMMUNITY, "county", scenario.town, [scenario.town])


@contextmanager
def _cast(place: Installation, scenario: Scenario) -> Iterator["_Cast"]:
    with partner(place, scenario.partner.id, scenario.partner.source) as system:
        cast = _Cast(place, scenario, system)
        try:
            yield cast
        finally:
            cast.close()


class _Cast:
    """Everybody who takes a step."""

    def __init__(self, place: Installation, scenario: Scenario, system: Partner) -> None:
        self._place = place
        self._scenario = scenario
        self._system = system
        self._known: dict[tuple[Role, str], Client] = {}
        self._desk = community(place, scenario)
        self._county = county(place, scenario)

    def close(self) -> None:
        """Close all connections."""
        for client in (self._desk, self._county, *self._known.values()):
            client.close()

    def wait(self, story: str, position: str) -> None:
        """Return when it can be read. Raises Refusal."""
        self._county.get(f"/v1/cases/{story}", at_least=position)

    def take(self, step: Step, before: Played | None) -> Played:
        """Take a step, and wait for what the services make of it. Raises Refusal, Unanswered."""
        kafka = step.via == "kafka"
        story, position = self._by_kafka(step) if kafka else self._by_http(step, before)
        wish = before.wish if before else 0
        wish += _FACTS_OF_THE_WISH.get(step.verb, int(kafka))
        wish += (following := _FACTS_IN_ANSWER.get(step.verb, 0))
        if following:
            self.wait(story, f"wish-{story}@{wish}")
        elif step.verb == "submit":
            self.wait(story, f"case-{story}@1")
        return Played(step.ref, story, position, wish)

    def _by_http(self, step: Step, before: Played | None) -> tuple[str, str]:
        who, key = self._person(step), f"{step.ref}-{step.n}"
        body: dict[str, Any] = dict(step.body)
        if before is None:
            answer = who.submit({**body, "source_ref": step.ref}, key=key)
        else:
            verb = "rate" if step.verb == "doubt" else step.verb
            answer = who.do(verb, before.story, body, before.position, key=key)
        return answer["story"], answer["position"]

    def _by_kafka(self, step: Step) -> tuple[str, str]:
        data = {**step.body, "ref": step.ref}
        time = data.pop("occurred", None)
        if step.verb != "submit":
            data["unit"] = step.scope
        verb = _VERBS_OF_PARTNERS[step.verb]
        answer = self._system.tell(f"{step.ref}-{step.n}", verb, step.ref, data, time)
        if answer.story is None or answer.position is None or answer.said != "accepted":
            raise Unanswered(f"refused: {answer.code} {answer.field or ''}")
        return answer.story, answer.position

    def _person(self, step: Step) -> Client:
        if step.role is Role.COMMUNITY:
            return self._desk
        if (step.role, step.who) not in self._known:
            unit = step.scope if step.role is Role.UNIT else None
            areas = [step.scope] if step.role is Role.OFFICER and step.scope else []
            town = self._scenario.town
            client = Client(self._place, step.role, step.who, town, areas, unit)
            self._known[step.role, step.who] = client
        return self._known[step.role, step.who]
