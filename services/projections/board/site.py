"""What every page is made with, and the headers each is sent with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from services.projections.board.assets import VENDOR, Assets, read_assets
from services.projections.board.language import (
    COOKIE,
    LANGUAGES,
    Catalogue,
    Phrases,
    language_of,
    read_catalogue,
)
from services.projections.board.telling import Teller, share
from services.projections.reader import Reader
from shared.access import Principal, Role

HOME: Final = "/board"
_YEAR_SECONDS: Final = 365 * 24 * 3600
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    # A stricter one would let browsers send `Origin: null` with the sign-in form.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_MENUS: Final[Mapping[Role, tuple[str, ...]]] = {
    Role.RESIDENT: ("my-cases",),
    Role.OFFICER: ("overview", "cases"),
    Role.UNIT: ("desk", "cases"),
    Role.COMMUNITY: ("overview", "cases", "desk"),
    Role.STREET: ("overview", "cases", "desk"),
    Role.OVERSEER: ("overview", "cases"),
    Role.SYSTEM: (),
}
_PLACES: Final = {
    "overview": "/board/overview",
    "cases": "/board/cases",
    "my-cases": "/board/cases",
    "desk": "/board/desk",
}


@dataclass(frozen=True, slots=True)
class Site:
    """Templates, phrases and assets, over what the read API says."""

    reader: Reader
    templates: Jinja2Templates
    catalogue: Catalogue
    assets: Assets

    def phrases(self, request: Request) -> Phrases:
        """Those of the language the request is to be answered in."""
        return Phrases(self.catalogue, language_of(request))

    def teller(self, request: Request, who: Principal) -> Teller:
        """Says things of the principal's town, now."""
        now = self.reader.clock.now()
        zone = self.reader.town(who).profile_at(now).zone
        return Teller(self.phrases(request), self.reader.words(who), zone, now)

    def page(
        self,
        request: Request,
        template: str,
        who: Principal | None,
        more: Mapping[str, Any],
        *,
        status: int = 200,
    ) -> Response:
        """A page; `who` is None where nobody has signed in."""
        t = self.phrases(request)
        common = {
            "t": t,
            "here": request.url.path,
            "switch": [(each, _switched(request, each)) for each in LANGUAGES],
            "assets": self.assets,
            "scripts": [*VENDOR, "board.js"] if self.assets.live else [],
            "who": who,
            "menu": [(each, _PLACES[each]) for each in _MENUS[who.role]] if who else [],
            "by_cookie": getattr(request.state, "by_cookie", False),
            **(self._of_town(request, who) if who else {}),
        }
        answer = self.templates.TemplateResponse(
            request, template, {**common, **more}, status, dict(_HEADERS)
        )
        if request.query_params.get("lang") in LANGUAGES:
            answer.set_cookie(
                COOKIE, t.language, _YEAR_SECONDS, path=HOME, samesite="lax", httponly=True
            )
        return answer

    def _of_town(self, request: Request, who: Principal) -> dict[str, Any]:
        teller = self.teller(request, who)
        return {"teller": teller, "profile": self.reader.town(who).profile_at(teller.now)}


def site(reader: Reader) -> Site:
    """Reads templates, phrases and assets. Raises ValueError where a phrase is missing."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["on_board"] = on_board
    environment.globals["share"] = share
    return Site(reader, Jinja2Templates(env=environment), read_catalogue(), read_assets())


def on_board(link: str) -> str:
    """The page that shows what a link of the API lists."""
    return HOME + link.removeprefix("/v1")


def _switched(request: Request, language: str) -> str:
    """The same page in another language."""
    kept = [each for each in parse_qsl(request.url.query) if each[0] != "lang"]
    return f"{request.url.path}?{urlencode([*kept, ('lang', language)])}"
