"""What pages are made of beside HTML: read once, served under a name with a digest."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from starlette.responses import Response

from shared.problems import Hidden

PATH: Final = "/board/static"
VENDOR: Final = ("htmx.min.js", "sse.min.js", "idiomorph-ext.min.js")
"""What comes from packages (package.json), in the order in which a page must load it."""

_FOLDER: Final = Path(__file__).with_name("static")
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """Changes with the content."""
        return hashlib.sha256(self.content).hexdigest()[:16]


class Assets:
    """All files there are, by name. Pages work without those of packages, only not live."""

    def __init__(self, files: Mapping[str, Asset]) -> None:
        self._files = files
        self._urls = {name: f"{PATH}/{name}?v={file.digest}" for name, file in files.items()}
        self.live = all(name in files for name in VENDOR)

    def url(self, name: str) -> str:
        """Where a page finds it. Raises KeyError."""
        return self._urls[name]

    def answer(self, name: str, version: str | None) -> Response:
        """The file; it may be kept for ever where its digest was asked for. Raises Hidden.
        Another build's digest gets this build's file: two builds serve one page for a while."""
        if name not in self._files:
            raise Hidden
        file = self._files[name]
        kept = _FOR_EVER if version == file.digest else _ASK_AGAIN
        headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
        return Response(file.content, media_type=file.media_type, headers=headers)


def read_assets(folder: Path = _FOLDER) -> Assets:
    """The files in `folder`, and says once what of the packages is missing."""
    found = {
        file.name: Asset(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "text/plain")
        for place in (folder, folder / "vendor")
        for file in sorted(place.glob("*.*"))
        if file.is_file()
    }
    if missing := [name for name in VENDOR if name not in found]:
        log.warning("pages are not live: scripts of packages are missing", missing=missing)
    return Assets(found)
