"""How matters go, from submission to their end: each step follows an acknowledged one, so what is
refused where nothing may be refused was lost on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from tests.chaos.insisting import Client, No, Yes
from tests.chaos.ledger import Ledger
from tests.chaos.people import People
from tests.chaos.plan import Matter

CLOSED: Final = ("already-closed",)
_AT_INTAKE: Final = ("rate", "withdraw", "supplement")


class Story:
    """One matter on its way: who acts in it, and the last position that anybody was told."""

    def __init__(self, matter: Matter, people: People, ledger: Ledger, clerk: int = 0) -> None:
        self.matter = matter
        self.resident = people.resident(f"wx-{matter.name.rpartition('-')[0]}")
        self.clerk = people.clerk(clerk)
        self.other_clerk = people.clerk(clerk + 1)
        self.officer = people.officer(0)
        self.unit, self.other_unit = (people.unit(name) for name in matter.units)
        self._ledger = ledger
        self._steps = 0
        self.id = ""
        self.position = ""

    async def submit(self, who: Client, **more: Any) -> None:
        """It is handed in."""
        m = self.matter
        body = {"kind": m.kind, "category": m.category, "area": m.area, "words": m.words}
        body |= {"channel": "wechat", **more}
        key = f"{m.name}/submit"
        said = await who.command("intake", "/v1/wishes", "submit", body, key=key, twice=m.twice)
        self._take(said)

    async def do(
        self, who: Client, verb: str, *, may: Collection[str] = (), **body: Any
    ) -> Yes | No:
        """A step after the last one. Where a refusal may be, others act at the same time."""
        self._steps += 1
        service, at = ("intake", "wishes") if verb in _AT_INTAKE else ("dispatch", "cases")
        said = await who.command(
            service,
            f"/v1/{at}/{self.id}/{verb}",
            verb,
            body,
            key=f"{self.matter.name}/{self._steps}-{verb}",
            at_least=self.position,
            may=may,
            twice=self.matter.twice and not may,
        )
        self._take(said)
        return said

    async def look(self, who: Client) -> dict[str, Any]:
        """Read it: what was acknowledged is there."""
        case = await who.read(f"/v1/cases/{self.id}", at_least=self.position)
        return self._checked(case, self.position)

    async def ends(self, state: str, **expected: Any) -> None:
        """It gets there, and everybody reads what was said and done."""
        asked, position = {"at_least": self.position, "until": state}, self.position
        case = await self.clerk.read(f"/v1/cases/{self.id}", **asked)
        case = self._checked(case, position)
        expected |= {"state": state, "words": self.matter.words, "kind": self.matter.kind}
        for field, value in expected.items():
            if case.get(field) != value:
                self.violation(f"says {field} {case.get(field)!r} and not {value!r}")

    def violation(self, what: str) -> None:
        """Something about this matter that must never be."""
        self._ledger.violation(f"{self.matter.name} ({self.matter.path}) {self.id} {what}")

    def _take(self, said: Yes | No) -> None:
        if isinstance(said, Yes):
            if self.id not in ("", said.story):
                self.violation(f"became {said.story}")
            self.id, self.position = said.story, said.position

    def _checked(self, case: dict[str, Any], position: str) -> dict[str, Any]:
        stream, _, version = position.rpartition("@")
        if case["versions"].get(stream.partition("-")[0], 0) < int(version):
            self.violation(f"was read at {case['versions']} after {position} was asked for")
        return case


Way = Callable[[Story], Awaitable[None]]


async def solved(s: Story) -> None:
    await _taken_up(s)
    await s.look(s.resident)
    await _done_by(s, s.unit)
    await _rated(s, solved=True)


async def unsolved(s: Story) -> None:
    """Not solved: a second round."""
    await _taken_up(s)
    await _done_by(s, s.unit)
    await s.do(s.resident, "rate", resolved=False, satisfaction=1)
    await s.do(s.clerk, "dispatch", unit=s.matter.units[1])
    await _done_by(s, s.other_unit)
    await _rated(s, solved=True)


async def withdrawn(s: Story) -> None:
    """While the desk is at work on it."""
    await s.submit(s.resident)
    await s.do(s.clerk, "accept")
    await asyncio.gather(
        s.do(s.resident, "withdraw", may=CLOSED, reason="不用了"),
        s.do(s.clerk, "dispatch", may=CLOSED, unit=s.matter.units[0]),
        s.do(s.other_clerk, "contact", may=CLOSED, note="已联系"),
    )
    s.position = f"wish-{s.id}@1"
    await s.ends("closed")


async def withdrawn_at_once(s: Story) -> None:
    await s.submit(s.resident)
    await s.do(s.resident, "withdraw")
    await s.ends("closed")


async def returned(s: Story) -> None:
    await _taken_up(s)
    await s.do(s.unit, "report")
    await s.do(s.unit, "return", reason="不属本单位")
    await s.do(s.clerk, "dispatch", unit=s.matter.units[1])
    await s.look(s.clerk)
    await _done_by(s, s.other_unit)
    await _rated(s, solved=True)


async def redirected(s: Story) -> None:
    await _taken_up(s)
    await s.do(s.clerk, "redirect", unit=s.matter.units[1], reason="归他们管")
    await _done_by(s, s.other_unit)
    await s.look(s.resident)
    await _rated(s, solved=True)


async def declined(s: Story) -> None:
    await s.submit(s.resident)
    await s.do(s.clerk, "decline", rule="in-court", reason="已进入司法程序")
    await s.ends("closed")


async def referred(s: Story) -> None:
    await s.submit(s.resident)
    await s.do(s.clerk, "accept")
    await s.do(s.clerk, "refer", to="police", reason="属公安职责")
    await s.ends("closed")


async def verified(s: Story) -> None:
    """Somebody looks before it is written off."""
    await _taken_up(s)
    await _done_by(s, s.unit)
    await s.do(s.officer, "verify", note="现场已恢复")
    await s.ends("closed", outcome="resolved")


async def reworked(s: Story) -> None:
    await _taken_up(s)
    await _done_by(s, s.unit)
    await s.do(s.officer, "rework", reason="仍有问题")
    await s.do(s.unit, "resolve", outcome="resolved", note="重做了")
    await s.do(s.clerk, "verify")
    await s.ends("closed", outcome="resolved")


async def unasked(s: Story) -> None:
    """Nobody is asked to rate it: resolving it closes it."""
    await _taken_up(s)
    await _done_by(s, s.unit)
    await s.ends("closed", outcome="resolved")


async def on_the_spot(s: Story) -> None:
    await s.submit(s.officer, settled_on_spot={"outcome": "resolved", "note": "当场解决"})
    await s.ends("closed", outcome="resolved")


async def raced(s: Story) -> None:
    """Two clerks name two units at the same time: one of them leads, and only one."""
    await s.submit(s.resident)
    await s.do(s.clerk, "accept")
    lost = ("already-dispatched",)
    answers = await asyncio.gather(
        s.do(s.clerk, "dispatch", may=lost, unit=s.matter.units[0]),
        s.do(s.other_clerk, "dispatch", may=lost, unit=s.matter.units[1]),
    )
    won = [n for n, said in enumerate(answers) if isinstance(said, Yes)]
    if len(won) != 1:
        s.violation(f"was dispatched by {len(won)} of two clerks")
        return
    await _done_by(s, (s.unit, s.other_unit)[won[0]])
    await _rated(s, solved=True)


async def out_of_turn(s: Story) -> None:
    """What comes before its turn is refused, however the machines are."""
    await s.submit(s.resident)
    await _refused(s, s.clerk, "dispatch", "not-accepted", unit=s.matter.units[0])
    await s.do(s.clerk, "accept")
    await _refused(s, s.resident, "rate", "not-resolved-yet", resolved=True, satisfaction=5)
    await s.do(s.clerk, "dispatch", unit=s.matter.units[0])
    await _refused(s, s.unit, "resolve", "not-reported-in", outcome="resolved", note="好了")
    await s.do(s.resident, "supplement", words="再说一句")
    await s.look(s.resident)


async def _taken_up(s: Story) -> None:
    """Submitted, accepted, dispatched."""
    await s.submit(s.resident)
    await s.do(s.clerk, "accept")
    await s.do(s.clerk, "dispatch", unit=s.matter.units[0])


async def _done_by(s: Story, unit: Client) -> None:
    await s.do(unit, "report")
    await s.do(unit, "progress", note="已到现场")
    await s.do(unit, "resolve", outcome="resolved", note="已办结")


async def _rated(s: Story, *, solved: bool) -> None:
    satisfaction = s.matter.satisfaction
    await s.do(s.resident, "rate", resolved=solved, satisfaction=satisfaction)
    rating = {"resolved": solved, "satisfaction": satisfaction}
    await s.ends("closed", outcome="resolved", rating=rating)


async def _refused(s: Story, who: Client, verb: str, code: str, **body: Any) -> None:
    said = await s.do(who, verb, may=(code,), **body)
    if isinstance(said, Yes):
        s.violation(f"{verb} was decided though it is {code}")


WAYS: Final[dict[str, Way]] = {
    way.__name__: way
    for way in (
        *(solved, unsolved, withdrawn, withdrawn_at_once, returned, redirected, declined),
        *(referred, verified, reworked, unasked, on_the_spot, raced, out_of_turn),
    )
}
"""By the names of `tests.chaos.plan.PATHS`."""
