"""What one line of a list asks of a wish: taken in as it was submitted, then settled as the list
says.

A matter is named by its town, its source and its reference there, and so are its two commands:
any number of runs, instances and people that import the same list find the same stream.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from services.intake.api import check_sight
from services.intake.commands import SettleElsewhere, WishCommand
from services.intake.matter import (
    Author,
    Description,
    Matter,
    RefText,
    Subjects,
    check_matter,
    submission,
)
from services.intake.partner_orders import story_of_ref
from services.intake.wish import Wish
from shared.access import Principal, Role
from shared.commands import Words
from shared.contracts.base import CommandId, Instant, StoryId, SubjectId
from shared.contracts.recorded import stream_id
from shared.errors import Refused
from shared.handling import Order, Prepared, Sealers, command_id
from shared.profile import CodeText, Profile, SourceText
from shared.store import Cause
from shared.town import Towns

WishOrder = Order[Wish, WishCommand]
Prepare = Callable[[Wish, Profile, datetime], Awaitable[Prepared[WishCommand]]]


class SettledThere(BaseModel):
    """What became of it, as the list says. Outcomes are those of the town's profile."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    outcome: CodeText = Field(examples=["outcome"])
    note: Words = Field(examples=["已更换灯泡。"])
    occurred: Instant = Field(description="when", examples=["2025-06-04T16:30:00+08:00"])
    on_spot: StrictBool = Field(False, description="there and then, when it was taken in")


class ImportBody(Description):
    """One matter of a list, which `source` and `ref` name for ever."""

    source: SourceText = Field(description="whose list it is", examples=["/lists/west-2025"])
    ref: RefText = Field(description="its number on that list; not sealed", examples=["2025-017"])
    occurred: Instant = Field(
        description="when it was submitted there", examples=["2025-06-03T10:30:00+08:00"]
    )
    settled: SettledThere | None = Field(None, description="absent while it is open")

    @property
    def matter(self) -> Matter:
        """What is the matter, without what only lists say."""
        return Matter(**{name: getattr(self, name) for name in Description.model_fields})


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a list, in the hands of whoever imports it."""

    who: Principal
    body: ImportBody
    correlation: str

    @property
    def story(self) -> StoryId:
        return story_of_ref(self.who.town, self.body.source, self.body.ref)

    def command(self, step: str) -> CommandId:
        """The same for whoever imports this line, however often."""
        return command_id("import", self.who.town, self.body.source, self.body.ref, step)


class ImportOrders:
    """Makes orders of lines."""

    def __init__(self, keys: Sealers, towns: Towns) -> None:
        self._keys = keys
        self._towns = towns
        grants = (grant for known in towns.partners().values() for grant in known.values())
        self._of_partners = {source for grant in grants for source in grant.sources}

    def check(self, line: Line) -> None:
        """Raises Refused for what they may not import: the area of others, or as a system the
        references of a partner, whose matters would find them taken."""
        who, body = line.who, line.body
        if not who.sees(body.area):
            raise Refused("area-not-yours", "you do not answer for this area", field="area")
        if who.role is Role.SYSTEM and body.source in self._of_partners:
            raise Refused("source-not-yours", "a partner speaks for this source", field="source")

    def submission(self, line: Line, subjects: Subjects) -> WishOrder:
        """The matter as it was submitted, its texts sealed with keys of `subjects`."""
        body, author = line.body, _author(line, "submit")

        async def prepare(_: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            _check_line(profile, body, author, now)
            return await submission(subjects, body.matter, author, line.story, body.ref)

        said = body.model_dump_json(exclude_defaults=True, exclude={"settled"})
        return self._order(line, author, prepare, body.occurred, said)

    def settlement(self, line: Line, settled: SettledThere) -> WishOrder:
        """What became of it."""
        author = _author(line, "settle")

        async def prepare(wish: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            _check_line(profile, line.body, author, now)
            said = check_sight(wish, line.who, None)
            sealer = await self._keys.sealer(SubjectId(said.resident or line.story))
            note = sealer.seal(line.story, "note", settled.note)
            command = SettleElsewhere(author.actor, settled.outcome, note, settled.on_spot)
            return Prepared(command, sealer)

        said = settled.model_dump_json(exclude_defaults=True)
        return self._order(line, author, prepare, settled.occurred, said)

    def _order(
        self, line: Line, author: Author, prepare: Prepare, occurred: datetime, said: str
    ) -> WishOrder:
        return Order(
            stream_id("wish", line.story),
            self._towns[author.town],
            Cause(author.command, line.correlation),
            prepare,
            occurred=occurred,
            request=said.encode(),
            strict=False,  # both times were checked; under a taken reference that is what is said
        )


def _author(line: Line, step: str) -> Author:
    who = line.who
    name = line.command(step)
    return Author(who.town, who.actor, who.actor, name, imported_from=line.body.source)


def _check_line(profile: Profile, body: ImportBody, author: Author, now: datetime) -> None:
    """Raise Refused for what the profile does not know, or a time that cannot be: before the
    first of the two commits, so that a line comes in whole or not at all."""
    check_matter(profile, body.matter, author)
    profile.check_imported(body.occurred, now)
    if (settled := body.settled) is None:
        return
    profile.check_code("outcome", settled.outcome, profile.outcomes, "settled.outcome")
    profile.check_imported(settled.occurred, now, "settled.occurred")
    if settled.occurred < body.occurred:
        detail = "it lies before the submission"
        raise Refused("occurred-before-submission", detail, field="settled.occurred")
