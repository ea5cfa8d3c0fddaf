"""Wiring of intake: the only place that builds its clients."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from services.intake.api import WishDesk, Wishes, routes
from services.intake.claims import Claims
from services.intake.gate import Gate
from services.intake.imports import ImportDesk, import_routes
from services.intake.partner_orders import PartnerOrders
from services.intake.partner_topics import PartnerTopics
from services.intake.policies import react
from services.intake.wish import WISH
from shared.kafka import INBOUND, broker, consume
from shared.keystore import KeyWriter
from shared.reactions import Reactions
from shared.serving import House, Joined, serve
from shared.web import create_app
from shared.writing import WritingService


def create(house: House) -> FastAPI:
    """Intake as an app."""
    service = WritingService(house, "intake", own="wish")
    keys = KeyWriter(house.database("keys"), house.secrets)
    wishes: Wishes = Wishes(WISH, service.store, house.clock, keys)
    reactions = Reactions(
        service.home,
        wishes,
        react,
        house.towns,
        listens_to="case",
        instance=house.settings.instance,
        most_parked=house.settings.most_stories_parked,
    )
    claims = Claims(service.home, house.secrets)
    doors = broker(house.kafka, "wishgrid-intake-gate")
    gate = Gate(
        claims,
        service.store,
        wishes,
        PartnerOrders(keys, house.towns),
        house.towns.partners(),
        house.secrets,
        PartnerTopics(doors, house.kafka),
        topic_prefix=house.settings.topic_prefix,
    )
    inbound = f"{re.escape(house.settings.topic_prefix)}{INBOUND}"
    group = house.in_kafka("wishgrid.intake.gate")
    service.readers[group] = inbound
    watch = consume(
        doors,
        pattern=f"^{inbound}$",
        group=group,
        instance=house.settings.instance,
        session_seconds=house.settings.session_timeout_seconds,
        handle=gate.on_batch,
    )

    service.also_watched.append(watch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await claims.prepare()
        # Apart from the reactions: after a crash its group waits until the dead member is given
        # up, and HTTP need not.
        try:
            async with service.open(reactions, Joined(doors, house.kafka).run()):
                yield
        finally:
            await claims.close()
            await keys.close()

    waits = service.arrivals, house.settings.wait_seconds
    endpoints = APIRouter()
    endpoints.include_router(routes(WishDesk(wishes, keys, house.towns, *waits)))
    endpoints.include_router(import_routes(ImportDesk(wishes, keys, house.towns, *waits)))
    return create_app(
        "wishgrid intake",
        endpoints,
        house.doorkeeper,
        service.ready,
        house.towns.examples(),
        lifespan,
        service.metrics,
        house.room,
    )


if __name__ == "__main__":
    serve("intake", create)
