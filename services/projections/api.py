"""HTTP out: the whole read API. Scope comes from the token, never from a parameter."""

from fastapi import APIRouter

from services.projections.cases_api import case_routes
from services.projections.changes_api import change_routes
from services.projections.desk_api import desk_routes
from services.projections.live import Live
from services.projections.overview_api import overview_routes
from services.projections.reader import Reader
from services.projections.report_api import report_routes
from services.projections.town_api import town_routes


def routes(reader: Reader, live: Live) -> APIRouter:
    """All endpoints."""
    router = APIRouter()
    for each in (case_routes, desk_routes, overview_routes, report_routes, town_routes):
        router.include_router(each(reader))
    router.include_router(change_routes(reader, live))
    return router
