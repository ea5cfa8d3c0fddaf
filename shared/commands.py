"""HTTP commands: what every one of them brings along, and what every one is answered."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.access import Principal, Role
from shared.contracts.base import CommandId, FactId, Instant, StoryId
from shared.contracts.recorded import story_of
from shared.handling import Handled, command_id
from shared.room import KEY_FORM
from shared.store import Cause
from shared.waiting import POSITION, STORY, Arrivals, parse_position, wait_for
from shared.web import Allow

StoryText = Annotated[StoryId, StringConstraints(pattern=STORY)]
_SAYS_SOMETHING: Final = Field(json_schema_extra={"pattern": r"\S"})
Words = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=4000),
    _SAYS_SOMETHING,
]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), _SAYS_SOMETHING
]
AtLeast = Annotated[
    str | None,
    Query(
        description="`<stream>@<version>` of an earlier answer: wait until it has arrived here",
        json_schema_extra={"pattern": POSITION},
    ),
]


class Said(BaseModel):
    """What somebody may say with every command."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    occurred: Instant | None = Field(
        None, description="when it happened, if not just now; with its offset from UTC"
    )

    def as_asked(self) -> bytes:
        """What was said and nothing else: a field that a later build adds makes no other
        request of a retry."""
        return self.model_dump_json(exclude_defaults=True).encode()


_EXAMPLE: Final = "5b79bcd9-8dc6-5e8a-9c08-9a04390b9571"


class Answer(BaseModel):
    """`position` is what to wait for (`at_least`) to see the effect, here or in any service."""

    story: StoryId = Field(examples=[_EXAMPLE])
    position: FactId = Field(examples=[f"case-{_EXAMPLE}@2"])
    said: str = Field(examples=["decided", "already-so"])
    recorded: Instant | None = Field(
        None, description="when it was decided", examples=["2026-03-02T08:00:00.000Z"]
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, under which key, after what."""

    who: Principal
    command_id: CommandId
    correlation: str
    traceparent: str | None
    at_least: str | None
    expected: int | None

    def cause(self) -> Cause:
        return Cause(self.command_id, self.correlation, None, self.traceparent)

    async def wait(self, arrivals: Arrivals, story: StoryId, seconds: float) -> None:
        """Wait for `at_least`. Raises NotYet, or Refused when it is about another story."""
        await await_position(self.at_least, arrivals, story, seconds)


async def await_position(
    at_least: str | None, arrivals: Arrivals, story: StoryId, seconds: float
) -> None:
    """Wait for a position, if one is said. Raises NotYet, or Refused when it is about another
    story."""
    if at_least is None:
        return
    position = parse_position(at_least)
    position.check_story(story)
    await wait_for(arrivals, position, seconds)


def asked(operation: str, *roles: Role) -> Any:
    """A dependency: the request as an `Asked`, for these roles only."""

    async def read(
        request: Request,
        response: Response,
        who: Annotated[Principal, Depends(Allow(*roles))],
        at_least: AtLeast = None,
        idempotency_key: Annotated[str | None, Header(pattern=KEY_FORM)] = None,
        if_match: Annotated[str | None, Header(pattern=r'^"?[0-9]{1,9}"?$')] = None,
    ) -> Asked:
        key = idempotency_key or uuid.uuid4().hex
        request.state.idempotency_key = key
        response.headers["Idempotency-Key"] = key
        return Asked(
            who,
            command_id(who.town, who.id, operation, key),
            request.state.correlation,
            request.state.traceparent,
            at_least,
            None if if_match is None else int(if_match.strip('"')),
        )

    return Depends(read)


def answer(outcome: Handled) -> Answer:
    """What the caller is told."""
    story = story_of(parse_position(outcome.position).stream)
    recorded: datetime | None = outcome.recorded
    return Answer(story=story, position=outcome.position, said=outcome.said, recorded=recorded)
