"""Reading in scope: which stories a principal sees, which texts are opened for them."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from services.projections.readmodel import ReadModel
from services.projections.views import Row
from services.projections.views.case_list import areas_around
from shared.access import Principal, Role
from shared.contracts.base import Instant, ResidentId, Sealed, StoryId, SubjectId
from shared.errors import KeyMissing, Refused
from shared.keystore import KeyReader
from shared.mongo import Document
from shared.sealing import Sealer
from shared.waiting import Position

READ_TEXTS: Final = {Role.RESIDENT, Role.OFFICER, Role.UNIT, Role.COMMUNITY, Role.STREET}
"""Who is shown what residents wrote; the others work with codes and numbers."""

Sort = Literal["-submitted", "due"]
_DIRECTION: Final[Mapping[str, tuple[str, int]]] = {
    "-submitted": ("submitted", -1),
    "due": ("due", 1),
}


class Cursor(BaseModel):
    """Where the next page starts: after the row with this value of the sort field and this id."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    sort: Sort
    value: Instant
    id: str

    def encode(self) -> str:
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()


def read_cursor(text: str, sort: Sort) -> Cursor:
    """Raises Refused `bad-cursor`."""
    try:
        cursor = Cursor.model_validate_json(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValidationError, ValueError):
        raise Refused("bad-cursor", "not a cursor from here", field="after") from None
    if cursor.sort != sort:
        raise Refused("bad-cursor", "the cursor is of another sort order", field="after")
    return cursor


def in_scope(who: Principal, resident: ResidentId | None) -> Document:
    """The rows a principal may see, as a query; from the token alone."""
    if who.role is Role.RESIDENT:
        return {"town": who.town, "resident": resident or ""}
    if who.role is Role.UNIT:
        return {"town": who.town, "units": who.unit or ""}
    return {"town": who.town, "within": {"$in": list(who.areas)}}


def sees(who: Principal, resident: ResidentId | None, story: Document) -> bool:
    """The same for one story, whatever of it is here already."""
    parts = story.get("parts", {})
    wish, case = parts.get("wish", {}), parts.get("case", {})
    if story.get("town") != who.town:
        return False
    if who.role is Role.RESIDENT:
        return resident is not None and wish.get("resident") == resident
    if who.role is Role.UNIT:
        return who.unit is not None and who.unit in case.get("units", [])
    area = wish.get("area") or case.get("area")
    return area is not None and any(a in who.areas for a in areas_around(area))


async def list_rows(
    model: ReadModel, query: Document, *, sort: Sort, after: Cursor | None, limit: int
) -> tuple[list[Row], Cursor | None]:
    """One page in a stable order, and where the next one starts. Keyset: no page shifts when
    rows come or go. Rows without the sort field are not listed in that order."""
    field, direction = _DIRECTION[sort]
    clauses = [query, {field: {"$exists": True}}]
    if after is not None:
        further = {"$lt" if direction < 0 else "$gt": after.value}
        clauses.append({"$or": [{field: further}, {field: after.value, "_id": {"$gt": after.id}}]})
    found = model.database["case_list"].find({"$and": clauses})
    rows = await found.sort([(field, direction), ("_id", 1)]).limit(limit + 1).to_list(None)
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    return page, Cursor(sort=sort, value=page[-1][field], id=page[-1]["_id"])


class Texts:
    """Opens sealed texts for those who may read them; None for the others and for what is
    erased."""

    def __init__(self, keys: KeyReader) -> None:
        self._keys = keys

    async def open(self, who: Principal, sealed: Iterable[Any]) -> "Opened":
        """Fetch the keys of everything sealed in these documents, in one query."""
        if who.role not in READ_TEXTS:
            return Opened({})
        subjects = {SubjectId(box["subject"]) for document in sealed for box in _boxes(document)}
        return Opened(await self._keys.sealers(subjects))


class Opened:
    """The sealers at hand."""

    def __init__(self, sealers: Mapping[SubjectId, Sealer]) -> None:
        self._sealers = sealers

    def text(self, story: StoryId, field: str, document: Mapping[str, Any]) -> str | None:
        """The text of `document[field]`."""
        box = document.get(field)
        if box is None or box["subject"] not in self._sealers:
            return None
        try:
            return self._sealers[box["subject"]].open(story, field, Sealed.model_validate(box))
        except KeyMissing:
            return None


class StoryArrivals:
    """What has arrived in the read model, for one principal: what they may not see never does."""

    def __init__(self, model: ReadModel, who: Principal, resident: ResidentId | None) -> None:
        self._model = model
        self._who = who
        self._resident = resident

    async def arrived(self, position: Position) -> bool:
        story = await self._story(position.story)
        return story is not None and int(story["v"].get(position.kind, 0)) >= position.version

    async def parked(self, story: StoryId) -> bool:
        found = await self._story(story)
        return found is not None and "stuck" in found

    async def _story(self, name: StoryId) -> Document | None:
        found: Document | None = await self._model.database["stories"].find_one({"_id": name})
        return found if found and sees(self._who, self._resident, found) else None


def _boxes(document: Any) -> Iterable[Mapping[str, str]]:
    """Everything sealed in a document, however deep."""
    if isinstance(document, Mapping):
        if document.keys() == {"subject", "box"}:
            yield document
        else:
            for inner in document.values():
                yield from _boxes(inner)
    elif isinstance(document, list):
        for inner in document:
            yield from _boxes(inner)
