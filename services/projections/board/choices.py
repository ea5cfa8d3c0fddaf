"""What the forms of pages offer, and the links that lead on from them."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from services.projections.board.telling import Teller
from services.projections.case_filter import CaseFilter
from services.projections.views.case_list import STATES, areas_around
from services.projections.views.numbers import NUMBERS
from services.projections.wording import Wording
from shared.access import Principal, Role
from shared.profile import Area
from shared.town import Town

Choice = tuple[str, str]
"""Code and name."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What each field of the case list's form can be."""

    areas: list[Choice]
    units: list[Choice]
    kinds: list[Choice]
    categories: list[Choice]
    channels: list[Choice]
    states: tuple[str, ...]
    numbers: tuple[str, ...]


def fields(town: Town, words: Wording, who: Principal, wanted: CaseFilter) -> Fields:
    """What the principal may choose from. A category is known by its name in the kind that is
    wanted, else by that in any."""
    kinds = [wanted.kind] if wanted.kind else list(words.categories)
    named: dict[str, str] = {}
    for kind in kinds:
        named = {**words.categories.get(kind, {}), **named}
    return Fields(
        areas=areas(town, who),
        units=list(words.units.items()) if who.role is not Role.RESIDENT else [],
        kinds=list(words.kinds.items()),
        categories=sorted(named.items()),
        channels=list(words.channels.items()),
        states=STATES,
        numbers=NUMBERS,
    )


def narrowed(wanted: CaseFilter, teller: Teller) -> list[str]:
    """What a list is narrowed to, in words."""
    t = teller.phrases
    said = []
    for what in ("area", "kind", "category", "channel", "unit"):
        if code := getattr(wanted, what):
            known = teller.name(what, code, wanted.kind or "")
            said.append(known.said)
    said += [t(f"{what}.{code}") for what in ("state", "number") if (code := getattr(wanted, what))]
    said += [t(f"field.{what}") for what in ("only", "overdue") if getattr(wanted, what)]
    for key, day in (("field.from", wanted.first), ("field.to", wanted.last)):
        said += [f"{t(key)} {day}"] if day else []
    return said


def areas(town: Town, who: Principal) -> list[Choice]:
    """The areas the principal may ask for, each set in below the one around it. Residents and
    units see cases, not areas: they may ask for any."""
    known: dict[str, Area] = {}
    for profile in town.profiles:
        known |= {str(area.id): area for area in profile.areas}
    everywhere = who.role in (Role.RESIDENT, Role.UNIT)
    theirs = {code: a for code, a in sorted(known.items()) if everywhere or who.sees(code)}
    least = min((code.count("/") for code in theirs), default=0)
    return [(code, "　" * (code.count("/") - least) + a.name) for code, a in theirs.items()]


def around(words: Wording, who: Principal, area: str) -> list[Choice]:
    """The areas around this one that the principal answers for, the widest first."""
    return [(a, words.areas.get(a, a)) for a in areas_around(area)[:-1] if who.sees(a)]


def with_query(request: Request, **changes: str | None) -> str:
    """This page with other query parameters; None takes one away."""
    kept = {k: v for k, v in parse_qsl(request.url.query) if k not in (*changes, "lang")}
    said = {**kept, **{name: value for name, value in changes.items() if value is not None}}
    return f"{request.url.path}?{urlencode(said)}" if said else request.url.path
