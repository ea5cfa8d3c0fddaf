"""HTTP out: the whole read API. Scope comes from the token, never from a parameter."""

from fastapi import APIRouter

from services.projections.cases_api import case_routes
from services.projections.desk_api import desk_routes
from services.projections.reader import Reader
from services.projections.report_api import report_routes
from services.projections.town_api import town_routes


def routes(reader: Reader) -> APIRouter:
    """All endpoints."""
    router = APIRouter()
    for each in (case_routes, desk_routes, report_routes, town_routes):
        router.include_router(each(reader))
    return router
