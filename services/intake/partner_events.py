"""What partners' events say as data, and what is wrong with it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from services.intake.matter import Matter, RefText
from shared.commands import StoryText, Words
from shared.contracts.base import ActorId, TownId
from shared.errors import Refused
from shared.profile import CODE, SourceText, UnitText

_FIELD: Final = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,3}")

M = TypeVar("M", bound=BaseModel)


class _Named(BaseModel):
    """What every event may say: the town, where the partner speaks for several."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    town: Annotated[TownId, StringConstraints(pattern=CODE)] | None = Field(
        None, description="the town, where you speak for several"
    )


class WishEvent(Matter, _Named):
    """`wish-submitted`, `hazard-raised`: a matter under the partner's own reference."""

    ref: RefText = Field(description="your own reference, by which you name it from now on")
    submitted_by: (
        Annotated[ActorId, StringConstraints(pattern=r"^(officer|unit):[A-Za-z0-9._-]{1,64}$")]
        | None
    ) = Field(None, description="`<role>:<id>` of who said it at the partner's")


class ReportEvent(_Named):
    """`unit-reported`: a unit reports in to a case, named by `ref` or by `story`."""

    unit: UnitText = Field(description="the unit that was named for the case")
    ref: RefText | None = Field(None, description="the reference under which it was submitted")
    ref_source: SourceText | None = Field(
        None, description="the source under which it was submitted, if not this event's own"
    )
    story: StoryText | None = Field(None, description="the story, for a case that is not yours")

    @model_validator(mode="after")
    def _named_once(self) -> "ReportEvent":
        if (self.ref is None) == (self.story is None):
            raise ValueError("name the case by ref or by story")
        return self


class ProgressEvent(ReportEvent):
    """`progress-reported`: how far the unit is."""

    note: Words = Field(description="how far it is, in words")


def body_as(model: type[M], body: Mapping[str, Any]) -> M:
    """The event's data. Raises Refused naming the field, as far as it is one of ours: what a
    partner made up is not repeated."""
    try:
        return model.model_validate(body)
    except ValidationError as wrong:
        error = wrong.errors(include_input=False, include_url=False, include_context=False)[0]
        made_up = error["type"] == "extra_forbidden"
        place = ".".join(map(str, error["loc"][:-1] if made_up else error["loc"]))
        field = place if _FIELD.fullmatch(place) else "data"
        raise Refused("unknown-field" if made_up else "invalid-event", field=field) from None
