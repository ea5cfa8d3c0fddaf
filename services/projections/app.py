"""Wiring of projections: the only place that builds its clients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.projections.api import routes
from services.projections.board.board import board_routes, open_board
from services.projections.board.site import site
from services.projections.listeners import Listeners
from services.projections.live import Live
from services.projections.metrics import projections_metrics
from services.projections.reader import Reader
from services.projections.reading import OneGeneration
from services.projections.upkeep import Upkeep
from shared.access_log import AccessLog
from shared.background import in_background
from shared.keystore import KeyReader, check_secrets
from shared.metrics import frozen
from shared.restored import check_whole
from shared.serving import House, answers, register_profiles, serve
from shared.web import create_app


def create(house: House) -> FastAPI:
    """Projections as an app."""
    settings = house.settings
    home = house.database("projections")
    upkeep = Upkeep(house, house.facts, instance=house.member)
    access_log = AccessLog(home)
    keys = KeyReader(house.database("keys"), house.secrets)
    reader = Reader(
        upkeep.reading,
        keys,
        access_log,
        settings.wait_seconds,
        towns=house.towns,
        clock=house.clock,
    )
    live = Live(
        lambda: (upkeep.reading.model.database.name, upkeep.reading.model.database),
        keys,
        heartbeat_seconds=settings.heartbeat_seconds,
        listeners=Listeners(at_once=settings.listeners_at_once),
    )
    pages = site(reader)
    endpoints = routes(reader, live)
    endpoints.include_router(board_routes(pages))

    watchdog = house.watchdog(lambda: [each.watch for each in upkeep.projectors.values()])
    metrics = projections_metrics(upkeep, live.listeners)
    metrics.add(frozen(watchdog))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await check_whole(home)
        await register_profiles(home, house.towns)
        await check_secrets(house.database("keys"), house.secrets)
        await upkeep.prepare()
        try:
            async with in_background(upkeep.run(), live.run(), watchdog.run()):
                yield
        finally:
            await access_log.close()

    async def ready() -> dict[str, bool]:
        """What is read counts, not what is being built beside it; where another build writes
        that, it can be read all the same."""
        writing = upkeep.standing
        return {
            "mongo": await answers(house.mongo),
            "reading": upkeep.read is not None,
            "projector": upkeep.projecting,
            "understood": writing is None or writing.lacks is None,
        }

    app = create_app(
        "wishgrid projections",
        endpoints,
        house.doorkeeper,
        ready,
        house.towns.examples(),
        lifespan,
        metrics,
        house.room,
    )
    app.state.before_stop.append(live.listeners.stop)
    open_board(app, pages)
    app.add_middleware(OneGeneration, reading=upkeep.reading)
    return app


if __name__ == "__main__":
    serve("projections", create)
