"""What the read API says of cases. Instants are UTC; texts are null for who may not read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from shared.contracts.base import StoryId

State = Literal["submitted", "opened", "accepted", "dispatched", "underway", "resolved", "closed"]
Stand = Literal["named", "reported", "done", "returned", "replaced", "ended"]
Number = Literal["received", "open", "resolved", "otherwise", "closed", "on_the_spot", "fast"]


def _codes(known: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(get_args(known))})


# Said, not checked: during an upgrade what is read may have codes of a later build.
ToldState = Annotated[str, _codes(State)]
ToldStand = Annotated[str, _codes(Stand)]
ToldRole = Annotated[str, _codes(Literal["lead", "assist"])]
ToldNumber = Annotated[str, _codes(Number)]


class Told(BaseModel):
    """Errors do not repeat what it holds: opened texts must not reach a log."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Rating(Told):
    """Was it solved, and how content is the resident (1 … 5)?"""

    resolved: bool
    satisfaction: int


class Assignment(Told):
    """A unit named for a case, and how it stands with it."""

    assignment: str
    unit: str
    role: ToldRole
    stand: ToldStand


class CaseRow(Told):
    """One line of the case list. `title` is null for who may not read it, or once erased;
    `unit` is the one that leads, or led to the resolution; `numbers` are those of the report
    that the case counts in, `day` the one it counts on."""

    story: StoryId
    area: str
    kind: str
    category: str
    channel: str
    title: str | None
    state: ToldState
    unit: str | None = None
    assignments: list[Assignment] = []
    submitted: datetime
    day: str
    due: datetime | None = None
    resolved: datetime | None = None
    outcome: str | None = None
    declined: str | None = Field(None, description="the rule by which it was declined")
    referred: str | None = Field(None, description="the owner it was referred to")
    reason: str | None = Field(None, description="why it was closed")
    rating: Rating | None = None
    rateable: bool = Field(False, description="a rating is asked and not yet given")
    supplements: int = 0
    numbers: list[ToldNumber]
    moved: datetime


class CasePage(Told):
    """`next` goes into `after` for the following page; absent on the last."""

    items: list[CaseRow]
    next: str | None = None


class CaseDetail(CaseRow):
    """One case with what was said."""

    words: str | None
    rating_words: str | None
    name: str | None
    phone: str | None
    address: str | None
    submitted_by: str
    source_ref: str | None = None
    versions: Mapping[str, int] = Field(description="per stream kind, what has arrived here")


class DeskRow(CaseRow):
    """A case on a unit's desk, with what the unit was named for."""

    mine: Assignment


class DeskPage(Told):
    """`next` goes into `after` for the following page; absent on the last."""

    items: list[DeskRow]
    next: str | None = None


class MyWish(Told):
    """One of a resident's own matters. `for_another`: they submitted it for somebody else."""

    story: StoryId
    title: str | None
    kind: str
    category: str
    area: str
    state: ToldState
    submitted: datetime
    due: datetime | None = None
    outcome: str | None = None
    reason: str | None = Field(None, description="why it was closed")
    rating_asked: bool = Field(description="their rating is asked now")
    rating: Rating | None = None
    supplements: int
    for_another: bool


class MyWishes(Told):
    """`next` goes into `after` for the following page; absent on the last."""

    items: list[MyWish]
    next: str | None = None


class TimelineEntry(Told):
    """One fact. `details` are its codes and ids, `texts` what was written, where readable, by
    where in the fact it stands."""

    id: str
    type: str
    by: str
    occurred: datetime
    recorded: datetime
    correlation: str
    causation: str | None = None
    details: dict[str, Any]
    texts: dict[str, str]


class StoryChanged(Told):
    """Data of the event `change`: something was added to a story in one's scope. What it is, one
    reads; one need not if one has these versions already."""

    story: StoryId
    versions: Mapping[str, int] = Field(description="per stream kind, what has arrived here")
    state: ToldState
    numbers: list[ToldNumber]


class StartOver(Told):
    """Data of the event `reset`: what one has may be stale, read all again; the stream goes on.
    `unknown-position`: what came after it is not known here; `too-much`: more changed at once
    than is told one by one; `new-beginning`: the read models were made anew."""

    reason: Literal["unknown-position", "too-much", "new-beginning"]


class SentAway(Told):
    """Data of the event `dropped`, the last one: the server closes the stream. `too-slow`: what
    was sent was not taken; `token-expired`: come back with a new one; `stopping`, `store-away`:
    come back at once, nothing is lost."""

    reason: Literal["too-slow", "token-expired", "stopping", "store-away"]
