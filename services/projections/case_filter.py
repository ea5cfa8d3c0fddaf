"""What a case list may be narrowed to. The report's figures are links made of the same words."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

from fastapi import Query
from pydantic import BeforeValidator

from services.projections.answers import Number, State
from services.projections.views.case_list import OPEN_STATES
from services.projections.wording import Wording
from shared.errors import Refused
from shared.mongo import Document
from shared.profile import AreaText, CodeText, UnitText

_DAY: Final = timedelta(days=1)


def _written_out(day: object) -> object:
    """Only `2026-03-01`: no instants, no numbers that could be read as a day."""
    if not isinstance(day, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
        raise ValueError("expected a day as YYYY-MM-DD")
    return day


Day = Annotated[date, BeforeValidator(_written_out)]
FIRST_DAY: Final = Query(
    alias="from", description="first day of submission, in the town's calendar"
)
LAST_DAY: Final = Query(alias="to", description="last day of submission, in the town's calendar")


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """As query parameters; what is absent narrows nothing."""

    area: Annotated[AreaText | None, Query(description="this area and all below it")] = None
    state: Annotated[State | None, Query()] = None
    number: Annotated[
        Number | None, Query(description="cases that count in this number of the report")
    ] = None
    unit: Annotated[
        UnitText | None, Query(description="the unit that leads now, or led when it was resolved")
    ] = None
    kind: Annotated[CodeText | None, Query()] = None
    category: Annotated[CodeText | None, Query()] = None
    channel: Annotated[CodeText | None, Query()] = None
    first: Annotated[Day | None, FIRST_DAY] = None
    last: Annotated[Day | None, LAST_DAY] = None
    only: Annotated[bool, Query(description="true: the area itself, without those below it")] = (
        False
    )
    overdue: Annotated[
        bool, Query(description="true: open, and past its deadline; false narrows nothing")
    ] = False

    def check(self, words: Wording) -> None:
        """Raises Refused, naming the field, for what no profile of the town knows."""
        if self.only and self.area is None:
            raise Refused("area-missing", "say which area", field="area")
        words.check("area", self.area)
        words.check("unit", self.unit)
        words.check("kind", self.kind)
        words.check("channel", self.channel)
        words.check_category(self.category, self.kind)
        check_days(self.first, self.last)

    def clauses(self, now: datetime) -> list[Document]:
        """The same as clauses of a query; `now` tells what is overdue."""
        asked = {
            "within": self.area,
            "area": self.area if self.only else None,
            "state": self.state,
            "numbers": self.number,
            "unit": self.unit,
            "kind": self.kind,
            "category": self.category,
            "channel": self.channel,
        }
        wanted = [{field: value} for field, value in asked.items() if value is not None]
        wanted += _submitted_between(self.first, self.last)
        return [*wanted, overdue(now)] if self.overdue else wanted


def overdue(now: datetime) -> Document:
    """Cases that are open although their deadline has passed."""
    return {"state": {"$in": list(OPEN_STATES)}, "due": {"$lt": now}}


def check_days(first: date | None, last: date | None) -> None:
    """Raises Refused `from-after-to`."""
    if first is not None and last is not None and first > last:
        raise Refused("from-after-to", f"{first} comes after {last}", field="from")


def _submitted_between(first: date | None, last: date | None) -> list[Document]:
    """The days are the town's; `submitted`, generously, only because it is in the indexes."""
    clauses: list[Document] = []
    if first is not None:
        clauses.append({"day": {"$gte": first.isoformat()}})
        if first > date.min:
            clauses.append({"submitted": {"$gte": datetime.combine(first - _DAY, time.min, UTC)}})
    if last is not None:
        clauses.append({"day": {"$lte": last.isoformat()}})
        if date.max - last > 2 * _DAY:
            clauses.append({"submitted": {"$lt": datetime.combine(last + 2 * _DAY, time.min, UTC)}})
    return clauses
