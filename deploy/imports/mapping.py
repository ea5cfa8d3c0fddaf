"""The mapping: which columns of a list become which fields, as data. Nothing of a town is code."""

import re
from collections.abc import Iterator
from datetime import time
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from shared.profile import SourceText, ZoneText

Encoding = Literal["UTF-8", "GB18030", "Big5", "Shift_JIS", "EUC-KR"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
HOURS: Final = frozenset({"%H", "%I"})
"""What makes a date tell more than the day."""
_MOST_REFERENCE_PARTS: Final = 8
_VAGUE: Final = frozenset({"%Z", "%c", "%x", "%X"})
"""Read by the language of the machine, or read and thrown away."""


def _one_or_more(said: object) -> object:
    return (said,) if isinstance(said, str) else said


def _column_alone(said: object) -> object:
    """`phone: 电话` is short for `phone: {column: 电话}`."""
    return {"column": said} if isinstance(said, str) else said


def _written_out(said: object) -> object:
    """YAML reads an hour without quotation marks as a number of minutes."""
    if isinstance(said, time) or (isinstance(said, str) and re.fullmatch(r"[0-9:]{5}", said)):
        return said
    raise ValueError('expected an hour in quotation marks, as "18:00"')


def marks(form: str) -> frozenset[str]:
    """The directives of strptime in it: `%Y`; `%%` is one that stands for itself."""
    return frozenset(re.findall("%.", form))


def _exact(form: str) -> str:
    """A form whose marks mean the same everywhere, and of which no part is lost in reading."""
    said = marks(form)
    if vague := sorted(said & _VAGUE):
        raise ValueError(f"{vague[0]} is not exact; write out %Y, %m, %d, %H, %M, %S and %z")
    if ("%I" in said) != ("%p" in said):
        raise ValueError("%I and %p tell an hour only together; %H tells it alone")
    return form


Columns = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more), Field(min_length=1)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(_Said):
    """A text: of one column or several joined, or a fixed `value`. `codes` translates what the
    list calls it; what it does not name is refused, what it makes empty is absent. `default`
    stands in for an empty cell."""

    column: Columns | None = None
    value: Text | None = None
    join: str = "\n"
    codes: dict[Text, str] | None = None
    default: Text | None = None

    @model_validator(mode="after")
    def _from_one_place(self) -> Self:
        if (self.column is None) == (self.value is None):
            raise ValueError("say either column or value")
        if self.value is not None and (self.codes is not None or self.default is not None):
            raise ValueError("a fixed value has neither codes nor default")
        return self


class Moment(_Said):
    """A time. Where a cell tells only the day, it was `at` that hour."""

    column: Text
    at: Annotated[time, BeforeValidator(_written_out)] = time.min


class Flag(_Said):
    """Yes where the cell is one of `is`."""

    column: Text
    among: Annotated[tuple[Text, ...], Field(alias="is", min_length=1)]


class Reference(_Said):
    """The number of a line in its list, for ever; several columns are joined by hyphens.
    `digest`: their SHA-256 instead, where they hold what no reference may."""

    column: Annotated[Columns, Field(max_length=_MOST_REFERENCE_PARTS)]
    digest: bool = False


class Skip(_Said):
    """Lines to leave out: those whose cell is one of `is`; `""` is an empty one."""

    column: Text
    among: Annotated[tuple[str, ...], Field(alias="is", min_length=1)]


A_TEXT = Annotated[Words, BeforeValidator(_column_alone)]
A_MOMENT = Annotated[Moment, BeforeValidator(_column_alone)]


class MatterFields(_Said):
    """What is the matter, as `import_matter` takes it."""

    kind: A_TEXT
    category: A_TEXT
    area: A_TEXT
    channel: A_TEXT
    words: A_TEXT
    occurred: A_MOMENT
    title: A_TEXT | None = None
    name: A_TEXT | None = None
    phone: A_TEXT | None = None
    address: A_TEXT | None = None
    on_behalf_of_resident: Flag | bool = False


class SettledFields(_Said):
    """What became of it. A line with an outcome is settled; where the outcome is a fixed value,
    one with a time, or on the spot."""

    outcome: A_TEXT
    note: A_TEXT
    occurred: A_MOMENT
    on_spot: Flag | None = None


class Mapping(_Said):
    """How one list is read. `dates` are tried in order, in the words of strptime; the zone is for
    those that do not tell theirs (`%z`)."""

    source: SourceText
    time_zone: ZoneText
    dates: Annotated[tuple[Annotated[Text, AfterValidator(_exact)], ...], Field(min_length=1)]
    header: Annotated[int, Field(ge=1)] = 1
    encoding: Encoding | None = None
    delimiter: Literal[",", ";", "\t"] | None = None
    sheet: str | None = None
    skip: tuple[Skip, ...] = ()
    ref: Annotated[Reference, BeforeValidator(_column_alone)]
    matter: MatterFields
    settled: SettledFields | None = None

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def columns(self) -> list[str]:
        """Every column that is named, once, in order."""
        return list(dict.fromkeys(_columns(self)))


def _columns(said: BaseModel) -> Iterator[str]:
    for name, value in said:
        if name == "column" and value is not None:
            yield from (value,) if isinstance(value, str) else value
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel):
                yield from _columns(inner)
