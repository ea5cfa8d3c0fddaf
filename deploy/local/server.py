"""A server under test: where it answers, and how to hurt it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.local.errors import StartFailed
from deploy.local.ports import free_ports, taken
from deploy.local.process import Process

ATTEMPTS = 3
READY_SECONDS = 120.0


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
        start_together((self,))

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


def start_together(servers: Sequence[Server]) -> None:
    """Start them and return when all take requests: one of several may do so only beside others.
    None is left running when one fails."""
    try:
        for server in servers:
            server.process.start()
        for server in servers:
            server.process.wait_until(server.ready, READY_SECONDS)
    except BaseException:
        for server in servers:
            server.kill()
        raise


def started(
    build: Callable[[tuple[int, ...]], tuple[Server, ...]], ports: int
) -> tuple[Server, ...]:
    """The servers `build` makes for so many free ports, started; new ports if one got taken."""
    for attempt in range(ATTEMPTS):
        chosen = free_ports(ports)
        servers = build(chosen)
        try:
            start_together(servers)
        except StartFailed:
            if attempt + 1 == ATTEMPTS or not any(taken(port) for port in chosen):
                raise
        else:
            return servers
    raise AssertionError("unreachable")
