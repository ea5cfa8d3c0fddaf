"""Ports on the loopback interface, and folders: where servers of this machine are."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"
FIRST, LAST = 15_000, 65_535
ENOUGH = 1_000
_OF_CLIENTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> tuple[int, ...]:
    """So many different ports nobody listens on now; somebody may a moment later.

    They are not among those that the kernel gives to connections, if that leaves enough: one of
    them could hold the port of a server that is down, even one that was looking for that server.
    """
    end = _first_of_clients()
    choice = range(FIRST, end if end >= FIRST + ENOUGH else LAST + 1)
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((HOST, random.choice(choice)))
            except OSError:
                continue
            found.append(probe.getsockname()[1])
    return tuple(found)


def _first_of_clients() -> int:
    return int(_OF_CLIENTS.read_text().split()[0])


def taken(port: int) -> bool:
    """Does somebody hold this port?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def nth(folder: Path, n: int) -> Path:
    """The folder of the n-th server (from 0) of those that are one: the first has `folder`."""
    return folder if n == 0 else folder.with_name(f"{folder.name}-{n + 1}")
