"""What folds may read of a town's profile: this and nothing else (mypy holds that).

A generation remembers it of each profile its facts name, so that nobody who would reckon
otherwise writes to it.
"""

from typing import Any, Protocol
from zoneinfo import ZoneInfo


class Reckoning(Protocol):
    """The part of a profile that changes what facts become. What is added here is a new input:
    it goes into `reckoning` too, and FOLD_VERSION grows."""

    @property
    def time_zone(self) -> str: ...
    @property
    def zone(self) -> ZoneInfo:
        """That of `time_zone`."""
        ...

    @property
    def fast_within_hours(self) -> int | None: ...


def reckoning(profile: Reckoning) -> dict[str, Any]:
    """It as a generation remembers it."""
    return {"time_zone": profile.time_zone, "fast_within_hours": profile.fast_within_hours}
