"""HTTP in: wishes are submitted and rated."""

import uuid
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field

from services.intake.wish import Rate, Submit, Unsent, Wish, WishCommand
from shared.access import Principal, Role
from shared.commands import (
    Answer,
    Asked,
    Line,
    Said,
    StoryText,
    Words,
    answer,
    asked,
)
from shared.contracts.base import (
    ActorId,
    CommandId,
    ResidentId,
    SourceRef,
    StoryId,
    SubjectId,
)
from shared.contracts.intake import IntakeFact
from shared.contracts.recorded import stream_id
from shared.errors import Refused
from shared.handling import Handler, Order, Prepared
from shared.keystore import KeyWriter
from shared.problems import Hidden
from shared.sealing import Sealer, normalised_phone
from shared.town import AreaText, CodeText, Profile, Towns
from shared.waiting import Arrivals

_STORIES: Final = uuid.UUID("0d3a1f52-2c1b-5d0e-8f57-5f7f4a1f9c33")
_TITLE_LENGTH: Final = 30

Wishes = Handler[Wish, WishCommand, IntakeFact]


class SubmitBody(Said):
    """点单. Kinds, categories, areas and channels are those of the town's profile."""

    kind: CodeText = Field(examples=["kind"])
    category: CodeText = Field(examples=["category"])
    area: AreaText = Field(examples=["town/community/grid"])
    channel: CodeText = Field(examples=["channel"])
    words: Words = Field(examples=["3号楼下水道堵了,污水流到路上。"])
    title: Line | None = Field(
        None, description="the first words, if absent", examples=["下水道堵了"]
    )
    name: Line | None = Field(None, examples=["住户甲"])
    phone: Annotated[str, Field(pattern=r"^[0-9+ ()-]{5,30}$")] | None = Field(
        None, examples=["13800000000"]
    )
    address: Line | None = Field(None, examples=["3号楼2单元"])
    on_behalf_of_resident: bool = Field(
        False, description="a resident's matter that somebody else brings; so is any with a phone"
    )
    source_ref: Annotated[SourceRef, Field(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")] | None = Field(
        None, description="the sender's own id for it; it is not sealed", examples=["A-2026-017"]
    )


class RateBody(Said):
    """评单."""

    resolved: bool = Field(description="was it solved?", examples=[True])
    satisfaction: Annotated[int, Field(ge=1, le=5, strict=True)] = Field(
        description="1 not at all … 5 very content", examples=[5]
    )
    words: Words | None = Field(None, examples=["很快，谢谢。"])


def routes(
    wishes: Wishes, keys: KeyWriter, towns: Towns, arrivals: Arrivals, wait_seconds: float
) -> APIRouter:
    """Intake's endpoints."""
    router = APIRouter(prefix="/v1/wishes", tags=["wishes"])

    @router.post("", status_code=201, operation_id="submit")
    async def submit(
        body: SubmitBody,
        ask: Annotated[
            Asked,
            asked(
                "submit",
                Role.RESIDENT,
                Role.OFFICER,
                Role.COMMUNITY,
                Role.STREET,
                Role.SYSTEM,
            ),
        ],
    ) -> Answer:
        """Submit a wish. The same `Idempotency-Key` twice is one wish and one answer."""
        story = story_from(ask.command_id)
        await ask.wait(arrivals, story, wait_seconds)

        async def prepare(_: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            _check(profile, body, ask.who, now)
            resident = await _resident(keys, body, ask)
            sealer = await keys.ensure(SubjectId(resident or story))
            return Prepared(_submission(body, ask.who, story, resident, sealer), sealer)

        order = Order(
            stream_id("wish", story),
            towns[ask.who.town],
            ask.cause(),
            prepare,
            occurred=body.occurred,
            request=body.as_asked(),
            opens=True,
        )
        return answer(await wishes.handle(order))

    @router.post("/{story}/rate", operation_id="rate")
    async def rate(
        story: StoryText,
        body: RateBody,
        ask: Annotated[Asked, asked("rate", Role.RESIDENT)],
    ) -> Answer:
        """Rate the resolution of one's own wish; `at_least` the answer that resolved it."""
        stream = stream_id("wish", story)
        resident = await keys.resident_of_account(ask.who.town, ask.who.account or "")
        _check_own(await wishes.state(stream), resident)
        await ask.wait(arrivals, story, wait_seconds)

        async def prepare(wish: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            _check_own(wish, resident)
            profile.check_occurred(ask.who.role, body.occurred, now)
            sealer = await keys.sealer(SubjectId(str(resident)))
            command = Rate(
                by=ActorId(f"resident:{resident}"),
                resolved=body.resolved,
                satisfaction=body.satisfaction,
                words=sealer.seal_some(story, "words", body.words),
            )
            return Prepared(command, sealer)

        order = Order(
            stream,
            towns[ask.who.town],
            ask.cause(),
            prepare,
            occurred=body.occurred,
            request=body.as_asked(),
            expected=ask.expected,
        )
        return answer(await wishes.handle(order))

    return router


def story_from(first_command: CommandId) -> StoryId:
    """The story that a first command opens: a retry finds the same one by arithmetic."""
    return StoryId(str(uuid.uuid5(_STORIES, first_command)))


def _check(profile: Profile, body: SubmitBody, who: Principal, now: datetime) -> None:
    kind = profile.kind(body.kind)
    profile.check_code("category", body.category, kind.categories)
    profile.check_code("channel", body.channel, profile.channels)
    profile.check_area(body.area)
    if who.role is not Role.RESIDENT and not who.sees(body.area):
        raise Refused("area-not-yours", "you do not answer for this area", field="area")
    profile.check_occurred(who.role, body.occurred, now)


def _check_own(wish: Wish, resident: ResidentId | None) -> None:
    if isinstance(wish, Unsent) or resident is None or wish.resident != resident:
        raise Hidden


async def _resident(keys: KeyWriter, body: SubmitBody, ask: Asked) -> ResidentId | None:
    """Whose matter it is; None for what an officer found and nobody brought.

    An account counts before a phone; who gives neither is a new resident, and a retry of the
    same command finds them again. Nobody is merged with anybody.
    """
    blind, town = keys.installation.blind, ask.who.town
    if ask.who.account is not None:
        return await keys.resident(blind(town, "account", ask.who.account))
    if body.phone is not None:
        return await keys.resident(blind(town, "phone", normalised_phone(body.phone)))
    if body.on_behalf_of_resident or body.name is not None:
        return await keys.resident(blind(town, "command", ask.command_id))
    return None


def _submission(
    body: SubmitBody, who: Principal, story: StoryId, resident: ResidentId | None, sealer: Sealer
) -> Submit:
    themselves = who.role is Role.RESIDENT
    actor = ActorId(f"resident:{resident}") if themselves else who.actor
    return Submit(
        by=actor,
        submitted_by=actor,
        on_behalf_of=None if themselves else resident,
        resident=resident,
        kind=body.kind,
        category=body.category,
        area=body.area,
        channel=body.channel,
        source_ref=body.source_ref,
        title=sealer.seal(story, "title", body.title or body.words[:_TITLE_LENGTH]),
        words=sealer.seal(story, "words", body.words),
        name=sealer.seal_some(story, "name", body.name),
        phone=sealer.seal_some(story, "phone", body.phone),
        address=sealer.seal_some(story, "address", body.address),
    )
