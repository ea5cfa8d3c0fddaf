"""A matter as somebody hands it in, over HTTP or Kafka, and the command it becomes."""

from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from services.intake.commands import Submit, WishCommand
from shared.commands import Line, Words
from shared.contracts.base import (
    ActorId,
    CommandId,
    EventSource,
    Request,
    ResidentId,
    SourceRef,
    StoryId,
    SubjectId,
    TownId,
)
from shared.contracts.intake import SettledOnSpot
from shared.errors import Refused
from shared.handling import Prepared
from shared.profile import AreaText, CodeText, Profile
from shared.sealing import InstallationKeys, Sealer, normalised_phone

_TITLE_LENGTH: Final = 30

RefText = Annotated[SourceRef, Field(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]

PhoneText = Annotated[str, Field(pattern=r"^([+ ()-]*[0-9]){5,30}[+ ()-]*$", max_length=30)]
"""With digits in it: a resident is found again by them alone."""


class Settled(BaseModel):
    """现场办结: it is done already. Outcomes are those of the town's profile."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    outcome: CodeText = Field(examples=["outcome"])
    note: Words = Field(examples=["当场劝离，通道已恢复。"])


class Description(BaseModel):
    """What is the matter. Kinds, categories and areas are those of the town's profile."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    kind: CodeText = Field(description="one of the town's kinds of matter", examples=["kind"])
    category: CodeText = Field(description="one of the kind's categories", examples=["category"])
    area: AreaText = Field(examples=["town/community/grid"])
    channel: CodeText = Field(description="how it came in", examples=["channel"])
    words: Words = Field(
        description="what is the matter, as it was said",
        examples=["3号楼下水道堵了,污水流到路上。"],
    )
    title: Line | None = Field(
        None, description="the first words, if absent", examples=["下水道堵了"]
    )
    name: Line | None = Field(None, description="of the resident", examples=["住户甲"])
    phone: PhoneText | None = Field(
        None,
        description="of the resident, who is found again by it",
        examples=["13800000000"],
    )
    address: Line | None = Field(None, description="where it is", examples=["3号楼2单元"])
    on_behalf_of_resident: StrictBool = Field(
        False,
        description="a resident's matter that somebody else brings; so is any with a phone "
        "or a name that staff or a system sends",
    )


class Matter(Description):
    """What is the matter, and whether it was done there and then."""

    settled_on_spot: Settled | None = Field(
        None, description="it was done when it was taken in; not for residents", examples=[None]
    )


@dataclass(frozen=True, slots=True)
class Author:
    """Whoever hands a matter in. `account` is a resident's; `command` tells an unknown resident
    from all others; `request` is the inbound event, if it came by one, `imported_from` the list."""

    town: TownId
    actor: ActorId
    submitted_by: ActorId
    command: CommandId
    account: str | None = None
    request: Request | None = None
    imported_from: EventSource | None = None


class Subjects(Protocol):
    """Makes residents, and the keys of what is sealed for them or for a story."""

    @property
    def installation(self) -> InstallationKeys: ...

    async def resident(self, blind_index: str) -> ResidentId: ...

    async def ensure(self, subject: SubjectId) -> Sealer: ...


def check_matter(profile: Profile, matter: Matter, author: Author) -> None:
    """Raise Refused for what the profile does not know, naming the field."""
    kind = profile.kind(matter.kind)
    profile.check_code("category", matter.category, kind.categories)
    profile.check_code("channel", matter.channel, profile.channels)
    profile.check_area(matter.area)
    if matter.settled_on_spot is not None:
        if author.account is not None:
            detail = "a resident cannot settle a matter"
            raise Refused("not-yours-to-settle", detail, field="settled_on_spot")
        outcome, field = matter.settled_on_spot.outcome, "settled_on_spot.outcome"
        profile.check_code("outcome", outcome, profile.outcomes, field)


async def submission(
    keys: Subjects, matter: Matter, author: Author, story: StoryId, ref: SourceRef | None
) -> Prepared[WishCommand]:
    """The matter as a command, with its texts sealed for whoever it is about."""
    themselves = await _account_holder(keys, author)
    proxied = themselves is not None and matter.on_behalf_of_resident
    resident = themselves
    if themselves is None or proxied:
        resident = await _somebody_else(keys, matter, author)
    sealer = await keys.ensure(SubjectId(resident or story))
    actor = author.actor if themselves is None else ActorId(f"resident:{themselves}")
    command = Submit(
        by=actor,
        submitted_by=author.submitted_by if themselves is None else actor,
        on_behalf_of=resident if themselves is None or proxied else None,
        resident=resident,
        proxy=themselves if proxied else None,
        kind=matter.kind,
        category=matter.category,
        area=matter.area,
        channel=matter.channel,
        source_ref=ref,
        title=sealer.seal(story, "title", matter.title or matter.words[:_TITLE_LENGTH]),
        words=sealer.seal(story, "words", matter.words),
        name=sealer.seal_some(story, "name", matter.name),
        phone=sealer.seal_some(story, "phone", matter.phone),
        address=sealer.seal_some(story, "address", matter.address),
        settled_on_spot=_settled(matter.settled_on_spot, author, story, sealer),
        request=author.request,
        imported_from=author.imported_from,
    )
    return Prepared(command, sealer)


def _settled(
    done: Settled | None, author: Author, story: StoryId, sealer: Sealer
) -> SettledOnSpot | None:
    if done is None:
        return None
    note = sealer.seal(story, "note", done.note)
    return SettledOnSpot(outcome=done.outcome, by=author.submitted_by, note=note)


async def _account_holder(keys: Subjects, author: Author) -> ResidentId | None:
    if author.account is None:
        return None
    return await keys.resident(keys.installation.blind(author.town, "account", author.account))


async def _somebody_else(keys: Subjects, matter: Matter, author: Author) -> ResidentId | None:
    """Whose matter it is; None for what an officer found and nobody brought.

    Who gives no phone is a new resident, and a retry of the same command finds them again.
    Nobody is merged with anybody.
    """
    blind = keys.installation.blind
    if matter.phone is not None:
        return await keys.resident(blind(author.town, "phone", normalised_phone(matter.phone)))
    if matter.on_behalf_of_resident or matter.name is not None:
        return await keys.resident(blind(author.town, "command", author.command))
    return None
