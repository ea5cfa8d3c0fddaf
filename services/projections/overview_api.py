"""HTTP out: the overview of a place."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends

from services.projections.case_filter import FIRST_DAY, LAST_DAY, CaseFilter, Day, check_days
from services.projections.overview import OVERDUE, Asked, Counts, Found, Overview, Place, overview
from services.projections.reader import Reader
from services.projections.report_api import months_of, sheets_of
from services.projections.scope import in_scope
from services.projections.views.numbers import NUMBERS
from services.projections.views.place import PLACE
from shared.access import Principal, Role
from shared.commands import AtLeast
from shared.contracts.base import AreaId
from shared.errors import Refused
from shared.mongo import Collection, Document
from shared.profile import AreaText
from shared.web import Allow

DEFAULT_DAYS: Final = 30
MOST_DAYS: Final = 366


@dataclass(frozen=True, slots=True)
class OverviewQuery:
    """As query parameters; what is absent is the principal's first area, and the 30 days that
    end today in the town's calendar."""

    area: AreaText | None = None
    first: Annotated[Day | None, FIRST_DAY] = None
    last: Annotated[Day | None, LAST_DAY] = None


def overview_routes(reader: Reader) -> APIRouter:
    """How a place stands."""
    router = APIRouter(prefix="/v1", tags=["reports"])

    @router.get("/overview", operation_id="read_overview", response_model_by_alias=True)
    async def read_overview(
        who: Annotated[
            Principal,
            Depends(Allow(Role.OFFICER, Role.COMMUNITY, Role.STREET, Role.OVERSEER, Role.SYSTEM)),
        ],
        wanted: Annotated[OverviewQuery, Depends()],
        at_least: AtLeast = None,
    ) -> Overview:
        """How an area and all below it stands now, and what became of the cases received in a
        period, by day, by kind and by area. Without a period: the last 30 days."""
        return await overview_of(reader, who, wanted, at_least)

    return router


async def overview_of(
    reader: Reader, who: Principal, wanted: OverviewQuery, at_least: str | None = None
) -> Overview:
    """The overview, to the JSON API and to the pages alike. Raises Refused."""
    words, now = reader.words(who), reader.clock.now()
    profile = reader.town(who).profile_at(now)
    asked = _asked(who, wanted, now.astimezone(profile.zone).date())
    words.check("area", asked.area)
    if not who.sees(asked.area):
        raise Refused("area-not-yours", "you do not answer for this area", field="area")
    check_days(asked.first, asked.last)
    if (asked.last - asked.first).days >= MOST_DAYS:
        raise Refused("period-too-long", f"an overview spans at most {MOST_DAYS} days", field="to")
    await reader.wait(who, None, at_least)
    return overview(asked, await _found(reader, who, asked), profile, words)


def _asked(who: Principal, wanted: OverviewQuery, today: date) -> Asked:
    """What was asked for, filled in. Raises Refused."""
    area = wanted.area or next(iter(who.areas), None)
    if area is None:
        raise Refused("area-missing", "the token names no area: say which", field="area")
    span = timedelta(days=DEFAULT_DAYS - 1)
    last = wanted.last or max(today, wanted.first or today)
    return Asked(area, wanted.first or max(last, date.min + span) - span, last)


async def _found(reader: Reader, who: Principal, asked: Asked) -> Found:
    """Each number as many as the list it links to."""
    now, area = reader.clock.now(), AreaId(asked.area)
    rows = reader.model.view("case_list")

    def listed(wanted: CaseFilter) -> Document:
        return {"$and": [in_scope(who, None), *wanted.clauses(now)]}

    received_late = listed(CaseFilter(area, first=asked.first, last=asked.last, overdue=True))
    late = await _late(rows, received_late)
    tallied = reader.model.view(PLACE.name)
    places, days = await _tallied(tallied, who, asked)
    return Found(
        places={
            place: {**places.get(place, {}), OVERDUE: late.get(place, 0)}
            for place in {**places, **late}
        },
        days=days,
        open_now=await rows.count_documents(listed(CaseFilter(area, number="open"))),
        overdue_now=await rows.count_documents(listed(CaseFilter(area, overdue=True))),
    )


async def _late(rows: Collection, query: Document) -> dict[Place, int]:
    """The cases of a query, by leaf area and kind."""
    group = {"_id": {"area": "$area", "kind": "$kind"}, "count": {"$sum": 1}}
    found = await rows.aggregate([{"$match": query}, {"$group": group}]).to_list(None)
    return {(each["_id"]["area"], each["_id"]["kind"]): each["count"] for each in found}


async def _tallied(
    sheets: Collection, who: Principal, asked: Asked
) -> tuple[dict[Place, Counts], dict[str, Counts]]:
    """The sums of the sheets, by leaf area and kind and, once more, by day."""
    months = months_of(asked.first, asked.last)
    days = {"$gte": asked.first.isoformat(), "$lte": asked.last.isoformat()}
    sums = {number: {"$sum": f"$cells.{number}"} for number in NUMBERS}
    place = {"area": "$area", "kind": "$cells.kind"}
    (found,) = await sheets.aggregate(
        [
            {"$match": sheets_of(who, asked.area, months)},
            {"$unwind": "$cells"},
            {"$match": {"cells.day": days}},
            {
                "$facet": {
                    "places": [{"$group": {"_id": place, **sums}}],
                    "days": [{"$group": {"_id": "$cells.day", **sums}}],
                }
            },
        ]
    ).to_list(None)
    return (
        {(each["_id"]["area"], each["_id"]["kind"]): _counts(each) for each in found["places"]},
        {each["_id"]: _counts(each) for each in found["days"]},
    )


def _counts(document: Document) -> Counts:
    return {number: document[number] for number in NUMBERS}
