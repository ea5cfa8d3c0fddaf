"""Starts again what ended by itself, as compose does where there are containers."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from deploy.local.process import Process

LOOK_SECONDS: Final = 0.2
PAUSE_SECONDS: Final = 1.0
"""Before it is started again: what cannot start at all must not keep a machine busy."""


@contextmanager
def supervised(processes: Iterable[Process]) -> Iterator[None]:
    """Those of `processes` that end while the block runs are started again, whatever their
    status. End none of them in it."""
    watched = list(processes)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            for ended in [each for each in watched if not each.alive()]:
                if over.wait(PAUSE_SECONDS):
                    return
                ended.start()

    watching = threading.Thread(target=watch, name="supervisor")
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
