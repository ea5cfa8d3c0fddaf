"""Pages of the case list in a stable order, and the cursors that lead from one to the next."""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from services.projections.readmodel import ReadModel
from services.projections.views import Row
from shared.contracts.base import Instant
from shared.errors import Refused
from shared.mongo import Document
from shared.waiting import STORY

Sort = Literal["-submitted", "due"]
_DIRECTION: Final[Mapping[str, tuple[str, int]]] = {
    "-submitted": ("submitted", -1),
    "due": ("due", 1),
}
_LONGEST: Final = 400
MOST_COUNTED: Final = 10_000
"""Counting on in a list of millions would keep everybody else waiting."""

Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str | None, Query(description="`next` of the page before")]


class Cursor(BaseModel):
    """Where the next page starts: after the row with this value of the sort field and this id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sort: Sort
    value: Instant
    id: Annotated[str, StringConstraints(pattern=STORY)]

    def encode(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()


def read_cursor(text: str | None, sort: Sort) -> Cursor | None:
    """Raises Refused `bad-cursor` for all that was not made here, letter by letter."""
    if text is None:
        return None
    try:
        cursor = Cursor.model_validate_json(base64.urlsafe_b64decode(text[:_LONGEST]))
    except (binascii.Error, ValidationError, ValueError):
        raise Refused("bad-cursor", "not a cursor from here", field="after") from None
    if cursor.encode() != text:
        raise Refused("bad-cursor", "not a cursor from here", field="after")
    if cursor.sort != sort:
        raise Refused("bad-cursor", "the cursor is of another sort order", field="after")
    return cursor


async def list_rows(
    model: ReadModel, query: Document, *, sort: Sort, after: Cursor | None, limit: int
) -> tuple[list[Row], str | None]:
    """One page in a stable order, and the cursor of the next one. Keyset: no page shifts when
    rows come or go. Rows without the sort field are not listed in that order."""
    field, direction = _DIRECTION[sort]
    clauses = [query, {field: {"$exists": True}}]
    if after is not None:
        further = {"$lt" if direction < 0 else "$gt": after.value}
        clauses.append({"$or": [{field: further}, {field: after.value, "_id": {"$gt": after.id}}]})
    found = model.view("case_list").find({"$and": clauses})
    rows = await found.sort([(field, direction), ("_id", 1)]).limit(limit + 1).to_list(None)
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    return page, Cursor(sort=sort, value=page[-1][field], id=page[-1]["_id"]).encode()


async def count_rows(model: ReadModel, query: Document, sort: Sort) -> int:
    """How many rows all pages have, counted no further than `MOST_COUNTED`."""
    field, _ = _DIRECTION[sort]
    listed = {"$and": [query, {field: {"$exists": True}}]}
    counted: int = await model.view("case_list").count_documents(listed, limit=MOST_COUNTED)
    return counted
