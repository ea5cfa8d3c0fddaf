"""Runs in the peers' environment: Quix Streams copies a topic into one collection.

Prints the settings it runs with, then `done` when every record is committed.
"""

import argparse
import json
import logging
import tempfile
from typing import Any

from quixstreams import Application
from quixstreams.sinks.community.mongodb import MongoDBSink


def ce_id(item: Any) -> dict[str, Any]:
    """One document per record: the fact's id, which is a header."""
    return {"_id": next(value for name, value in item.headers if name == "ce_id").decode()}


def main() -> None:
    """Copy so many records and end."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("kafka", "mongo-port", "database", "topic", "group", "method"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("records", "commit-every"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    logging.getLogger("quixstreams").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=given.kafka,
            consumer_group=given.group,
            auto_offset_reset="earliest",
            commit_every=given.commit_every,
            commit_interval=60.0,
            auto_create_topics=False,
            state_dir=state,
            loglevel="WARNING",
        )
        sink = MongoDBSink(
            host="127.0.0.1",
            port=int(given.mongo_port),
            db=given.database,
            collection="facts",
            document_matcher=ce_id,
            update_method=given.method,
        )
        topic = app.topic(given.topic, key_deserializer="str", value_deserializer="json")
        app.dataframe(topic).sink(sink)
        print(json.dumps({"commit_every": given.commit_every, "method": given.method}), flush=True)
        app.run(count=given.records, collect=False)
    print("done", flush=True)


if __name__ == "__main__":
    main()
