"""A town's profile, units and partners as its files say them; what a rule may ask of a profile.

Fields that come later have a default that the digest leaves out: older profiles keep theirs.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from shared.contracts.base import (
    AreaId,
    Code,
    EventSource,
    Instant,
    PartnerId,
    ProfileVersion,
    TownId,
    UnitId,
)
from shared.errors import Refused

CODE: Final = r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"
AREA: Final = r"^[a-z0-9-]{1,32}(/[a-z0-9-]{1,32}){0,7}$"
CodeText = Annotated[Code, StringConstraints(pattern=CODE)]
AreaText = Annotated[AreaId, StringConstraints(pattern=AREA, max_length=256)]
UnitText = Annotated[UnitId, StringConstraints(pattern=CODE)]
SourceText = Annotated[EventSource, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")]


def _a_zone_there_is(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as unknown:
        raise ValueError(f"no time zone is called {name!r}") from unknown
    return name


ZoneText = Annotated[str, AfterValidator(_a_zone_there_is)]


class Misplaced(ValueError):
    """Something in a file that does not fit the rest of it; `at` leads there, by keys and
    indexes."""

    def __init__(self, says: str, *at: str | int) -> None:
        super().__init__(says)
        self.at = at


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Area(_File):
    """One area; its id is a path, so its parent is what stands before the last slash."""

    id: AreaText
    level: CodeText
    name: str


class Kind(_File):
    """A kind of matter: what it is called, what belongs to it, what its case needs: the word of
    whoever asked (a rating), the eyes of somebody who goes and looks (a verification)."""

    name: str
    categories: dict[CodeText, str]
    resolve_within_hours: Annotated[int, Field(gt=0)]
    rating_asked: bool
    verification_asked: bool = False


class Backdating(_File):
    """How long ago something may have occurred that is only now reported, in hours, by role."""

    default: Annotated[int, Field(ge=0)]
    roles: dict[CodeText, Annotated[int, Field(ge=0)]] = {}


class Profile(_File):
    """How one town works, from `effective` on until a later profile takes over."""

    town: Annotated[TownId, StringConstraints(pattern=CODE)]
    name: str
    n: Annotated[int, Field(ge=1)]
    effective: Instant
    time_zone: ZoneText
    levels: dict[CodeText, str]
    areas: tuple[Area, ...]
    kinds: dict[CodeText, Kind]
    channels: dict[CodeText, str]
    outcomes: dict[CodeText, str]
    occurred_back_hours: Backdating
    decline_rules: dict[CodeText, str] = {}
    """Grounds on which a matter may be declined."""
    owners: dict[CodeText, str] = {}
    """Authorities outside the house that a matter may be referred to."""
    fast_within_hours: Annotated[int, Field(gt=0)] | None = None
    """A case resolved within so many hours of its submission counts as fast."""
    import_back_days: Annotated[int, Field(ge=0)] = 3650
    """How many days back the matters of an imported list may reach."""
    invented: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _areas_form_a_tree(self) -> Self:
        ids = {area.id for area in self.areas}
        seen = set[str]()
        for n, area in enumerate(self.areas):
            parent = area.id.rpartition("/")[0]
            if area.id in seen:
                raise Misplaced(f"area {area.id} is listed twice", "areas", n)
            seen.add(area.id)
            if area.id.partition("/")[0] != self.town or (parent and parent not in ids):
                says = f"area {area.id} hangs on nothing: its parent is not listed"
                raise Misplaced(says, "areas", n, "id")
            if area.level not in self.levels:
                says = f"area {area.id}: level {area.level} is not listed in levels"
                raise Misplaced(says, "areas", n, "level")
        return self

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @cached_property
    def version(self) -> ProfileVersion:
        return ProfileVersion(f"{self.n}.{self.digest}")

    @cached_property
    def area_ids(self) -> frozenset[str]:
        return frozenset(area.id for area in self.areas)

    @cached_property
    def digest(self) -> str:
        """The first 8 hex digits of the SHA-256 of what the profile says."""
        said = self.model_dump(mode="json", exclude_defaults=True)  # not what a later build adds
        text = json.dumps(said, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def kind(self, kind: str) -> Kind:
        """Raises Refused `unknown-kind`."""
        if kind not in self.kinds:
            raise Refused("unknown-kind", f"{self.town} has no kind {kind!r}", field="kind")
        return self.kinds[Code(kind)]

    def check_area(self, area: str) -> None:
        """Raises Refused `unknown-area`."""
        if area not in self.area_ids:
            raise Refused("unknown-area", f"{self.town} has no area {area!r}", field="area")

    def check_code(
        self, what: str, code: str, known: Mapping[Code, str], field: str | None = None
    ) -> None:
        """Raises Refused `unknown-<what>`, about the field of that name unless it has another."""
        if code not in known:
            detail = f"{self.town} has no {what} {code!r}"
            raise Refused(f"unknown-{what}", detail, field=field or what)

    def check_occurred(
        self, role: str, occurred: datetime | None, now: datetime, field: str = "occurred"
    ) -> None:
        """Raises Refused when it lies ahead, or further back than the role may claim."""
        if occurred is None:
            return
        back = self.occurred_back_hours.roles.get(Code(role), self.occurred_back_hours.default)
        _check_span(
            occurred, now, timedelta(hours=back), field, f"{role} may claim", f"{back} hours"
        )

    def check_imported(self, occurred: datetime, now: datetime, field: str = "occurred") -> None:
        """Raises Refused when it lies ahead, or further back than a list may reach."""
        back = self.import_back_days
        _check_span(occurred, now, timedelta(days=back), field, "a list may reach", f"{back} days")


def _check_span(
    occurred: datetime, now: datetime, back: timedelta, field: str, who: str, most: str
) -> None:
    if occurred > now:
        raise Refused("occurred-ahead", "occurred lies in the future", field=field)
    if occurred < now - back:
        raise Refused("occurred-too-far-back", f"{who} at most {most} back", field=field)


class Unit(_File):
    """A unit that cases are dispatched to."""

    id: UnitText
    name: str


class UnitsFile(_File):
    """`units.yaml`."""

    units: tuple[Unit, ...]


Verb = Literal["wish-submitted", "hazard-raised", "unit-reported", "progress-reported"]


class Partner(_File):
    """A system that publishes on Kafka, and what it may do in this town.

    `sources` are the CloudEvents sources it speaks for; no other partner may. `channel` is
    that of what it submits without one, `hazard_kind` what a raised hazard becomes.
    """

    id: Annotated[PartnerId, StringConstraints(pattern=CODE)]
    name: str
    sources: Annotated[tuple[SourceText, ...], Field(min_length=1)]
    verbs: Annotated[tuple[Verb, ...], Field(min_length=1)]
    areas: Annotated[tuple[AreaText, ...], Field(min_length=1)]
    units: tuple[UnitText, ...] = ()
    channel: CodeText
    hazard_kind: CodeText | None = None

    @model_validator(mode="after")
    def _hazards_have_a_kind(self) -> Self:
        if "hazard-raised" in self.verbs and self.hazard_kind is None:
            raise ValueError(f"partner {self.id} may raise hazards: name their hazard_kind")
        return self

    def answers_for(self, area: str) -> bool:
        """Whether the area lies in one of the subtrees it may speak about."""
        return any(area == a or area.startswith(a + "/") for a in self.areas)


class PartnersFile(_File):
    """`partners.yaml`."""

    partners: tuple[Partner, ...]
