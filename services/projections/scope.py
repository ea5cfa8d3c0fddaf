"""Scope: which stories a principal sees. It comes from the token, never from a parameter."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.projections.folding import stands_still
from services.projections.readmodel import ReadModel
from services.projections.views.case_list import areas_around
from shared.access import Principal, Role
from shared.contracts.base import ResidentId, StoryId
from shared.mongo import Document
from shared.waiting import Position

Circle = tuple[str, str, str]
"""Town, and whose or which: a resident, a unit, an area."""


def in_scope(who: Principal, resident: ResidentId | None) -> Document:
    """The rows a principal may see, as a query."""
    if who.role is Role.RESIDENT:
        return {"town": who.town, "residents": resident or ""}
    if who.role is Role.UNIT:
        return {"town": who.town, "units": who.unit or ""}
    return {"town": who.town, "within": {"$in": list(who.areas)}}


def sees(who: Principal, resident: ResidentId | None, story: Mapping[str, Any]) -> bool:
    """The same for one story, whatever of it is here already."""
    return not circles_of(who, resident).isdisjoint(circles_around(story))


def circles_of(who: Principal, resident: ResidentId | None) -> frozenset[Circle]:
    """The circles a principal stands in: they see the stories that are told in one of them."""
    names: Iterable[str | None] = who.areas
    kind = "area"
    if who.role is Role.RESIDENT:
        kind, names = "resident", [resident]
    elif who.role is Role.UNIT:
        kind, names = "unit", [who.unit]
    return frozenset((who.town, kind, name) for name in names if name)


def circles_around(story: Mapping[str, Any]) -> frozenset[Circle]:
    """The circles in which a story is told: its residents', its units', its areas'."""
    parts = story.get("parts", {})
    wish, case = parts.get("wish", {}), parts.get("case", {})
    area = wish.get("area") or case.get("area")
    told = [("resident", wish.get("resident")), ("resident", wish.get("proxy"))]
    told += [("unit", unit) for unit in case.get("units", [])]
    told += [("area", around) for around in areas_around(area)] if area else []
    return frozenset((story.get("town", ""), kind, name) for kind, name in told if name)


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
        return found is not None and stands_still(found)

    async def _story(self, name: StoryId) -> Document | None:
        found: Document | None = await self._model.database["stories"].find_one({"_id": name})
        return found if found and sees(self._who, self._resident, found) else None
