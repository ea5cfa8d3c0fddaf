"""Ports on the loopback interface, and folders: where servers of this machine are."""

import socket
from contextlib import ExitStack
from pathlib import Path

HOST = "127.0.0.1"


def free_ports(count: int) -> tuple[int, ...]:
    """So many different ports nobody listens on now; somebody may a moment later."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(each.getsockname()[1] for each in sockets)


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
