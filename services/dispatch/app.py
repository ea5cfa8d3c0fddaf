"""Wiring of dispatch: the only place that builds its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from services.dispatch.api import routes
from services.dispatch.case import CASE
from services.dispatch.case_desk import CaseDesk, Cases
from services.dispatch.policies import complete, react
from services.dispatch.unit_api import unit_routes
from shared.keystore import KeyReader
from shared.reactions import Reactions
from shared.serving import House, serve
from shared.web import create_app
from shared.writing import WritingService


def create(house: House) -> FastAPI:
    """Dispatch as an app."""
    service = WritingService(house, "dispatch", own="case")
    keys = KeyReader(house.database("keys"), house.secrets)
    cases: Cases = Cases(CASE, service.store, house.clock, keys)
    reactions = Reactions(
        service.home,
        cases,
        react,
        house.towns,
        listens_to="wish",
        complete=complete,
        instance=house.settings.instance,
        most_parked=house.settings.most_stories_parked,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.open(reactions):
            yield

    desk = CaseDesk(cases, keys, house.towns, service.arrivals, house.settings.wait_seconds)
    endpoints = APIRouter()
    endpoints.include_router(routes(desk))
    endpoints.include_router(unit_routes(desk))
    return create_app(
        "wishgrid dispatch",
        endpoints,
        house.doorkeeper,
        service.ready,
        house.towns.examples(),
        lifespan,
        service.metrics,
        house.room,
    )


if __name__ == "__main__":
    serve("dispatch", create)
