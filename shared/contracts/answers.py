"""What a partner is told about an inbound event, on its own answers topic.

Exactly one answer per event, perhaps seen twice under the same `ce_id`. It carries ids, codes
and the name of a field; never what the event said.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.answer_codes import ANSWER_CODES
from shared.contracts.base import EventId, EventSource, FactId, PartnerId, Request, StoryId
from shared.contracts.dispatch import ProgressReported, ReportNoted, ReportRefused, UnitReported
from shared.contracts.intake import WishSubmitted
from shared.contracts.recorded import Recorded

ANSWER_TYPE: Final = "wishgrid.answer.v1"


class EventAnswer(BaseModel):
    """Accepted: `story` and `position` say where to see it. Refused: `code` names the rule,
    `field` what it is about. `place` (topic, partition, offset) stands in for an unreadable id."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    said: Literal["accepted", "refused"]
    source: EventSource | None = None
    """Of the event that is answered, as you sent it."""
    id: EventId | None = None
    """Of the event that is answered, as you sent it; the key of the record too."""
    story: StoryId | None = None
    """The story it became part of; of a reference that was taken, the one that has it."""
    version: int | None = None
    """The version of the fact in its stream."""
    position: FactId | None = None
    """The fact that decided it: pass it as `at_least` to the read API."""
    code: str | None = Field(None, json_schema_extra={"x-codes": dict(ANSWER_CODES)})
    """The rule that said no, where it is refused. Codes are stable; expect new ones."""
    field: str | None = None
    """What in the event it is about, where it is about one field of ours."""
    place: str | None = None
    """`<topic>:<partition>:<offset>` of a record whose id could not be read."""


def answer_in(recorded: Recorded) -> tuple[Request, EventAnswer] | None:
    """The answer that a fact is, to the inbound event that asked for it; None for the others.

    A report that intake received is not answered yet: the case decides.
    """
    match recorded.fact:
        case WishSubmitted(request=request) | UnitReported(request=request):
            refused = None
        case ProgressReported(request=request) | ReportNoted(request=request):
            refused = None
        case ReportRefused(request=request, code=code):
            refused = code
        case _:
            return None
    if request is None:
        return None
    return request, EventAnswer(
        said="accepted" if refused is None else "refused",
        source=request.source,
        id=request.id,
        story=recorded.story,
        version=recorded.version,
        position=recorded.id,
        code=refused,
    )


def answer_to_wire(
    ce_id: str, origin: str, answer: EventAnswer, time: str
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of the Kafka record. The key is the event's id, so that all that is
    said of one event stays in order."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": ce_id,
        "ce_source": f"/wishgrid/{origin}",
        "ce_type": ANSWER_TYPE,
        "ce_time": time,
    }
    if answer.story is not None:
        headers["ce_subject"] = answer.story
    body = answer.model_dump_json(exclude_none=True).encode()
    key = answer.id or answer.place or ce_id
    return key.encode(), body, [(name, text.encode()) for name, text in headers.items()]


def answers_topic(partner: PartnerId) -> str:
    """Where a partner reads its answers."""
    return f"wishgrid.answers.{partner}.v1"


def inbound_topic(partner: PartnerId) -> str:
    """Where a partner publishes: the topic, not `ce_source`, says who speaks."""
    return f"wishgrid.inbound.{partner}.v1"
