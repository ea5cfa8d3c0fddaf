"""Rebuilding the read models while they are read: what an operator asks for on the roll.

Nothing is built here. The projections processes whose build a generation is of see it on the
roll, build it, and read it when it has everything.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from pymongo.errors import DuplicateKeyError, PyMongoError

from deploy.lag import Away, Installation, Lag, measure
from services.projections.build import Build
from services.projections.completion import FEW
from services.projections.roll import BUILDING, DROPPED, Roll, number
from services.projections.upkeep import LOOK_SECONDS
from shared.mongo import Client, Document, connect, database

LEFT_SECONDS: Final = 5 * LOOK_SECONDS
"""After so long nobody writes to, or reads, what was taken off the roll."""


class NotNow(Exception):
    """It is not done; the message is one sentence that says what to do instead."""


@dataclass(frozen=True)
class Progress:
    """How far a generation is: facts folded, facts there are, records that wait in it, and
    whether it is read."""

    done: int
    to_do: int
    waiting: int
    read: bool


async def begin(place: Installation, build: Build) -> str:
    """Begin a new generation, or find the one this build is already building; its name. Raises
    NotNow, Away."""
    lag = await measure(place)
    _check_beginning(lag, place.topic_prefix + place.facts)
    async with _roll(place) as (roll, _):
        alias = await roll.reading()
        known = await roll.all()
        if (name := _at_work(build, known, alias)) is not None:
            return name
        try:
            return await roll.begin(build, known)
        except DuplicateKeyError:
            raise NotNow("somebody else began one at this very moment: ask again") from None


async def progress(place: Installation, name: str) -> Progress:
    """How far it is now. Raises NotNow when it was dropped, Away."""
    lag = await measure(place)
    async with _roll(place) as (roll, _):
        if await roll.one(name) is None:
            raise NotNow(f"{name} was dropped while it was being built")
        waiting = await roll.database(name)["parked"].count_documents({})
        read = await roll.reading() == name
    places = lag.consumers.get(f"wishgrid.projections.{name}", ())
    return Progress(
        sum(p.read - p.start for p in places), sum(p.end - p.start for p in places), waiting, read
    )


async def back_to(place: Installation, name: str) -> str:
    """Read a generation that was kept; the name of the one read before. Raises NotNow, Away."""
    lag = await measure(place)
    async with _roll(place) as (roll, _):
        await _known(roll, name)
        before = await roll.reading()
        if before is None or before == name:
            raise NotNow(f"{name} is what is read")
        lacks = sum(p.lag for p in lag.consumers[f"wishgrid.projections.{name}"])
        if lacks > FEW:
            raise NotNow(
                f"{name} lacks {lacks} facts: start projections of the build that wrote it, and "
                f"ask again when it has them"
            )
        if not await roll.flip(before, name):
            raise NotNow("what is read was changed at this very moment: ask again")
    return before


async def drop(place: Installation, name: str, left_seconds: float = LEFT_SECONDS) -> None:
    """Remove a generation that is not read, for good. Raises NotNow, Away."""
    async with _roll(place) as (roll, client):
        document = await _known(roll, name, dropped=True)
        if document["state"] != DROPPED and not await roll.drop(name):
            raise NotNow(f"{name} is what is read: it cannot be dropped")
        await asyncio.sleep(left_seconds)  # who still reads or writes it can end
        await client.drop_database(roll.database(name).name)


def _at_work(build: Build, known: Sequence[Document], alias: str | None) -> str | None:
    """What this build is building already, to be read after what is read now. Raises NotNow where
    nothing of this build would be read."""
    read = next((each for each in known if each["_id"] == alias), None)
    if read is not None and build.outdone_by(read):
        raise NotNow(
            f"{alias} was written by a later build than this one: ask with that one, or read one "
            f"that was kept (--back-to)"
        )
    for each in known:
        newer = read is None or number(each) > number(read)
        if each.get("state") == BUILDING and newer and not build.misfit(each):
            return str(each["_id"])
    return None


def _check_beginning(lag: Lag, topic: str) -> None:
    """Raise NotNow unless the topic has its first records, or none."""
    places = [place for all_of in lag.consumers.values() for place in all_of]
    if any(place.topic == topic and place.start > 0 for place in places):
        raise NotNow(
            f"{topic} lacks its beginning, so nothing can be built from it: republish the stores "
            f"into a new topic (`wishgrid republish`)"
        )


async def _known(roll: Roll, name: str, *, dropped: bool = False) -> Document:
    there = await (roll.all() if dropped else roll.there())
    for each in there:
        if each["_id"] == name:
            return each
    named = ", ".join(f"{e['_id']} ({e['state']})" for e in there if e["state"] != DROPPED)
    raise NotNow(f"there is no generation {name}: there is {named or 'none'}")


@asynccontextmanager
async def _roll(place: Installation) -> AsyncIterator[tuple[Roll, Client]]:
    client = connect(place.mongo)
    try:
        yield Roll(database(client, f"{place.database_prefix}_views")), client
    except PyMongoError as failed:
        raise Away(f"MongoDB does not answer: {type(failed).__name__}") from failed
    finally:
        client.close()
