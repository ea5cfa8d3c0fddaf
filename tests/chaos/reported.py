"""Matters that a partner brings over Kafka, which the desk and a unit then take on over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from shared.contracts.answers import EventAnswer
from tests.chaos.insisting import GivenUp
from tests.chaos.partner import Event, Partner
from tests.chaos.ways import Story
from tests.partner import data


class Report:
    """What a partner tells of one matter, under a reference of its own."""

    def __init__(self, story: Story, partner: Partner) -> None:
        self.story = story
        self._partner = partner
        self._n = 0

    async def tell(self, verb: str, code: str | None = None, **said: Any) -> None:
        """An event, answered as it must be: accepted, or refused by this code."""
        self._n += 1
        matter = self.story.matter
        event = Event(
            f"{matter.name}-{self._n}-{verb}", verb, matter.name, data({"ref": matter.name, **said})
        )
        answer: EventAnswer = await self._partner.tell(event)
        if answer.code != code:
            self.story.violation(f"{event.id} was answered {answer.model_dump_json()}")
            raise GivenUp
        if matter.twice:
            await self._partner.tell_again(event)
        if answer.position is not None and answer.story is not None:
            self.story.id, self.story.position = answer.story, answer.position


Way = Callable[[Report], Awaitable[None]]


async def reported(r: Report) -> None:
    """An event that an officer reports, and whose unit says how far it is."""
    await r.tell("wish-submitted", kind=r.story.matter.kind, **_matter(r.story))
    await _at_work(r)
    await r.story.ends("closed", outcome="resolved")


async def raised(r: Report) -> None:
    """A hazard: somebody looks before it is written off."""
    await r.tell("hazard-raised", **_matter(r.story))
    await _at_work(r)
    await r.story.do(r.story.officer, "verify")
    await r.story.ends("closed", outcome="resolved")


async def too_early(r: Report) -> None:
    """A unit reports in before anybody named it."""
    await r.tell("wish-submitted", kind=r.story.matter.kind, **_matter(r.story))
    await r.story.do(r.story.clerk, "accept")
    await r.tell("unit-reported", "not-dispatched", unit=r.story.matter.units[0])
    await r.story.look(r.story.clerk)


async def unknown(r: Report) -> None:
    """A report on a reference nobody ever gave."""
    await r.tell("unit-reported", "unknown-reference", unit=r.story.matter.units[0])


async def _at_work(r: Report) -> None:
    unit = r.story.matter.units[0]
    await r.story.do(r.story.clerk, "accept")
    await r.story.do(r.story.clerk, "dispatch", unit=unit)
    await r.tell("unit-reported", unit=unit)
    await r.tell("progress-reported", unit=unit, note="已到现场")
    await r.story.look(r.story.clerk)
    await r.story.do(r.story.unit, "resolve", outcome="resolved", note="已办结")


def _matter(story: Story) -> dict[str, str]:
    matter = story.matter
    return {"category": matter.category, "area": matter.area, "words": matter.words}


WAYS: Final[dict[str, Way]] = {w.__name__: w for w in (reported, raised, too_early, unknown)}
"""By the names of `tests.chaos.plan.PARTNER_PATHS`."""
