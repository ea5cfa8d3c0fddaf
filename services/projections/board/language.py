"""In which language a page speaks, and the phrases of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import yaml
from fastapi import Query
from pydantic import TypeAdapter
from starlette.requests import Request

Language = Literal["zh-CN", "en"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
COOKIE: Final = "wishgrid-lang"
Catalogue = Mapping[str, tuple[str, ...]]
"""Key → the phrase in each language, in the order of `LANGUAGES`."""

_FILE: Final = Path(__file__).with_name("words.yaml")


@dataclass(frozen=True, slots=True)
class Phrases:
    """The phrases of one language."""

    catalogue: Catalogue
    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The phrase of a key with its gaps filled. Raises KeyError where there is none."""
        return self.catalogue[key][LANGUAGES.index(self.language)].format(**values)

    def code(self, what: str, code: str) -> str:
        """What a code of ours is called; the code itself where nobody has named it."""
        key = f"{what}.{code}"
        return self(key) if key in self.catalogue else code

    def has(self, key: str) -> bool:
        """Whether there is such a phrase."""
        return key in self.catalogue


def read_catalogue() -> Catalogue:
    """All phrases. Raises ValueError where one is missing in a language."""
    said = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return TypeAdapter(dict[str, tuple[str, str]]).validate_python(said, strict=False)


def asked_language(
    lang: Annotated[Language | None, Query(description="speak this language from now on")] = None,
) -> Language | None:
    """The language a link switches to; every page takes it."""
    return lang


def language_of(request: Request) -> Language:
    """The one asked for, else the one chosen before, else the browser's, else the first."""
    said = (request.query_params.get("lang"), request.cookies.get(COOKIE))
    accepted = request.headers.get("accept-language", "")
    for wanted in (*said, *_by_preference(accepted)):
        for language in LANGUAGES:
            if wanted is not None and wanted.lower().split("-")[0] == language.split("-")[0]:
                return language
    return LANGUAGES[0]


def _by_preference(header: str) -> list[str]:
    """`en;q=0.8, zh` as zh, en."""
    ranked: list[tuple[float, str]] = []
    for part in header.split(",")[:20]:
        name, _, quality = part.strip().partition(";q=")
        try:
            ranked.append((float(quality or 1), name.strip()))
        except ValueError:
            continue
    return [name for _, name in sorted(ranked, key=lambda each: -each[0]) if name]
