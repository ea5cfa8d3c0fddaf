"""The case list: one row per story whose wish is known, for every desk that lists cases."""

from typing import Final

from services.projections.stories import Story
from services.projections.views import Row, View

STATES: Final = (
    "submitted",
    "opened",
    "accepted",
    "dispatched",
    "underway",
    "resolved",
    "closed",
)
"""In the order a case goes through them. `submitted`: dispatch has not opened it yet."""


def row(story: Story) -> Row | None:
    """Times are UTC; `within` are the areas around the case, the town first; `moved` is when
    something last occurred in it."""
    wish, case = story["parts"].get("wish"), story["parts"].get("case", {})
    if wish is None or "submitted" not in wish:  # perhaps in a fact of a later build
        return None
    listed = {
        "_id": story["_id"],
        "town": story["town"],
        "area": wish["area"],
        "within": areas_around(wish["area"]),
        "kind": wish["kind"],
        "category": wish["category"],
        "channel": wish["channel"],
        "title": wish["title"],
        "resident": wish.get("resident"),
        "submitted": wish["submitted"],
        "state": case.get("state", "submitted"),
        "unit": case.get("unit"),
        "units": case.get("units", []),
        "due": case.get("due"),
        "outcome": case.get("outcome"),
        "rating": _rating(wish.get("rating")),
        "moved": max(wish["moved"], case.get("moved", wish["moved"])),
    }
    return {field: value for field, value in listed.items() if value is not None}


def _rating(rating: Row | None) -> Row | None:
    """Its answers; its words belong to the case, not into every list."""
    return rating and {answer: rating[answer] for answer in ("resolved", "satisfaction")}


def areas_around(area: str) -> list[str]:
    """`a`, `a/b`, `a/b/c` for `a/b/c`."""
    steps = area.split("/")
    return ["/".join(steps[:n]) for n in range(1, len(steps) + 1)]


CASE_LIST: Final = View(
    "case_list",
    row,
    [
        [("within", 1), ("submitted", -1), ("_id", 1)],
        [("within", 1), ("state", 1), ("submitted", -1), ("_id", 1)],
        [("within", 1), ("due", 1), ("_id", 1)],
        [("units", 1), ("submitted", -1), ("_id", 1)],
        [("resident", 1), ("submitted", -1), ("_id", 1)],
    ],
)
