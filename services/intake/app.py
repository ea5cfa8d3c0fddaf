"""Wiring of intake: the only place that builds its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.intake.api import Wishes, routes
from services.intake.policies import react
from services.intake.wish import WISH
from shared.keystore import KeyWriter
from shared.reactions import Reactions
from shared.serving import House, serve
from shared.web import create_app
from shared.writing import WritingService


def create(house: House) -> FastAPI:
    """Intake as an app."""
    service = WritingService(house, "intake", own="wish")
    keys = KeyWriter(house.database("keys"), house.secrets)
    wishes: Wishes = Wishes(WISH, service.store, house.clock, keys)
    reactions = Reactions(service.home, wishes, react, house.towns, listens_to="case")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.open(reactions):
            yield
        await keys.close()

    endpoints = routes(wishes, keys, house.towns, service.arrivals, house.settings.wait_seconds)
    return create_app(
        "wishgrid intake",
        endpoints,
        house.doorkeeper,
        service.ready,
        house.towns.examples(),
        lifespan,
    )


if __name__ == "__main__":
    serve("intake", create)
