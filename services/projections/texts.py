"""Sealed texts, opened for those who may read them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from shared.access import Principal, Role
from shared.contracts.base import Sealed, StoryId, SubjectId
from shared.errors import KeyMissing
from shared.keystore import KeyReader
from shared.sealing import Sealer

READ_TEXTS: Final = {Role.RESIDENT, Role.OFFICER, Role.UNIT, Role.COMMUNITY, Role.STREET}
"""Who is shown what residents wrote; the others work with codes and numbers."""

_BOX: Final = {"subject", "box"}


class Texts:
    """Opens sealed texts for those who may read them; None for the others and for what is
    erased."""

    def __init__(self, keys: KeyReader) -> None:
        self._keys = keys

    async def open(self, who: Principal, sealed: Iterable[Any]) -> "Opened":
        """Fetch the keys of everything sealed in these documents, in one query."""
        if who.role not in READ_TEXTS:
            return Opened({})
        subjects = {SubjectId(box["subject"]) for document in sealed for _, box in boxes(document)}
        return Opened(await self._keys.sealers(subjects))


class Opened:
    """The sealers at hand."""

    def __init__(self, sealers: Mapping[SubjectId, Sealer]) -> None:
        self._sealers = sealers

    def text(self, story: StoryId, field: str, document: Mapping[str, Any]) -> str | None:
        """The text of `document[field]`."""
        box = document.get(field)
        if box is None or box["subject"] not in self._sealers:
            return None
        try:
            return self._sealers[box["subject"]].open(story, field, Sealed.model_validate(box))
        except KeyMissing:
            return None

    def texts(self, story: StoryId, document: Mapping[str, Any]) -> dict[str, str]:
        """Every text in the document, however deep, by its path: `settled_on_spot.note`. It was
        sealed under its last name."""
        found = {
            path: self.text(story, name, {name: box})
            for path, box in boxes(document)
            for name in (path.rpartition(".")[2],)
        }
        return {path: text for path, text in sorted(found.items()) if text is not None}


def boxes(document: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Everything sealed in a document, however deep, by its path."""
    if isinstance(document, Mapping):
        if document.keys() == _BOX:
            yield path, document
            return
        for name, inner in document.items():
            yield from boxes(inner, f"{path}.{name}" if path else name)
    elif isinstance(document, list):
        for inner in document:
            yield from boxes(inner, path)


def without_boxes(document: Any) -> Any:
    """What is not sealed in a document; what held nothing else is left out too."""
    if isinstance(document, Mapping):
        if document.keys() == _BOX:
            return None
        kept = {name: without_boxes(inner) for name, inner in document.items()}
        return {name: inner for name, inner in kept.items() if inner is not None} or None
    if isinstance(document, list):
        return [inner for inner in map(without_boxes, document) if inner is not None]
    return document
