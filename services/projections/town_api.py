"""HTTP out: what the town is like and calls things, for front ends."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Depends

from services.projections.answers import Told
from services.projections.reader import EVERYBODY, Reader
from shared.access import Principal
from shared.profile import Area, Profile
from shared.town import Town
from shared.web import Allow


class Named(Told):
    """A code and what the town calls it."""

    code: str
    name: str


class AreaTold(Told):
    """An area with all below it."""

    area: str
    name: str
    level: str
    level_name: str
    areas: list["AreaTold"]


class KindTold(Named):
    """A kind of matter and what its case needs."""

    categories: list[Named]
    resolve_within_hours: int
    rating_asked: bool
    verification_asked: bool


class TownTold(Told):
    """The profile in force. `invented` is what of it no report says: it is ours."""

    town: str
    name: str
    profile: str
    time_zone: str
    areas: list[AreaTold]
    kinds: list[KindTold]
    channels: list[Named]
    outcomes: list[Named]
    decline_rules: list[Named]
    owners: list[Named]
    units: list[Named]
    fast_within_hours: int | None
    invented: list[str]


def town_routes(reader: Reader) -> APIRouter:
    """The town's data."""
    router = APIRouter(prefix="/v1", tags=["town"])

    @router.get("/town", operation_id="read_town")
    async def read_town(who: Annotated[Principal, Depends(Allow(*EVERYBODY))]) -> TownTold:
        """Names of areas, kinds, channels and all other codes, by the profile in force."""
        town = reader.town(who)
        return _told(town, town.profile_at(reader.clock.now()))

    return router


def _told(town: Town, profile: Profile) -> TownTold:
    return TownTold(
        town=town.id,
        name=profile.name,
        profile=profile.version,
        time_zone=profile.time_zone,
        areas=_below("", profile),
        kinds=[
            KindTold(
                code=code,
                name=kind.name,
                categories=_named(kind.categories.items()),
                resolve_within_hours=kind.resolve_within_hours,
                rating_asked=kind.rating_asked,
                verification_asked=kind.verification_asked,
            )
            for code, kind in profile.kinds.items()
        ],
        channels=_named(profile.channels.items()),
        outcomes=_named(profile.outcomes.items()),
        decline_rules=_named(profile.decline_rules.items()),
        owners=_named(profile.owners.items()),
        units=_named((unit.id, unit.name) for unit in town.units.values()),
        fast_within_hours=profile.fast_within_hours,
        invented=list(profile.invented),
    )


def _named(names: Iterable[tuple[str, str]]) -> list[Named]:
    return [Named(code=code, name=name) for code, name in names]


def _below(parent: str, profile: Profile) -> list[AreaTold]:
    """The areas right below one, each with those below it."""

    def told(area: Area) -> AreaTold:
        return AreaTold(
            area=area.id,
            name=area.name,
            level=area.level,
            level_name=profile.levels[area.level],
            areas=_below(area.id, profile),
        )

    return [told(area) for area in profile.areas if area.id.rpartition("/")[0] == parent]
