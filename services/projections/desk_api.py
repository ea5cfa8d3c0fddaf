"""HTTP out: what is one's own: the cases on a unit's desk, the wishes of a resident."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.projections.answers import DeskPage, DeskRow, MyWish, MyWishes, Stand
from services.projections.case_filter import overdue as past_due
from services.projections.paging import After, Limit, list_rows, read_cursor
from services.projections.reader import Reader, line
from services.projections.scope import in_scope
from services.projections.stories.case import LIVE
from services.projections.texts import Opened
from services.projections.views import Row
from shared.access import Principal, Role
from shared.commands import AtLeast
from shared.contracts.base import ResidentId, UnitId
from shared.errors import Refused
from shared.mongo import Document
from shared.profile import UnitText
from shared.web import Allow


def desk_routes(reader: Reader) -> APIRouter:
    """One's own matters."""
    router = APIRouter(prefix="/v1", tags=["desks"])

    @router.get("/desk", operation_id="read_desk")
    async def read_desk(
        who: Annotated[Principal, Depends(Allow(Role.UNIT, Role.COMMUNITY, Role.STREET))],
        unit: Annotated[
            UnitText | None, Query(description="whose desk; a unit need not say it")
        ] = None,
        stand: Annotated[
            Stand | None, Query(description="else what is still to do: named or reported")
        ] = None,
        overdue: Annotated[bool, Query(description="true: only what is past its deadline")] = False,
        limit: Limit = 50,
        after: After = None,
        at_least: AtLeast = None,
    ) -> DeskPage:
        """What a unit was named for, soonest due first."""
        asked = Desk(unit, stand, overdue, limit, after)
        return await desk_of(reader, who, asked, at_least)

    @router.get("/my-wishes", operation_id="read_my_wishes")
    async def read_my_wishes(
        who: Annotated[Principal, Depends(Allow(Role.RESIDENT))],
        limit: Limit = 50,
        after: After = None,
        at_least: AtLeast = None,
    ) -> MyWishes:
        """What concerns a resident, and what they submitted for somebody else; newest first."""
        resident = await reader.resident(who)
        cursor = read_cursor(after, "-submitted")
        await reader.wait(who, resident, at_least)
        rows, following = await list_rows(
            reader.model, in_scope(who, resident), sort="-submitted", after=cursor, limit=limit
        )
        opened = await reader.texts.open(who, rows)
        await reader.access_log.note(who, "read-my-wishes", (row["_id"] for row in rows))
        return MyWishes(items=[_my_wish(row, opened, resident) for row in rows], next=following)

    return router


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose desk is wanted, what of it, and which part."""

    unit: UnitId | None = None
    stand: Stand | None = None
    overdue: bool = False
    limit: int = 50
    after: str | None = None


async def desk_of(
    reader: Reader, who: Principal, desk: Desk, at_least: str | None = None
) -> DeskPage:
    """One page of a unit's desk, to the JSON API and to the pages alike. Raises Refused."""
    whose = _unit(reader, who, desk.unit)
    cursor = read_cursor(desk.after, "due")
    await reader.wait(who, None, at_least)
    stands = LIVE if desk.stand is None else (desk.stand,)
    clauses: list[Document] = [
        in_scope(who, None),
        {"assignments": {"$elemMatch": {"unit": whose, "stand": {"$in": list(stands)}}}},
    ]
    if desk.overdue:
        clauses.append(past_due(reader.clock.now()))
    rows, following = await list_rows(
        reader.model, {"$and": clauses}, sort="due", after=cursor, limit=desk.limit
    )
    opened = await reader.texts.open(who, rows)
    await reader.access_log.note(who, "read-desk", (row["_id"] for row in rows))
    items = [
        DeskRow.model_validate({**line(row, opened), "mine": _mine(row, whose, stands)})
        for row in rows
    ]
    return DeskPage(items=items, next=following)


def _unit(reader: Reader, who: Principal, asked: UnitId | None) -> UnitId:
    """Whose desk it is. Raises Refused."""
    reader.words(who).check("unit", asked)
    if who.role is not Role.UNIT:
        if asked is None:
            raise Refused("unit-missing", "say whose desk", field="unit")
        return asked
    if who.unit is None:
        raise Refused("no-unit", "the token names no unit")
    if asked not in (None, who.unit):
        raise Refused("not-your-unit", "a unit reads its own desk", field="unit")
    return who.unit


def _mine(row: Row, unit: UnitId, stands: tuple[str, ...]) -> Document:
    """What the unit was named for last, of what was asked for."""
    named: list[Document] = row["assignments"]
    return next(a for a in reversed(named) if a["unit"] == unit and a["stand"] in stands)


def _my_wish(row: Row, opened: Opened, resident: ResidentId | None) -> MyWish:
    return MyWish.model_validate(
        {
            "supplements": 0,
            **line(row, opened),
            "rating_asked": row.get("rateable", False),
            "for_another": row["residents"][0] != resident,
        }
    )
