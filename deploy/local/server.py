"""A server under test: where it answers, and how to hurt it."""

from collections.abc import Callable
from dataclasses import dataclass

from deploy.local.errors import StartFailed
from deploy.local.ports import free_ports, taken
from deploy.local.process import Process

ATTEMPTS = 3
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """One running server; its address and its data stay the same over kill and restart."""

    address: str
    process: Process
    ready: Callable[[], bool]
    outside: str | None = None
    """Where it answers those who are not of this house, by TLS, if it does."""

    def start(self) -> None:
        """Start it and return when it takes requests."""
        self.process.start()
        try:
            self.process.wait_until(self.ready, READY_SECONDS)
        except BaseException:
            self.process.kill()
            raise

    def kill(self) -> None:
        """End it the hard way (SIGKILL)."""
        self.process.kill()

    def restart(self) -> None:
        """End it the hard way if it still runs, and return when it takes requests again."""
        self.process.kill()
        self.start()

    def stop(self) -> None:
        """End it cleanly, the hard way only if it takes too long."""
        self.process.terminate()


def started(build: Callable[[tuple[int, ...]], Server], ports: int) -> Server:
    """The server `build` makes for so many free ports, started; new ports if one got taken."""
    for attempt in range(ATTEMPTS):
        chosen = free_ports(ports)
        server = build(chosen)
        try:
            server.start()
        except StartFailed:
            if attempt + 1 == ATTEMPTS or not any(taken(port) for port in chosen):
                raise
        else:
            return server
    raise AssertionError("unreachable")
