"""Whether the list behind each number of a place report is of exactly the cases it counts."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from deploy.demo.sums import Asked, Part, Report, parts

Row = dict[str, Any]


class Reads(Protocol):
    """Reads a whole list."""

    def rows(self, link: str) -> list[Row]:
        """The whole list behind a link, page by page."""
        ...


def not_as_listed(reader: Reads, report: Report, asked: Asked, zone: ZoneInfo) -> Iterator[str]:
    """A line for each number whose link opens another list than it counts. What a row has to be
    follows from what was asked, never from the link."""
    for part in parts(report):
        for number, figure in part.numbers.items():
            name, rows = f"{part.name}, {number}", reader.rows(figure["cases"])
            if len(rows) != figure["count"]:
                yield f"{name}: {figure['count']}, but its link lists {len(rows)} cases"
            if (distinct := len({row["story"] for row in rows})) != len(rows):
                yield f"{name}: its link lists {len(rows)} cases, only {distinct} different ones"
            strange = [(row, why) for row in rows if (why := _strange(row, part, asked, zone))]
            if strange:
                row, why = strange[0]
                yield f"{name}: its link lists {len(strange)} like {row['story']}: {why}"
            if without := [row for row in rows if number not in row["numbers"]]:
                yield f"{name}: its link lists {len(without)} cases that do not count in it"


def _strange(row: Row, part: Part, asked: Asked, zone: ZoneInfo) -> str | None:
    """Why the row does not belong to the part."""
    if row["area"] != asked.area and not row["area"].startswith(f"{asked.area}/"):
        return f"of {row['area']}"
    submitted = datetime.fromisoformat(row["submitted"]).astimezone(zone).date().isoformat()
    for day in (row["day"], submitted):
        if not asked.first <= day <= asked.last:
            return f"of {day}"
    if part.kind not in (None, row["kind"]):
        return f"of kind {row['kind']}"
    if part.category not in (None, row["category"]):
        return f"of category {row['category']}"
    return None
