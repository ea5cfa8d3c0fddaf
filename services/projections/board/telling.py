"""How a page says codes, instants, deadlines and shares. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from services.projections.board.language import Phrases
from services.projections.views.case_list import OPEN_STATES
from services.projections.wording import Wording

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


class Name(NamedTuple):
    """What the town calls a code; `code` stands beside it where a reader may not know the
    town's language."""

    said: str
    code: str | None = None


class Deadline(NamedTuple):
    """When a case is due, and how that stands; `late` is what the list calls overdue."""

    at: datetime | None
    said: str
    late: bool


@dataclass(frozen=True, slots=True)
class Teller:
    """Says things in one language, of one town, at one moment."""

    phrases: Phrases
    words: Wording
    zone: ZoneInfo
    now: datetime

    def name(self, what: str, code: str, kind: str = "") -> Name:
        """What the town calls a code of a field of this name; a category is one of a kind."""
        known = {
            "area": self.words.areas,
            "kind": self.words.kinds,
            "category": self.words.categories.get(kind, {}),
            "channel": self.words.channels,
            "unit": self.words.units,
            "outcome": self.words.outcomes,
            "rule": self.words.rules,
            "owner": self.words.owners,
        }
        said = known[what].get(code, code)
        beside = code.rpartition("/")[2]
        foreign = self.phrases.language != "zh-CN" and said != code
        return Name(said, beside if foreign else None)

    def when(self, at: datetime) -> str:
        """Date and minute in the town's time zone."""
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M}"

    def deadline(self, state: str, due: datetime | None) -> Deadline:
        """The deadline of a case in this state: how late it is, or how much time is left."""
        if due is None:
            return Deadline(None, self.phrases("due.none"), False)
        if state not in OPEN_STATES:
            return Deadline(due, "", False)
        late = due < self.now
        key = "late" if late else "left"
        return Deadline(due, self._span(f"due.{key}", abs(self.now - due)), late)

    def actor(self, by: str) -> str:
        """Who did something: the role, and the id of staff. A resident's id tells nobody
        anything, and a rule's name is for the technical."""
        role, _, name = by.partition(":")
        said = self.phrases.code("role", role)
        return said if role in ("resident", "policy") else f"{said} {name}"

    def _span(self, key: str, span: timedelta) -> str:
        if span >= _DAY:
            return self.phrases(f"{key}.days", n=span // _DAY)
        if span >= _HOUR:
            return self.phrases(f"{key}.hours", n=span // _HOUR)
        return self.phrases(f"{key}.just")


def share(part: int, whole: int) -> str:
    """`9 %`; nothing of nothing is a dash, and no part that is there is 0 %, nor 100 % when
    something is left."""
    if not whole:
        return "–"
    percent = round(100 * part / whole)
    if part and not percent:
        return "<1 %"
    if part < whole and percent == 100:
        return ">99 %"
    return f"{percent} %"
