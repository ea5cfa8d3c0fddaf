"""HTTP in: what the community does about a case."""

from typing import Annotated, Literal

from fastapi import APIRouter, Body
from pydantic import Field

from services.dispatch.case_desk import Bench, CaseDesk
from services.dispatch.commands import (
    Accept,
    CaseCommand,
    Contact,
    Decline,
    Dispatch,
    OrderRework,
    Redirect,
    Refer,
    Verify,
)
from shared.access import Role
from shared.commands import Answer, Asked, Said, StoryText, Words, asked
from shared.profile import CodeText, UnitText

DESK = (Role.COMMUNITY, Role.STREET)


class DeclineBody(Said):
    """不受理. The rule is one of the town's profile."""

    rule: CodeText = Field(examples=["rule"])
    reason: Words = Field(examples=["该事项已进入司法程序。"])


class ReferBody(Said):
    """转办. The owner is one of the town's profile."""

    to: CodeText = Field(examples=["owner"])
    reason: Words = Field(examples=["属住建部门职责，已转办。"])


class DispatchBody(Said):
    """派单."""

    unit: UnitText = Field(examples=["unit"])
    role: Literal["lead", "assist"] = "lead"


class RedirectBody(Said):
    """改派."""

    unit: UnitText = Field(examples=["unit"])
    reason: Words = Field(examples=["该处由供水公司维护。"])


class NoteBody(Said):
    """What somebody of the town wrote down."""

    note: Words = Field(examples=["已电话联系，约定明日上门。"])


class VerifyBody(Said):
    """核查."""

    note: Words | None = Field(None, examples=["现场已恢复。"])


class ReworkBody(Said):
    """返工."""

    reason: Words = Field(examples=["仍有渗水，需重做。"])


def routes(desk: CaseDesk) -> APIRouter:
    """The desk's endpoints. All wait for `at_least`; without it a case not yet open is unknown."""
    router = APIRouter(prefix="/v1/cases/{story}", tags=["cases"])

    @router.post("/accept", operation_id="accept")
    async def accept(
        story: StoryText,
        body: Annotated[Said, Body(default_factory=Said)],
        ask: Annotated[Asked, asked("accept", *DESK)],
    ) -> Answer:
        """受理: answer for it. The deadline follows from the kind."""
        return await desk.do(ask, story, body, lambda at: Accept(ask.who.actor, at.due))

    @router.post("/decline", operation_id="decline")
    async def decline(
        story: StoryText,
        body: DeclineBody,
        ask: Annotated[Asked, asked("decline", *DESK)],
    ) -> Answer:
        """不受理: not to be taken on. This closes the case."""

        def build(at: Bench) -> CaseCommand:
            at.profile.check_code("rule", body.rule, at.profile.decline_rules)
            return Decline(ask.who.actor, body.rule, at.seal("reason", body.reason))

        return await desk.do(ask, story, body, build)

    @router.post("/refer", operation_id="refer")
    async def refer(
        story: StoryText,
        body: ReferBody,
        ask: Annotated[Asked, asked("refer", *DESK)],
    ) -> Answer:
        """转办: it is not the community's and goes to its owner. This closes the case here."""

        def build(at: Bench) -> CaseCommand:
            at.profile.check_code("owner", body.to, at.profile.owners, field="to")
            return Refer(ask.who.actor, body.to, at.seal("reason", body.reason))

        return await desk.do(ask, story, body, build)

    @router.post("/dispatch", operation_id="dispatch")
    async def dispatch(
        story: StoryText,
        body: DispatchBody,
        ask: Annotated[Asked, asked("dispatch", *DESK)],
    ) -> Answer:
        """派单: name the unit that leads, or one that assists."""

        def build(at: Bench) -> CaseCommand:
            desk.town(ask.who).check_unit(body.unit)
            return Dispatch(by=ask.who.actor, unit=body.unit, role=body.role)

        return await desk.do(ask, story, body, build)

    @router.post("/redirect", operation_id="redirect")
    async def redirect(
        story: StoryText,
        body: RedirectBody,
        ask: Annotated[Asked, asked("redirect", *DESK)],
    ) -> Answer:
        """改派: another unit leads from now on. The deadline stays."""

        def build(at: Bench) -> CaseCommand:
            desk.town(ask.who).check_unit(body.unit)
            return Redirect(ask.who.actor, body.unit, at.seal("reason", body.reason))

        return await desk.do(ask, story, body, build)

    @router.post("/contact", operation_id="contact")
    async def contact(
        story: StoryText,
        body: NoteBody,
        ask: Annotated[Asked, asked("contact", Role.OFFICER, Role.UNIT, *DESK)],
    ) -> Answer:
        """首次联系: somebody spoke with whoever asked."""
        unit = ask.who.unit if ask.who.role is Role.UNIT else None
        return await desk.do(
            ask,
            story,
            body,
            lambda at: Contact(ask.who.actor, at.seal("note", body.note), unit),
        )

    @router.post("/verify", operation_id="verify")
    async def verify(
        story: StoryText,
        body: Annotated[VerifyBody, Body(default_factory=VerifyBody)],
        ask: Annotated[Asked, asked("verify", Role.OFFICER, *DESK)],
    ) -> Answer:
        """核查: somebody looked, and it is done. Where no rating is asked, this closes it."""

        def build(at: Bench) -> CaseCommand:
            note = None if body.note is None else at.seal("note", body.note)
            return Verify(ask.who.actor, note)

        return await desk.do(ask, story, body, build)

    @router.post("/rework", operation_id="rework")
    async def rework(
        story: StoryText,
        body: ReworkBody,
        ask: Annotated[Asked, asked("rework", Role.OFFICER, *DESK)],
    ) -> Answer:
        """返工: somebody looked, and it is not done. A new deadline follows from the kind."""
        return await desk.do(
            ask,
            story,
            body,
            lambda at: OrderRework(ask.who.actor, at.seal("reason", body.reason), at.due),
        )

    return router
