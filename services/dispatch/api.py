"""HTTP in: what the community and the units do about a case."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from services.dispatch.commands import (
    Accept,
    CaseCommand,
    Dispatch,
    ReportIn,
    ReportProgress,
    Resolve,
)
from services.dispatch.deadlines import resolution_due
from services.dispatch.states import Case, File, Unopened
from shared.access import Principal, Role
from shared.commands import Answer, Asked, Said, StoryText, Words, answer, asked
from shared.contracts.base import Sealed, StoryId, SubjectId, UnitId
from shared.contracts.dispatch import DispatchFact
from shared.contracts.recorded import stream_id
from shared.errors import KeyMissing, NotYet, Refused
from shared.handling import Handler, Order, Prepared, Sealers
from shared.problems import Hidden
from shared.sealing import Sealer
from shared.town import CodeText, Profile, Town, Towns, UnitText
from shared.waiting import Arrivals

Cases = Handler[Case, CaseCommand, DispatchFact]


class DispatchBody(Said):
    """派单."""

    unit: UnitText = Field(examples=["unit"])


class ProgressBody(Said):
    """办理."""

    note: Words = Field(examples=["已到现场，正在疏通。"])


class ResolveBody(Said):
    """办结. Outcomes are those of the town's profile."""

    outcome: CodeText = Field(examples=["resolved"])
    note: Words = Field(examples=["已疏通，未再堵。"])


Seal = Callable[[str, str], Sealed]
"""Seals the text of a field for the case's subject. Raises KeyMissing once that was erased."""
Build = Callable[[File, Profile, datetime, Seal], CaseCommand]


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
        """Decide the command that `build` makes. Raises Hidden, NotYet and what deciding may."""
        stream = stream_id("case", story)
        check_sight(await self._cases.state(stream), ask.who)
        await ask.wait(self._arrivals, story, self._wait_seconds)

        async def prepare(case: Case, profile: Profile, now: datetime) -> Prepared[CaseCommand]:
            if isinstance(case, Unopened):
                raise NotYet(stream)
            check_sight(case, ask.who)
            profile.check_occurred(ask.who.role, body.occurred, now)
            sealer = await self._sealer(SubjectId(case.file.resident or story))

            def seal(field: str, text: str) -> Sealed:
                if sealer is None:
                    raise KeyMissing(story)
                return sealer.seal(story, field, text)

            return Prepared(build(case.file, profile, now, seal), sealer)

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


def check_sight(case: Case, who: Principal) -> None:
    """Raise Hidden for a case that is not theirs: another town or area, or never their unit's."""
    if isinstance(case, Unopened):
        return
    file = case.file
    ours = file.area.partition("/")[0] == who.town
    theirs = who.unit in file.units if who.role is Role.UNIT else who.sees(file.area)
    if not (ours and theirs):
        raise Hidden


def routes(desk: CaseDesk) -> APIRouter:
    """Dispatch's endpoints. All wait for `at_least`, and before the case is open say `not-yet`."""
    router = APIRouter(prefix="/v1/cases/{story}", tags=["cases"])

    @router.post("/accept", operation_id="accept")
    async def accept(
        story: StoryText,
        body: Annotated[Said, Body(default_factory=Said)],
        ask: Annotated[Asked, asked("accept", Role.COMMUNITY, Role.STREET)],
    ) -> Answer:
        """受理: answer for it. The deadline follows from the kind."""

        def build(file: File, profile: Profile, now: datetime, _: Seal) -> CaseCommand:
            return Accept(by=ask.who.actor, due=resolution_due(profile, file.kind, now))

        return await desk.do(ask, story, body, build)

    @router.post("/dispatch", operation_id="dispatch")
    async def dispatch(
        story: StoryText,
        body: DispatchBody,
        ask: Annotated[Asked, asked("dispatch", Role.COMMUNITY, Role.STREET)],
    ) -> Answer:
        """派单: name the unit that leads."""

        def build(_: File, __: Profile, ___: datetime, ____: Seal) -> CaseCommand:
            desk.town(ask.who).check_unit(body.unit)
            return Dispatch(by=ask.who.actor, unit=body.unit)

        return await desk.do(ask, story, body, build)

    @router.post("/report", operation_id="report")
    async def report(
        story: StoryText,
        body: Annotated[Said, Body(default_factory=Said)],
        ask: Annotated[Asked, asked("report", Role.UNIT)],
    ) -> Answer:
        """报到: the unit has taken it up."""

        def build(_: File, __: Profile, ___: datetime, ____: Seal) -> CaseCommand:
            return ReportIn(by=ask.who.actor, unit=_unit(ask.who))

        return await desk.do(ask, story, body, build)

    @router.post("/progress", operation_id="progress")
    async def progress(
        story: StoryText,
        body: ProgressBody,
        ask: Annotated[Asked, asked("progress", Role.UNIT)],
    ) -> Answer:
        """办理: how far the unit is."""

        def build(_: File, __: Profile, ___: datetime, seal: Seal) -> CaseCommand:
            note = seal("note", body.note)
            return ReportProgress(by=ask.who.actor, unit=_unit(ask.who), note=note)

        return await desk.do(ask, story, body, build)

    @router.post("/resolve", operation_id="resolve")
    async def resolve(
        story: StoryText,
        body: ResolveBody,
        ask: Annotated[Asked, asked("resolve", Role.UNIT)],
    ) -> Answer:
        """办结: the unit is done. Where the profile asks no rating, this closes the case."""

        def build(file: File, profile: Profile, _: datetime, seal: Seal) -> CaseCommand:
            profile.check_code("outcome", body.outcome, profile.outcomes)
            return Resolve(
                by=ask.who.actor,
                unit=_unit(ask.who),
                outcome=body.outcome,
                note=seal("note", body.note),
                rating_asked=profile.kind(file.kind).rating_asked,
            )

        return await desk.do(ask, story, body, build)

    return router


def _unit(who: Principal) -> UnitId:
    if who.unit is None:
        raise Refused("no-unit", "the token names no unit")
    return who.unit
