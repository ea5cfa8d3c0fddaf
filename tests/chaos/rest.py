"""When an installation is at rest: all is relayed and read, and nothing goes on happening."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from pymongo.errors import PyMongoError

from deploy.lag import Away, Installation, Lag, measure
from deploy.verify.stores import STORES
from services.projections.build import Build
from services.projections.roll import BUILDING, READING, Roll
from shared.mongo import Client, connect, database
from shared.mongo_store import COMMITS
from shared.town import Towns

_PAUSE_SECONDS: Final = 0.1
_ONE_LOOK_SECONDS: Final = 40.0
_COUNTED: Final = (COMMITS, "inbound", "issues", "parked")

Sizes = dict[str, int]


class Restless(AssertionError):
    """It did not come to rest in time; the message says what still waits."""


async def settled(place: Installation, towns: Towns, seconds: float = 120) -> None:
    """Return when stores, topics and read model have nothing left to tell each other.

    That is so when nothing lags at two looks in a row, and the second finds as much of everything
    as the first: what moves on while a look reads one thing after the other shows in the next.
    A server that does not answer is waited for. Raises Restless.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    mongo = connect(place.mongo, patience_seconds=2.0)
    before: Sizes | None = None
    waits = ["nobody looked"]
    try:
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with asyncio.timeout(_ONE_LOOK_SECONDS):
                    sizes, waits = await _look(mongo, place, towns)
            except (Away, PyMongoError, OSError) as away:
                waits = [str(away) or type(away).__name__]
            if not waits and sizes == before:
                return
            before = None if waits else sizes
            await asyncio.sleep(_PAUSE_SECONDS)
    finally:
        mongo.close()
    raise Restless(f"not at rest after {seconds:g} s: {'; '.join(waits) or 'it goes on and on'}")


async def _look(mongo: Client, place: Installation, towns: Towns) -> tuple[Sizes, list[str]]:
    """How much there is of all that only grows, and what waits to be done. Counted first: what
    is done while the lags are read is then counted at the next look."""
    sizes = {
        f"{service} {name}": await store[name].count_documents({})
        for service in STORES.values()
        for store in (database(mongo, f"{place.database_prefix}_{service}"),)
        for name in _COUNTED
    }
    waits = await _unready(mongo, place, towns)
    lag = await measure(place)
    for places in lag.consumers.values():
        sizes |= {f"{each.topic}:{each.partition}": each.end for each in places}
    return sizes, [*waits, *_lags(lag)]


def _lags(lag: Lag) -> Iterator[str]:
    """Who has something left to do. What is kept beside the read model that is read may be
    nobody's any more."""
    for store, seconds in lag.relays.items():
        if seconds:
            yield f"{store} has a commit that was not relayed for {seconds:.0f} s"
    for name, places in lag.consumers.items():
        behind = sum(each.lag for each in places)
        if behind and lag.generations.get(name, READING) == READING:
            yield f"{name} is behind by {behind} records"
    if BUILDING in lag.generations.values():
        yield "a read model is being built"


async def _unready(mongo: Client, place: Installation, towns: Towns) -> list[str]:
    """What is still to be done to the read model that is read."""
    roll = Roll(database(mongo, f"{place.database_prefix}_views"))
    name = await roll.reading()
    document: dict[str, Any] | None = None if name is None else await roll.one(name)
    if name is None or document is None:
        return ["there is no read model yet"]
    if document["filling"] or Build.of(towns).lacking(document):
        return [f"read model {name} is being filled"]
    touched = await roll.database(name)["touched"].count_documents({})
    return [f"{touched} stories are to be folded again"] if touched else []
