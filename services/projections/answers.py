"""What the read API answers with. Instants are UTC; texts are null for who may not read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import StoryId

State = Literal["submitted", "opened", "accepted", "dispatched", "underway", "resolved", "closed"]


class _Answer(BaseModel):
    """Errors do not repeat what it holds: opened texts must not reach a log."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Rating(_Answer):
    """Was it solved, and how content is the resident (1 … 5)?"""

    resolved: bool
    satisfaction: int


class CaseRow(_Answer):
    """One line of the case list. `title` is null for who may not read it, or once erased."""

    story: StoryId
    area: str
    kind: str
    category: str
    channel: str
    title: str | None
    state: State
    unit: str | None = None
    submitted: datetime
    due: datetime | None = None
    outcome: str | None = None
    rating: Rating | None = None
    moved: datetime


class CasePage(_Answer):
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


class TimelineEntry(_Answer):
    """One fact. `details` are its codes and ids, `texts` what was written, where readable."""

    id: str
    type: str
    by: str
    occurred: datetime
    recorded: datetime
    correlation: str
    causation: str | None = None
    details: dict[str, Any]
    texts: dict[str, str]
