"""A client that keeps a server busy: so many connections, each asking again once it is answered.

A process of its own, so that it shares no interpreter with what it measures; requests are bytes
made before the clock starts. Prints one line of JSON. `python -m tests.bench.load --help`.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any, Final, cast

import uvloop

_END_OF_HEAD: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class Asking(asyncio.Protocol):
    """One connection, kept alive, one request at a time."""

    def __init__(self, requests: Iterator[bytes], tally: "Tally") -> None:
        self._requests = requests
        self._tally = tally
        self._buffer = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(_END_OF_HEAD)
        if not found or len(body) < _length(head):
            return
        self._buffer = b""
        self._tally.answered(int(head[9:12]), time.perf_counter() - self._asked_at)
        self._ask()

    def _ask(self) -> None:
        if self._transport is None:
            return
        if self._tally.over():
            self._transport.close()
            return
        self._asked_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def connection_lost(self, why: Exception | None) -> None:
        self._tally.lost()


class Tally:
    """What was answered until the time is over."""

    def __init__(self, connections: int, seconds: float) -> None:
        self.statuses: Counter[int] = Counter()
        self.latencies: list[float] = []
        self.all_closed = asyncio.Event()
        self._open = connections
        self._end = time.perf_counter() + seconds

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.latencies.append(seconds)

    def lost(self) -> None:
        self._open -= 1
        if not self._open:
            self.all_closed.set()

    def over(self) -> bool:
        return time.perf_counter() >= self._end


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    return int(head[at + len(_LENGTH) :].partition(b"\r")[0]) if at >= 0 else 0


def requests(given: argparse.Namespace) -> Iterator[bytes]:
    """The requests of all connections: tokens in turn, each with a key of its own."""
    if given.body is None:
        yield from cycle([f"GET {given.path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()])
    body = Path(given.body).read_bytes()
    tokens = Path(given.tokens).read_text().split()
    heads = cycle(
        [
            f"POST {given.path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n".encode()
            for token in tokens
        ]
    )
    for n in count():
        yield b"%bIdempotency-Key: %d-%d\r\n\r\n%b" % (next(heads), os.getpid(), n, body)


async def run(given: argparse.Namespace) -> dict[str, Any]:
    """Ask until the time is over."""
    tally, asked = Tally(given.connections, given.seconds), requests(given)
    loop, start = asyncio.get_running_loop(), time.perf_counter()
    for _ in range(given.connections):
        await loop.create_connection(lambda: Asking(asked, tally), "127.0.0.1", given.port)
    await tally.all_closed.wait()
    seconds, ordered = time.perf_counter() - start, sorted(tally.latencies)
    return {
        "answers": len(ordered),
        "statuses": tally.statuses,
        "seconds": seconds,
        "client_cpu_share": round(time.process_time() / seconds, 3),
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 2),
    }


def main() -> int:
    """Read what to ask, ask, say what came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--body", help="file to POST; without it the path is read by GET")
    parser.add_argument("--tokens", help="file of tokens, one a line")
    print(json.dumps(uvloop.run(run(parser.parse_args()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
