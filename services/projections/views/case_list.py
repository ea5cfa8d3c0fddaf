"""The case list: one row per story whose wish is known, for every desk that lists cases."""

from typing import Final

from services.projections.stories import Story
from services.projections.views import Row, View
from services.projections.views.numbers import numbers

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
OPEN_STATES: Final = STATES[: STATES.index("resolved")]
"""Those of a case that counts as open."""


def row(story: Story) -> Row | None:
    """Times are UTC; `day` is the day of submission in the town's calendar; `within` are the
    areas around the case, the town first; `residents` may follow it; `numbers` are those it
    counts in; `moved` is when something last occurred in it."""
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
        "residents": [who for who in (wish.get("resident"), wish.get("proxy")) if who],
        "submitted": wish["submitted"],
        "day": wish["day"],
        "supplements": wish.get("supplements"),
        "state": case.get("state", "submitted"),
        "unit": case.get("unit"),
        "units": case.get("units", []),
        "assignments": case.get("assignments", []),
        "due": case.get("due"),
        "resolved": case.get("resolved"),
        "outcome": case.get("outcome"),
        "reason": case.get("reason"),
        "declined": case.get("declined"),
        "referred": case.get("referred"),
        "numbers": list(numbers(story)),
        "rateable": wish.get("rateable") or None,
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
        [("within", 1), ("kind", 1), ("category", 1), ("submitted", -1), ("_id", 1)],
        [("within", 1), ("due", 1), ("_id", 1)],
        [("within", 1), ("state", 1), ("due", 1), ("_id", 1)],
        [("town", 1), ("numbers", 1), ("submitted", -1), ("_id", 1)],
        [("units", 1), ("submitted", -1), ("_id", 1)],
        [("assignments.unit", 1), ("assignments.stand", 1), ("due", 1), ("_id", 1)],
        [("residents", 1), ("submitted", -1), ("_id", 1)],
    ],
)
