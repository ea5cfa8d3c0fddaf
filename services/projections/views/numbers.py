"""What a case counts as: one function for the lines of the list and for the report's figures."""

from typing import Final

from services.projections.stories import Story

NUMBERS: Final = ("received", "open", "resolved", "otherwise", "closed", "on_the_spot", "fast")


def numbers(story: Story) -> tuple[str, ...]:
    """The numbers that a submitted case counts in, in the order of `NUMBERS`.

    Always `received`, and exactly one of `open` (no resolution stands, and it is not closed),
    `resolved` (one stands) and `otherwise` (closed without: declined, referred, withdrawn);
    `closed` when it is. A standing resolution counts as `on_the_spot` if it was given there, and
    else as `fast` if it came in time: the two are separate figures, no case is in both. Nothing
    is sticky: a case that is reopened is open, and neither resolved, on the spot nor fast.
    """
    wish, case = story["parts"]["wish"], story["parts"].get("case", {})
    closed = case.get("state") == "closed"
    resolved = "resolved" in case
    on_spot = resolved and bool(case.get("on_spot"))
    in_time = resolved and "fast_by" in wish and case["resolved"] <= wish["fast_by"]
    counted = {
        "received": True,
        "open": not resolved and not closed,
        "resolved": resolved,
        "otherwise": closed and not resolved,
        "closed": closed,
        "on_the_spot": on_spot,
        "fast": in_time and not on_spot,
    }
    return tuple(name for name in NUMBERS if counted[name])
