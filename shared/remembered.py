"""What a process remembers of others' stores for a while: at most a minute, at most so many."""

from time import monotonic
from typing import Final, Generic, TypeVar

SECONDS: Final = 60.0
ENTRIES: Final = 20_000

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, forgotten after a minute of real time; the oldest makes room."""

    def __init__(self) -> None:
        self._kept: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        """The value, None when it was never met or is too old."""
        kept = self._kept.get(key)
        return kept[1] if kept and kept[0] > monotonic() else None

    def put(self, key: K, value: V) -> V:
        """Remember it from now on."""
        while len(self._kept) >= ENTRIES:
            del self._kept[next(iter(self._kept))]
        self._kept.pop(key, None)
        self._kept[key] = (monotonic() + SECONDS, value)
        return value

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
