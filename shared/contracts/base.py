"""Ids, instants, sealed text and what every fact has.

Facts are read for years: add optional fields only; a changed meaning is a new class with the
next `.vN`. Strings in facts are ids or codes (the types below) or they are sealed.
"""

from datetime import UTC, datetime
from typing import Annotated, NewType

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

StoryId = NewType("StoryId", str)
"""Everything one subject went through: a wish and its case share it. A UUID."""
StreamId = NewType("StreamId", str)
"""`<wish|case|…>-<story id>`: the facts one decider decides on."""
FactId = NewType("FactId", str)
"""`<stream>@<version>`, versions start at 1: the same fact has the same id everywhere."""
CommandId = NewType("CommandId", str)
"""Derived, never drawn: the same request has the same id, however often it is sent."""
ResidentId = NewType("ResidentId", str)
"""Random; the key store alone knows which account or phone it belongs to."""
SubjectId = NewType("SubjectId", str)
"""Whose data key seals a text: a resident's id, else the story's."""
ActorId = NewType("ActorId", str)
"""`<role>:<id>` of who did it, or `policy:<name>` where a rule of the town did."""
TownId = NewType("TownId", str)
AreaId = NewType("AreaId", str)
"""A path below the town, `town/community/grid`: its prefixes are the areas around it."""
UnitId = NewType("UnitId", str)
TargetId = NewType("TargetId", str)
"""What a unit reports in to: `assignment-<n>`, numbered within its case."""
SourceRef = NewType("SourceRef", str)
"""The id that another system gave to what it sent."""
Code = NewType("Code", str)
"""A word of the town's profile or of a rule: lower case, digits, hyphens; never free text."""
ProfileVersion = NewType("ProfileVersion", str)
"""`<n>.<digest8>` of the town's profile in force when the fact was recorded."""
PartnerId = NewType("PartnerId", str)
"""A system that publishes on Kafka: the name in its topics, `wishgrid.inbound.<partner>.v1`."""
EventSource = NewType("EventSource", str)
"""CloudEvents `source` as the partner sent it: who of the partner's speaks."""
EventId = NewType("EventId", str)
"""CloudEvents `id` as the partner sent it, unique within its source."""


def to_milliseconds(at: datetime) -> datetime:
    """`at` in UTC, cut to the milliseconds that every store keeps. Raises ValueError for an
    instant that UTC cannot name."""
    try:
        at = at.astimezone(UTC)
    except OverflowError as beyond:
        raise ValueError("beyond the years that can be named") from beyond
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


Instant = Annotated[AwareDatetime, AfterValidator(to_milliseconds)]


class Sealed(BaseModel):
    """Free text under the data key of `subject` (AES-256-GCM): base64 of nonce, text and tag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: SubjectId
    box: str


class Request(BaseModel):
    """The inbound event that asked for something: whoever decides it answers to it."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    partner: PartnerId
    source: EventSource
    id: EventId


class Fact(BaseModel):
    """Something that became true. `by` is who did it.

    Fields of a later build are kept and passed on, never dropped. Errors do not repeat input.
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    by: ActorId
