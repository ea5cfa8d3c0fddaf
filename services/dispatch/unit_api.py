"""HTTP in: what a unit does about the cases it was named for."""

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import Field

from services.dispatch.case_desk import Bench, CaseDesk
from services.dispatch.commands import CaseCommand, ReportIn, ReportProgress, Resolve, Return
from services.dispatch.policies import rating_asked
from shared.access import Principal, Role
from shared.commands import Answer, Asked, Said, StoryText, Words, asked
from shared.contracts.base import UnitId
from shared.errors import Refused
from shared.profile import CodeText


class ProgressBody(Said):
    """办理."""

    note: Words = Field(examples=["已到现场，正在疏通。"])


class ReturnBody(Said):
    """退单."""

    reason: Words = Field(examples=["不属本单位管理范围。"])


class ResolveBody(Said):
    """办结. Outcomes are those of the town's profile."""

    outcome: CodeText = Field(examples=["resolved"])
    note: Words = Field(examples=["已疏通，未再堵。"])


def unit_routes(desk: CaseDesk) -> APIRouter:
    """The units' endpoints. All wait for `at_least`; without it a case not yet open is unknown."""
    router = APIRouter(prefix="/v1/cases/{story}", tags=["units"])

    @router.post("/report", operation_id="report")
    async def report(
        story: StoryText,
        body: Annotated[Said, Body(default_factory=Said)],
        ask: Annotated[Asked, asked("report", Role.UNIT)],
    ) -> Answer:
        """报到: the unit has taken it up."""
        return await desk.do(
            ask, story, body, lambda at: ReportIn(by=ask.who.actor, unit=_unit(ask.who))
        )

    @router.post("/progress", operation_id="progress")
    async def progress(
        story: StoryText,
        body: ProgressBody,
        ask: Annotated[Asked, asked("progress", Role.UNIT)],
    ) -> Answer:
        """办理: how far the unit is."""
        return await desk.do(
            ask,
            story,
            body,
            lambda at: ReportProgress(ask.who.actor, _unit(ask.who), at.seal("note", body.note)),
        )

    @router.post("/return", operation_id="return")
    async def give_back(
        story: StoryText,
        body: ReturnBody,
        ask: Annotated[Asked, asked("return", Role.UNIT)],
    ) -> Answer:
        """退单: the unit gives its assignment back, with the reason."""
        return await desk.do(
            ask,
            story,
            body,
            lambda at: Return(ask.who.actor, _unit(ask.who), at.seal("reason", body.reason)),
        )

    @router.post("/resolve", operation_id="resolve")
    async def resolve(
        story: StoryText,
        body: ResolveBody,
        ask: Annotated[Asked, asked("resolve", Role.UNIT)],
    ) -> Answer:
        """办结: the leading unit is done. Where the profile asks neither a verification nor a
        rating, this closes the case."""

        def build(at: Bench) -> CaseCommand:
            at.profile.check_code("outcome", body.outcome, at.profile.outcomes)
            return Resolve(
                by=ask.who.actor,
                unit=_unit(ask.who),
                outcome=body.outcome,
                note=at.seal("note", body.note),
                rating_asked=rating_asked(at.profile, at.file.kind, at.file.resident),
                verification_asked=at.profile.kind(at.file.kind).verification_asked,
            )

        return await desk.do(ask, story, body, build)

    return router


def _unit(who: Principal) -> UnitId:
    if who.unit is None:
        raise Refused("no-unit", "the token names no unit")
    return who.unit
