"""Scope: which stories a principal sees. It comes from the token, never from a parameter."""

from services.projections.readmodel import ReadModel
from services.projections.views.case_list import areas_around
from shared.access import Principal, Role
from shared.contracts.base import ResidentId, StoryId
from shared.mongo import Document
from shared.waiting import Position


def in_scope(who: Principal, resident: ResidentId | None) -> Document:
    """The rows a principal may see, as a query."""
    if who.role is Role.RESIDENT:
        return {"town": who.town, "residents": resident or ""}
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
        return resident is not None and resident in (wish.get("resident"), wish.get("proxy"))
    if who.role is Role.UNIT:
        return who.unit is not None and who.unit in case.get("units", [])
    area = wish.get("area") or case.get("area")
    return area is not None and any(a in who.areas for a in areas_around(area))


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
