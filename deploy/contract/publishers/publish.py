"""Hand in a wish and read the answer: needs `pip install confluent-kafka`.

python publish.py KAFKA PARTNER SOURCE < wish.json
"""

import hashlib
import json
import os
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

kafka, partner, source = sys.argv[1:]
prefix, user = os.environ.get("WISHGRID_TOPIC_PREFIX", ""), os.environ.get("WISHGRID_KAFKA_USER")
inbound, answers = (f"{prefix}wishgrid.{way}.{partner}.v1" for way in ("inbound", "answers"))
seconds = float(os.environ.get("WISHGRID_ANSWER_SECONDS", "30"))
config: dict[str, str | int | float | bool] = {"bootstrap.servers": kafka}
if user:
    config["security.protocol"] = os.environ.get("WISHGRID_KAFKA_PROTOCOL", "SASL_SSL")
    config["sasl.mechanism"] = "SCRAM-SHA-512"
    config["sasl.username"], config["sasl.password"] = user, os.environ["WISHGRID_KAFKA_PASSWORD"]

wish = sys.stdin.buffer.read()
event = hashlib.sha256(wish).hexdigest()  # the same wish again is the same event
producer = Producer(config)
producer.produce(
    inbound,
    key=json.loads(wish)["ref"],  # order is promised for one key
    value=wish,
    headers={
        "ce_specversion": "1.0",
        "ce_id": event,
        "ce_source": source,
        "ce_type": "wishgrid.wish-submitted.v1",
    },
    on_delivery=lambda error, _: sys.exit(f"not sent: {error}") if error else None,
)
if producer.flush(seconds):
    sys.exit("not sent in time: send the same again")

reader = Consumer(
    {**config, "group.id": f"{prefix}partner.{partner}.publish", "enable.auto.commit": False}
)
partitions = reader.list_topics(answers, timeout=seconds).topics[answers].partitions
reader.assign([TopicPartition(answers, n, OFFSET_BEGINNING) for n in partitions])
deadline = time.monotonic() + seconds
while time.monotonic() < deadline:
    record = reader.poll(0.2)
    if record and record.key() == event.encode():  # its key is the event that it answers
        answer = (record.value() or b"").decode()
        print(answer)
        sys.exit(0 if json.loads(answer)["said"] == "accepted" else 1)
sys.exit("not answered in time: send the same again")
