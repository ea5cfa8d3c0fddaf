"""The pages: what the read API says for whoever asks, as HTML."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from services.projections import cases
from services.projections.answers import Stand
from services.projections.board import choices
from services.projections.board.chart import HEIGHT, WIDTH, trend
from services.projections.board.language import asked_language
from services.projections.board.site import HOME, Site
from services.projections.board.timeline import steps
from services.projections.case_filter import CaseFilter
from services.projections.desk_api import Desk, desk_of
from services.projections.overview_api import OverviewQuery, overview_of
from services.projections.paging import MOST_COUNTED, After, Limit, Sort
from shared.access import Principal, Role
from shared.commands import StoryText
from shared.profile import UnitText
from shared.web import Allow, Anybody

PEOPLE: Final = tuple(role for role in Role if role is not Role.SYSTEM)
OVERSEEING: Final = (Role.OFFICER, Role.COMMUNITY, Role.STREET, Role.OVERSEER)
_HOMES: Final = {Role.RESIDENT: f"{HOME}/cases", Role.UNIT: f"{HOME}/desk"}
_SPANS: Final = (7, 30, 90)


def page_routes(site: Site) -> APIRouter:
    """All pages that show something of a town, and what they are made of."""
    router = APIRouter(prefix=HOME, include_in_schema=False, dependencies=[Depends(asked_language)])

    @router.get("", operation_id="page_home")
    async def home(who: Annotated[Principal, Depends(Allow(*PEOPLE))]) -> Response:
        return RedirectResponse(_HOMES.get(who.role, f"{HOME}/overview"), status_code=303)

    @router.get("/overview", operation_id="page_overview")
    async def overview_page(
        request: Request,
        who: Annotated[Principal, Depends(Allow(*OVERSEEING))],
        wanted: Annotated[OverviewQuery, Depends()],
    ) -> Response:
        told = await overview_of(site.reader, who, wanted)
        more = {
            "told": told,
            "trend": trend(told.days),
            "picture": (WIDTH, HEIGHT),
            "spans": [(n, _span(site, request, who, told.area, n)) for n in _SPANS],
            "areas": choices.areas(site.reader.town(who), who),
            "around": choices.around(site.reader.words(who), who, told.area),
        }
        return site.page(request, "overview.html", who, more)

    @router.get("/cases", operation_id="page_cases")
    async def cases_page(
        request: Request,
        who: Annotated[Principal, Depends(Allow(*PEOPLE))],
        wanted: Annotated[CaseFilter, Depends()],
        sort: Sort = "-submitted",
        limit: Limit = 50,
        after: After = None,
    ) -> Response:
        found = await cases.list_cases(site.reader, who, wanted, cases.Page(sort, limit, after))
        more = {
            "found": found,
            "count": await cases.count_cases(site.reader, who, wanted, sort),
            "all": await cases.count_cases(site.reader, who, CaseFilter()),
            "most": MOST_COUNTED,
            "following": choices.with_query(request, after=found.next) if found.next else None,
            "first": choices.with_query(request, after=None) if after else None,
            "wanted": wanted,
            "sort": sort,
            "fields": choices.fields(site.reader.town(who), site.reader.words(who), who, wanted),
            "narrowed": choices.narrowed(wanted, site.teller(request, who)),
        }
        return site.page(request, "cases.html", who, more)

    @router.get("/cases/{story}", operation_id="page_case")
    async def case_page(
        request: Request, story: StoryText, who: Annotated[Principal, Depends(Allow(*PEOPLE))]
    ) -> Response:
        case = await cases.read_case(site.reader, who, story)
        entries = await cases.read_timeline(site.reader, who, story)
        told = steps(entries, site.teller(request, who))
        return site.page(request, "case.html", who, {"case": case, "steps": told})

    @router.get("/desk", operation_id="page_desk")
    async def desk_page(
        request: Request,
        who: Annotated[Principal, Depends(Allow(Role.UNIT, Role.COMMUNITY, Role.STREET))],
        unit: UnitText | None = None,
        stand: Stand | None = None,
        overdue: Annotated[bool, Query()] = False,
        limit: Limit = 50,
        after: After = None,
    ) -> Response:
        units = site.reader.words(who).units
        whose = who.unit if who.role is Role.UNIT and unit is None else unit
        wanted = Desk(whose, stand, overdue, limit, after)
        found = None
        if whose is not None or who.role is Role.UNIT:
            found = await desk_of(site.reader, who, wanted)
        following = found and found.next and choices.with_query(request, after=found.next)
        first = choices.with_query(request, after=None) if after else None
        more = {
            "found": found,
            "following": following,
            "first": first,
            "wanted": wanted,
            "units": units,
        }
        return site.page(request, "desk.html", who, more)

    return router


def asset_routes(site: Site) -> APIRouter:
    """What pages are made of beside HTML, for whoever comes."""
    router = APIRouter(prefix=HOME, include_in_schema=False, dependencies=[Depends(Anybody())])

    @router.get("/static/{name}", operation_id="page_asset")
    async def asset(name: str, v: str | None = None) -> Response:
        return site.assets.answer(name, v)

    return router


def _span(site: Site, request: Request, who: Principal, area: str, days: int) -> str:
    """The overview of the last so many days, today included."""
    teller = site.teller(request, who)
    last = teller.now.astimezone(teller.zone).date()
    first = last - timedelta(days=days - 1)
    return f"{HOME}/overview?area={area}&from={first}&to={last}"
