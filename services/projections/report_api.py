"""HTTP out: the place report."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Depends

from services.projections.case_filter import FIRST_DAY, LAST_DAY, Day, check_days
from services.projections.figures import Counts, PlaceReport, place_report
from services.projections.reader import Reader
from services.projections.readmodel import ReadModel
from services.projections.views.numbers import NUMBERS
from services.projections.views.place import PLACE
from shared.access import Principal, Role
from shared.commands import AtLeast
from shared.errors import Refused
from shared.mongo import Document
from shared.profile import AreaText
from shared.web import Allow

MOST_MONTHS: Final = 240


def report_routes(reader: Reader) -> APIRouter:
    """Numbers of a place."""
    router = APIRouter(prefix="/v1", tags=["reports"])

    @router.get("/report", operation_id="read_report", response_model_by_alias=True)
    async def read_report(
        who: Annotated[
            Principal,
            Depends(Allow(Role.OFFICER, Role.COMMUNITY, Role.STREET, Role.OVERSEER, Role.SYSTEM)),
        ],
        area: AreaText,
        first: Annotated[Day, FIRST_DAY],
        last: Annotated[Day, LAST_DAY],
        at_least: AtLeast = None,
    ) -> PlaceReport:
        """What became of the cases received in an area, and all below it, in a period."""
        words = reader.words(who)
        words.check("area", area)
        if not who.sees(area):
            raise Refused("area-not-yours", "you do not answer for this area", field="area")
        check_days(first, last)
        if len(months := list(months_of(first, last))) > MOST_MONTHS:
            detail = f"a report spans at most {MOST_MONTHS} months"
            raise Refused("period-too-long", detail, field="to")
        await reader.wait(who, None, at_least)
        query = sheets_of(who, area, months)
        counts = await _counted(reader.model, query, first, last)
        profile = reader.town(who).profile_at(reader.clock.now())
        return place_report((area, first, last), counts, profile, words)

    return router


def sheets_of(who: Principal, area: str, months: Iterable[str]) -> Document:
    """The sheets of an area, and of all below it, as a query."""
    below = {"$gte": f"{area}/", "$lt": f"{area}0"}  # "0" follows "/"
    return {
        "town": who.town,
        "month": {"$in": list(months)},
        "$or": [{"area": area}, {"area": below}],
    }


def months_of(first: date, last: date) -> Iterator[str]:
    """The months from one day to another, `2026-03`."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        yield f"{year:04}-{month:02}"
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


async def _counted(model: ReadModel, query: Document, first: date, last: date) -> Counts:
    """Per kind and category, summed over partitions, leaf areas, months and days."""
    sums = {number: {"$sum": f"$cells.{number}"} for number in NUMBERS}
    found = model.view(PLACE.name).aggregate(
        [
            {"$match": query},
            {"$unwind": "$cells"},
            {"$match": {"cells.day": {"$gte": first.isoformat(), "$lte": last.isoformat()}}},
            {"$group": {"_id": {"kind": "$cells.kind", "category": "$by"}, **sums}},
        ]
    )
    return {
        (each["_id"]["kind"], each["_id"]["category"]): {n: each[n] for n in NUMBERS}
        for each in await found.to_list(None)
    }
