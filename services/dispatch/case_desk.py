"""Takes a command to its case: who may, wait, seal, decide."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.dispatch.commands import CaseCommand
from services.dispatch.deadlines import resolution_due
from services.dispatch.states import Case, File, Unopened
from shared.access import Principal, Role
from shared.commands import Answer, Asked, Said, answer
from shared.contracts.base import Sealed, StoryId, SubjectId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.recorded import stream_id
from shared.errors import KeyMissing, NotYet
from shared.handling import Handler, Order, Prepared, Sealers
from shared.problems import Hidden
from shared.profile import Profile
from shared.sealing import Sealer
from shared.town import Town, Towns
from shared.waiting import NOTHING, Arrivals

Cases = Handler[Case, CaseCommand, DispatchFact]


@dataclass(frozen=True, slots=True)
class Bench:
    """What a command is made of: the case's file, the profile in force, the time it will be
    recorded at, and the seal of whoever it is about."""

    story: StoryId
    file: File
    profile: Profile
    now: datetime
    sealer: Sealer | None

    def seal(self, field: str, text: str) -> Sealed:
        """The text of a field, sealed. Raises KeyMissing once the subject was erased."""
        if self.sealer is None:
            raise KeyMissing(self.story)
        return self.sealer.seal(self.story, field, text)

    @property
    def due(self) -> datetime:
        """By when a case of this kind is to be resolved, from now."""
        return resolution_due(self.profile, self.file.kind, self.now)


Build = Callable[[Bench], CaseCommand]


class CaseDesk:
    """Takes a command to its case: who may, wait, seal, decide."""

    def __init__(
        self, cases: Cases, keys: Sealers, towns: Towns, arrivals: Arrivals, wait_seconds: float
    ) -> None:
        self._cases = cases
        self._keys = keys
        self._towns = towns
        self._arrivals = arrivals
        self._wait_seconds = wait_seconds

    async def do(self, ask: Asked, story: StoryId, body: Said, build: Build) -> Answer:
        """Decide the command that `build` makes. Raises Hidden, NotYet and what deciding may.

        A case that is not theirs is like one that there is not: unknown, or with `at_least`
        never there.
        """
        stream = stream_id("case", story)
        case = await self._cases.state(stream)
        if ask.at_least is None and not sees(case, ask.who):
            raise Hidden
        hidden = not isinstance(case, Unopened) and not sees(case, ask.who)
        await ask.wait(NOTHING if hidden else self._arrivals, story, self._wait_seconds)

        async def prepare(case: Case, profile: Profile, now: datetime) -> Prepared[CaseCommand]:
            if isinstance(case, Unopened) or not sees(case, ask.who):
                raise NotYet(ask.at_least or stream)
            profile.check_occurred(ask.who.role, body.occurred, now)
            sealer = await self._sealer(SubjectId(case.file.resident or story))
            bench = Bench(story, case.file, profile, now, sealer)
            return Prepared(build(bench), sealer)

        order = Order(
            stream,
            self._towns[ask.who.town],
            ask.cause(),
            prepare,
            occurred=body.occurred,
            request=body.as_asked(),
            expected=ask.expected,
        )
        return answer(await self._cases.handle(order))

    async def _sealer(self, subject: SubjectId) -> Sealer | None:
        """None once the subject was erased: the case goes on, without texts."""
        try:
            return await self._keys.sealer(subject)
        except KeyMissing:
            return None

    def town(self, who: Principal) -> Town:
        """The town of the principal."""
        return self._towns[who.town]


def sees(case: Case, who: Principal) -> bool:
    """Whether there is such a case for them: of their town and area, or once their unit's."""
    if isinstance(case, Unopened):
        return False
    file = case.file
    ours = file.area.partition("/")[0] == who.town
    return ours and (who.unit in file.units if who.role is Role.UNIT else who.sees(file.area))
