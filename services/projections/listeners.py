"""Who listens, and what each still has to be told. No I/O: a change goes to those it concerns.

Places are comparable on any instance: generation, cluster time, and which of the facts committed
at that time. For each listener, and for those who come back, only the newest change of a story is
kept, in the order of places: what is told after a place is all that happened after it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import time
from typing import Final, Literal, NamedTuple, Self

from services.projections.scope import Circle

MOST_WAITING: Final = 1000
"""Stories a listener may be behind by."""
MOST_KEPT: Final = 10_000
"""Stories whose newest change is kept for those who come back."""
_AHEAD_SECONDS: Final = 60
"""The database's clock may be ahead of ours; a mark from further on was made up."""

Dropped = Literal["too-slow", "token-expired", "stopping", "store-away"]
Reset = Literal["unknown-position", "too-much", "new-beginning"]


class Place(NamedTuple):
    """Where one stands in the order of commits: cluster time, and the n-th fact of that time
    (0: before the first)."""

    seconds: int
    increment: int
    nth: int = 0


class Mark(NamedTuple):
    """A place in a generation: the `id` of events, and what `Last-Event-ID` brings back."""

    generation: str
    place: Place

    def __str__(self) -> str:
        return f"{self.generation}.{'.'.join(map(str, self.place))}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """What was written so; None for anything else."""
        generation, *numbers = text.split(".")
        if len(numbers) != 3 or not all(n.isascii() and n.isdigit() for n in numbers):
            return None
        if any(len(n) > 10 for n in numbers):
            return None
        return cls(generation, Place(*map(int, numbers)))


@dataclass(frozen=True, slots=True)
class Change:
    """What happened last to a story, as it is sent, and the circles it is told in."""

    place: Place
    story: str
    circles: frozenset[Circle]
    told: bytes


class Newest:
    """The newest change of each story, in the order of places."""

    def __init__(self) -> None:
        self._changes: dict[str, Change] = {}

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, change: Change) -> None:
        self._changes.pop(change.story, None)
        self._changes[change.story] = change

    def oldest(self) -> Change:
        """Take out the one that is longest ago."""
        return self._changes.pop(next(iter(self._changes)))

    def after(self, place: Place) -> list[Change]:
        """Those after `place`."""
        found: list[Change] = []
        for change in reversed(self._changes.values()):
            if change.place <= place:
                break
            found.append(change)
        return found[::-1]

    def clear(self) -> None:
        self._changes.clear()


class Listener:
    """One who listens. `reading` says that they take what is sent."""

    def __init__(self, circles: frozenset[Circle], most: int) -> None:
        self.circles = circles
        self.after = Place(0, 0)
        self.reset: Reset | None = None
        self.dropped: Dropped | None = None
        self.reading = True
        self.waiting = Newest()
        self.news = asyncio.Event()
        self._most = most

    def tell(self, change: Change) -> None:
        """A change that concerns them. Who is too far behind is to read all again, or, while
        what was sent is not taken, is dropped."""
        if self.dropped or self.reset or change.place <= self.after:
            return
        self.waiting.add(change)
        if len(self.waiting) > self._most:
            if self.reading:
                self.begin_again("too-much")
            else:
                self.drop("too-slow")
        self.news.set()

    def take(self, size: int) -> list[Change]:
        """What is to be told next, about `size` bytes of it."""
        taken: list[Change] = []
        while self.waiting and size > 0:
            taken.append(self.waiting.oldest())
            size -= len(taken[-1].told)
        if not self.waiting and not self.dropped:
            self.news.clear()
        return taken

    def begin_again(self, why: Reset) -> None:
        """What they have may be stale."""
        self.waiting.clear()
        self.reset = why
        self.news.set()

    def drop(self, why: Dropped) -> None:
        """Nothing more is kept for them."""
        self.waiting.clear()
        self.dropped = self.dropped or why
        self.news.set()


class Listeners:
    """All who listen on this process, and the newest changes since `since`."""

    def __init__(
        self, most_waiting: int = MOST_WAITING, most_kept: int = MOST_KEPT, at_once: int = 1000
    ) -> None:
        self._in: defaultdict[Circle, set[Listener]] = defaultdict(set)
        self._all: set[Listener] = set()
        self._kept = Newest()
        self._since = Place(0, 0)
        self._most_waiting = most_waiting
        self._most_kept = most_kept
        self._at_once = at_once
        self.here: Mark | None = None
        """Up to where everybody was told, or has it waiting; None before the feed was open."""
        self.stopped = False
        self.slow = 0
        """How many were dropped for not reading."""

    def __len__(self) -> int:
        return len(self._all)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return len(self._all) >= self._at_once

    def begin(self, here: Mark) -> None:
        """A feed was opened that has all since `here`, and nobody knows what came before it."""
        self._kept.clear()
        self._since, self.here = here.place, here
        for listener in self._all:
            listener.begin_again("new-beginning")

    def publish(self, changes: Sequence[Change], here: Place) -> None:
        """Changes in the order of their places, all up to `here`."""
        for change in changes:
            self._kept.add(change)
            for listener in self._concerned(change):
                listener.tell(change)
                if listener.dropped:
                    self.slow += 1
                    self._leave(listener)
        while len(self._kept) > self._most_kept:
            self._since = max(self._since, self._kept.oldest().place)
        if self.here is not None:
            self.here = self.here._replace(place=max(self.here.place, here))

    @contextmanager
    def listening(self, circles: frozenset[Circle], last: str | None = None) -> Iterator[Listener]:
        """Somebody listens from now on, or from their last mark if all since then is known."""
        listener = Listener(circles, self._most_waiting)
        if last is not None:
            self._take_up(listener, Mark.read(last))
        self._all.add(listener)
        for circle in circles:
            self._in[circle].add(listener)
        if self.stopped:
            listener.drop("stopping")
        try:
            yield listener
        finally:
            self._leave(listener)

    def enter(self, listener: Listener, circles: frozenset[Circle]) -> None:
        """They stand in more circles than before."""
        listener.circles |= circles
        for circle in circles if listener in self._all else ():
            self._in[circle].add(listener)

    def stop(self) -> None:
        """Send everybody away, who comes later too."""
        self.stopped = True
        for listener in self._all:
            listener.drop("stopping")

    def _take_up(self, listener: Listener, last: Mark | None) -> None:
        if last is None or not self._knows(last):
            listener.begin_again("unknown-position")
            return
        listener.after = last.place
        for change in self._kept.after(last.place):
            if not change.circles.isdisjoint(listener.circles):
                listener.tell(change)

    def _knows(self, last: Mark) -> bool:
        """Whether all that came after `last` is known, or is still to come."""
        if self.here is None or last.generation != self.here.generation:
            return False
        made_up = last.place.seconds > time() + _AHEAD_SECONDS
        return last.place >= self._since and not made_up

    def _leave(self, listener: Listener) -> None:
        self._all.discard(listener)
        for circle in listener.circles & self._in.keys():
            self._in[circle].discard(listener)
            if not self._in[circle]:
                del self._in[circle]

    def _concerned(self, change: Change) -> Iterable[Listener]:
        return set[Listener]().union(*(self._in.get(each, ()) for each in change.circles))
