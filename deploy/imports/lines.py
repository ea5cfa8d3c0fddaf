"""What one line of a list says, as a request to `import_matter`. Pure."""

import hashlib
import unicodedata
from datetime import datetime, time
from typing import Any

from deploy.imports.errors import LineRefused
from deploy.imports.mapping import HOURS, Flag, Mapping, Moment, Reference, Words, marks
from deploy.imports.table import Broken, Row

Body = dict[str, Any]
_TEXTS = ("kind", "category", "area", "channel", "words", "title", "name", "phone", "address")
_NEEDED = _TEXTS[:5]


def skipped(mapping: Mapping, row: Row) -> bool:
    """Whether the mapping leaves this line out."""
    return any(_text(row, skip.column, "skip") in skip.among for skip in mapping.skip)


def reference(said: Reference, row: Row) -> str:
    """What names the line for ever. Raises LineRefused where a part of it is empty: nothing is
    made up, and least of all from where a line stands."""
    parts = [unicodedata.normalize("NFKC", _text(row, name, "ref")) for name in said.column]
    for name, part in zip(said.column, parts, strict=True):
        if not part:
            raise LineRefused("no-reference", "ref", f"column {name} is empty: nothing names it")
    if said.digest:
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return "-".join(parts)


def body_of(mapping: Mapping, row: Row) -> Body:
    """The request. Raises LineRefused, naming the field, for what cannot be read as one."""
    if row.beyond:
        more = "there are more cells than headers: a quotation mark or separator is amiss"
        raise LineRefused("too-many-cells", "line", more)
    matter = mapping.matter
    body: Body = {"source": mapping.source, "ref": reference(mapping.ref, row)}
    for name in _TEXTS:
        said = _words(row, getattr(matter, name), name)
        if name == "phone" and said is not None:
            said = unicodedata.normalize("NFKC", said)
        if said is not None:
            body[name] = said
        elif name in _NEEDED:
            raise LineRefused("missing", name, f"nothing says its {name}")
    body["occurred"] = _moment(mapping, row, matter.occurred, "occurred")
    if body["occurred"] is None:
        raise LineRefused("missing", "occurred", f"column {matter.occurred.column} is empty")
    if _flag(row, matter.on_behalf_of_resident, "on_behalf_of_resident"):
        body["on_behalf_of_resident"] = True
    if (settled := _settled(mapping, row, body["occurred"])) is not None:
        body["settled"] = settled
    return body


def _settled(mapping: Mapping, row: Row, occurred: str) -> Body | None:
    if (fields := mapping.settled) is None:
        return None
    outcome = _words(row, fields.outcome, "settled.outcome")
    at = _moment(mapping, row, fields.occurred, "settled.occurred")
    on_spot = fields.on_spot is not None and _flag(row, fields.on_spot, "settled.on_spot")
    if fields.outcome.value is not None and at is None and not on_spot:
        return None
    if outcome is None:
        if at is None and not on_spot:
            return None
        raise LineRefused("half-settled", "settled.outcome", "it was settled, but nothing says how")
    if at is None and not on_spot:
        when = "it has an outcome, but nothing says since when"
        raise LineRefused("half-settled", "settled.occurred", when)
    note = _words(row, fields.note, "settled.note")
    if note is None:
        raise LineRefused("missing", "settled.note", "nothing says what was done")
    settled = {"outcome": outcome, "note": note, "occurred": at or occurred}
    return {**settled, "on_spot": True} if on_spot else settled


def _words(row: Row, said: Words | None, field: str) -> str | None:
    if said is None or said.column is None:
        return None if said is None else said.value
    parts = (_text(row, name, field) for name in said.column)
    text = said.join.join(part for part in parts if part)
    if not text:
        return said.default
    if said.codes is None:
        return text
    if text not in said.codes:
        raise LineRefused("unknown-word", field, f"the mapping has no code for {text!r}")
    return said.codes[text] or None


def _moment(mapping: Mapping, row: Row, said: Moment, field: str) -> str | None:
    cell = row.cells[said.column]
    if isinstance(cell, datetime):
        day_only = cell.time() == time.min
        return _instant(mapping, cell, said, day_only=day_only)
    text = unicodedata.normalize("NFKC", _text(row, said.column, field))
    if not text:
        return None
    for form in mapping.dates:
        try:
            read = datetime.strptime(text, form)  # noqa: DTZ007  # its zone is said below
        except ValueError:
            continue
        return _instant(mapping, read, said, day_only=not HOURS & marks(form))
    forms = ", ".join(mapping.dates)
    raise LineRefused(
        "unknown-date", field, f"{text!r} is no date as the mapping has them: {forms}"
    )


def _instant(mapping: Mapping, read: datetime, said: Moment, *, day_only: bool) -> str:
    at = datetime.combine(read.date(), said.at, read.tzinfo) if day_only else read
    return (at if at.tzinfo else at.replace(tzinfo=mapping.zone)).isoformat()


def _flag(row: Row, said: Flag | bool, field: str) -> bool:
    return said if isinstance(said, bool) else _text(row, said.column, field) in said.among


def _text(row: Row, column: str, field: str) -> str:
    match row.cells[column]:
        case Broken(why):
            raise LineRefused("broken-cell", field, f"column {column}: {why}")
        case datetime() as at:
            return f"{at:%Y-%m-%d}" if at.time() == time.min else f"{at:%Y-%m-%d %H:%M}"
        case text:
            return text
