"""Runs in the peers' environment: `eventsourcing` appends to PostgreSQL from so many threads.

Reads lines of JSON, `{"threads": n, "seconds": s}`, and answers each with one line. Every append
is one new event of a new aggregate, given to its recorder as it would be stored: no domain
model, no transcoding, which is to the peer's good. PostgreSQL commits as it does by default
(fsync and synchronous_commit on).
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from typing import Any
from uuid import uuid4

import pgserver
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore


def measured(recorder: Any, threads: int, seconds: float, state: bytes) -> dict[str, Any]:
    """Appends per second, and the seconds of CPU they took here."""
    stored = [0] * threads
    begin = threading.Barrier(threads + 1)
    cpu, end = time.process_time(), time.perf_counter() + seconds

    def caller(n: int) -> None:
        begin.wait()
        while time.perf_counter() < end:
            recorder.insert_events([StoredEvent(uuid4(), 1, "bench:WishSubmitted", state)])
            stored[n] += 1

    callers = [threading.Thread(target=caller, args=(n,)) for n in range(threads)]
    for each in callers:
        each.start()
    begin.wait()
    start = time.perf_counter()
    for each in callers:
        each.join()
    per_second = sum(stored) / (time.perf_counter() - start)
    return {"per_second": per_second, "cpu_seconds": time.process_time() - cpu}


def main() -> None:
    """Start PostgreSQL, answer until there is nothing more to read, end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, required=True, help="size of an event's state")
    parser.add_argument("--threads", type=int, required=True, help="the most that are asked for")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            datastore = PostgresDatastore(
                dbname="postgres",
                host=server.get_uri().partition("host=")[2],
                port="5432",
                user="postgres",
                password="",
                pool_size=given.threads,
                max_overflow=0,
                max_waiting=given.threads,
                enable_db_functions=True,
            )
            recorder = PostgresApplicationRecorder(datastore, events_table_name="bench_events")
            recorder.create_table()
            shown = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
            settings = {name: server.psql(f"SHOW {name}").split()[2] for name in shown}
            print(json.dumps({"db_functions": True, **settings}), flush=True)
            for line in sys.stdin:
                asked = json.loads(line)
                said = measured(recorder, asked["threads"], asked["seconds"], b"x" * given.bytes)
                print(json.dumps(said), flush=True)
            datastore.close()
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
