"""HTTP in: wishes are submitted, supplemented, withdrawn and rated."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Body
from pydantic import BeforeValidator, Field, StrictBool

from services.intake.commands import Rate, Supplement, WishCommand, Withdraw
from services.intake.matter import Author, Matter, RefText, check_matter, submission
from services.intake.wish import Said as WishSaid
from services.intake.wish import Unsent, Wish
from shared.access import Principal, Role
from shared.commands import Answer, Asked, Said, StoryText, Words, answer, asked
from shared.contracts.base import ActorId, CommandId, ResidentId, StoryId, SubjectId
from shared.contracts.intake import IntakeFact
from shared.contracts.recorded import stream_id
from shared.errors import Refused
from shared.handling import Handler, Order, Prepared
from shared.keystore import KeyWriter
from shared.problems import Hidden
from shared.profile import Profile
from shared.sealing import Sealer
from shared.town import Towns
from shared.waiting import Arrivals

_STORIES: Final = uuid.UUID("0d3a1f52-2c1b-5d0e-8f57-5f7f4a1f9c33")
STAFF: Final = (Role.OFFICER, Role.COMMUNITY, Role.STREET)

Wishes = Handler[Wish, WishCommand, IntakeFact]


class SubmitBody(Matter, Said):
    """点单."""

    source_ref: RefText | None = Field(
        None, description="the sender's own id for it; it is not sealed", examples=["A-2026-017"]
    )


class SupplementBody(Said):
    """补充."""

    words: Words = Field(examples=["今天又堵了，一楼已进水。"])


class WithdrawBody(Said):
    """撤回."""

    reason: Words | None = Field(None, examples=["已自行解决。"])


def _a_number(said: object) -> object:
    """JSON knows one kind of number, 2.0 is 2; its words and truths are none."""
    if isinstance(said, bool | str):
        raise ValueError("expected a whole number")
    return said


Satisfaction = Annotated[int, Field(ge=1, le=5), BeforeValidator(_a_number)]


class RateBody(Said):
    """评单."""

    resolved: StrictBool = Field(description="was it solved?", examples=[True])
    satisfaction: Satisfaction = Field(description="1 not at all … 5 very content", examples=[5])
    words: Words | None = Field(None, examples=["很快，谢谢。"])


Build = Callable[[ActorId, Sealer], WishCommand]


class WishDesk:
    """Takes a command to its wish: who may, wait, seal, decide."""

    def __init__(
        self, wishes: Wishes, keys: KeyWriter, towns: Towns, arrivals: Arrivals, wait_seconds: float
    ) -> None:
        self.wishes = wishes
        self.keys = keys
        self._towns = towns
        self._arrivals = arrivals
        self._wait_seconds = wait_seconds

    async def submit(self, ask: Asked, body: SubmitBody) -> Answer:
        """Decide a submission. Raises Refused and what deciding may."""
        story, who = story_from(ask.command_id), ask.who
        await ask.wait(self._arrivals, story, self._wait_seconds)
        author = Author(who.town, who.actor, who.actor, ask.command_id, who.account)

        async def prepare(_: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            check_matter(profile, body, author)
            if who.role is not Role.RESIDENT and not who.sees(body.area):
                raise Refused("area-not-yours", "you do not answer for this area", field="area")
            profile.check_occurred(who.role, body.occurred, now)
            return await submission(self.keys, body, author, story, body.source_ref)

        order = Order(
            stream_id("wish", story),
            self._towns[who.town],
            ask.cause(),
            prepare,
            occurred=body.occurred,
            request=body.as_asked(),
            opens=True,
        )
        return answer(await self.wishes.handle(order))

    async def do(self, ask: Asked, story: StoryId, body: Said, build: Build) -> Answer:
        """Decide the command that `build` makes for whoever may. Raises Hidden, NotYet and what
        deciding may."""
        stream, who = stream_id("wish", story), ask.who
        themselves = await self.keys.resident_of_account(who.town, who.account or "")
        check_sight(await self.wishes.state(stream), who, themselves)
        await ask.wait(self._arrivals, story, self._wait_seconds)

        async def prepare(wish: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            said = check_sight(wish, who, themselves)
            profile.check_occurred(who.role, body.occurred, now)
            sealer = await self.keys.sealer(SubjectId(said.resident or story))
            actor = who.actor if themselves is None else ActorId(f"resident:{themselves}")
            return Prepared(build(actor, sealer), sealer)

        order = Order(
            stream,
            self._towns[who.town],
            ask.cause(),
            prepare,
            occurred=body.occurred,
            request=body.as_asked(),
            expected=ask.expected,
        )
        return answer(await self.wishes.handle(order))


def check_sight(wish: Wish, who: Principal, themselves: ResidentId | None) -> WishSaid:
    """What stays with the wish. Raises Hidden for one that is not theirs: another resident's,
    another town's or area's."""
    if isinstance(wish, Unsent):
        raise Hidden
    said = wish.said
    if who.role is Role.RESIDENT:
        theirs = themselves is not None and themselves in said.owners
    else:
        theirs = who.sees(said.area)
    if not theirs or said.area.partition("/")[0] != who.town:
        raise Hidden
    return said


def story_from(first_command: CommandId) -> StoryId:
    """The story that a first command opens: a retry finds the same one by arithmetic."""
    return StoryId(str(uuid.uuid5(_STORIES, first_command)))


def routes(desk: WishDesk) -> APIRouter:
    """Intake's endpoints."""
    router = APIRouter(prefix="/v1/wishes", tags=["wishes"])

    @router.post("", status_code=201, operation_id="submit")
    async def submit(
        body: SubmitBody,
        ask: Annotated[Asked, asked("submit", Role.RESIDENT, *STAFF, Role.SYSTEM)],
    ) -> Answer:
        """Submit a wish. The same `Idempotency-Key` twice is one wish and one answer."""
        return await desk.submit(ask, body)

    @router.post("/{story}/supplement", operation_id="supplement")
    async def supplement(
        story: StoryText,
        body: SupplementBody,
        ask: Annotated[Asked, asked("supplement", Role.RESIDENT, *STAFF)],
    ) -> Answer:
        """补充: say more about it, until it is closed."""

        def build(by: ActorId, sealer: Sealer) -> WishCommand:
            return Supplement(by, sealer.seal(story, "words", body.words))

        return await desk.do(ask, story, body, build)

    @router.post("/{story}/withdraw", operation_id="withdraw")
    async def withdraw(
        story: StoryText,
        body: Annotated[WithdrawBody, Body(default_factory=WithdrawBody)],
        ask: Annotated[Asked, asked("withdraw", Role.RESIDENT, *STAFF)],
    ) -> Answer:
        """撤回: no longer ask for it. This closes the case."""

        def build(by: ActorId, sealer: Sealer) -> WishCommand:
            reason = sealer.seal_some(story, "reason", body.reason)
            return Withdraw(by, reason, for_them=ask.who.role is not Role.RESIDENT)

        return await desk.do(ask, story, body, build)

    @router.post("/{story}/rate", operation_id="rate")
    async def rate(
        story: StoryText,
        body: RateBody,
        ask: Annotated[Asked, asked("rate", Role.RESIDENT)],
    ) -> Answer:
        """Rate the resolution of one's own wish; `at_least` the answer that resolved it."""

        def build(by: ActorId, sealer: Sealer) -> WishCommand:
            words = sealer.seal_some(story, "words", body.words)
            return Rate(by, body.resolved, body.satisfaction, words)

        return await desk.do(ask, story, body, build)

    return router
