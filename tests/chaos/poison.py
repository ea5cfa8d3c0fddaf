"""One per cent poison among many events of one partner, on real servers, by a real Kafka client.

`python -m tests.chaos poison [--events N] [--output FILE]`. Every good event must be applied (a
commit in the store, a story in the read model) and answered once in effect, every bad one refused
by its own code, and what cannot be read be among the dead letters as well.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import orjson
from pymongo import MongoClient

from deploy.local.installation import Installation, installation
from deploy.local.servers import servers
from shared.contracts.answers import answers_topic
from shared.kafka import DEAD, Record
from tests.bench.machine import commit, load, machine
from tests.chaos.poisons import Told, events, tally
from tests.conftest import Reader, reader
from tests.journeys.gate_client import Sender, sender
from tests.partner import INBOUND, PARTNER, send_misnamed

RESULT: Final = Path(__file__).with_name("results") / "poison.json"
STALL_SECONDS: Final = 2.0
"""What must not be exceeded on a quiet machine."""
_PATIENCE_SECONDS: Final = 120.0
"""When nothing at all has moved for so long, it will not any more."""
_AT_ONCE: Final = 500
_SPREAD: Final = 3
"""Partitions of a partner's topic."""

Said = dict[str, set[tuple[str, str | None]]]
"""Distinct answers, as (ce_id, code), by the event's id or by its place."""


@dataclass
class Found:
    """What came of a run: `wrong` are sentences, none when all is as it must be."""

    events: Counter[str]
    seconds: float
    stall_seconds: float
    answers_stall_seconds: float
    wrong: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """For the file of results."""
        count = self.events.total()
        return {
            "events": count,
            "poison": dict(sorted(self.events.items())),
            "seconds": round(self.seconds, 1),
            "events_per_second": round(count / self.seconds, 1),
            "longest_stall_seconds": round(self.stall_seconds, 3),
            "longest_stall_of_answers_seconds": round(self.answers_stall_seconds, 3),
            "wrong": self.wrong,
        }


async def run(place: Installation, name: str, count: int) -> Found:
    """Publish so many events and look what became of each."""
    told = list(events(name, count))
    kafka = place.servers.kafka
    prefix = place.environment["WISHGRID_TOPIC_PREFIX"]
    began = time.monotonic()
    async with (
        sender(place) as partner,
        reader(kafka, prefix + answers_topic(PARTNER)) as answering,
        reader(kafka, prefix + DEAD) as dead,
    ):
        publishing = asyncio.create_task(publish(partner, told))
        await _read_all(answering, len(told), publishing)
        places = await publishing
        seconds = time.monotonic() - began
        await answering.to_the_end()
        letters = await dead.to_the_end()
    wrong = list(_wrong_answers(told, places, _said(answering.records)))
    wrong += _wrong_letters(told, places, letters)
    good = {str(each.id) for each in told if each.code is None}
    with Stores(place) as stores:
        wrong += await stores.wrong(good)
        moments = sorted([*stores.decided(), *_refused(answering.records)])
    stamps = sorted(record.timestamp / 1000 for record in answering.records)  # type: ignore[attr-defined]  # aiokafka's
    return Found(tally(told), seconds, _longest(moments), _longest(stamps), wrong)


async def publish(partner: Sender, told: Sequence[Told]) -> list[str]:
    """The place of each, once all are acknowledged."""
    places: list[str] = []
    for begin in range(0, len(told), _AT_ONCE):
        places += await asyncio.gather(*(_send(partner, t) for t in told[begin : begin + _AT_ONCE]))
    return places


async def _send(partner: Sender, told: Told) -> str:
    try:
        headers = [(name.decode(), text) for name, text in told.headers]
    except UnicodeDecodeError:
        record = (told.key, told.value, told.headers)
        sent = await send_misnamed(partner.producer, partner.topic, [record], partition=0)
        return f"{INBOUND}:0:{sent.offset}"
    return await partner.send(told.value, headers, told.key)


async def _read_all(answering: Reader, count: int, publishing: "asyncio.Task[list[str]]") -> None:
    """Read answers until there are so many; each event has one at least."""
    moved = time.monotonic()
    said: set[tuple[str, str]] = set()
    while len(said) < count:
        before = len(answering.records)
        await answering.more()
        for record in answering.records[before:]:
            said.add(_identity(record))
        if len(answering.records) > before:
            moved = time.monotonic()
        elif time.monotonic() - moved > _PATIENCE_SECONDS:
            raise SystemExit(f"{len(said)} of {count} events are answered, and no more come")
        if publishing.done():
            publishing.result()


def _identity(record: Record) -> tuple[str, str]:
    body = orjson.loads(record.value or b"")
    return body.get("id") or body["place"], dict(record.headers)["ce_id"].decode()


def _said(records: Iterable[Record]) -> Said:
    said: Said = defaultdict(set)
    for record in records:
        name, ce_id = _identity(record)
        said[name].add((ce_id, orjson.loads(record.value or b"").get("code")))
    return said


def _wrong_answers(told: Sequence[Told], places: Sequence[str], said: Said) -> Iterator[str]:
    wanted: dict[str, Counter[str | None]] = defaultdict(Counter)
    for each, place in zip(told, places, strict=True):
        wanted[each.id or place][each.code] += 1
    for name, codes in wanted.items():
        answered = Counter(code for _, code in said.get(name, ()))
        if answered != codes:
            yield f"{name} was to be answered {dict(codes)}, and was {dict(answered)}"
    for name in said.keys() - wanted.keys():
        yield f"{name} was answered, and nobody had told it"


def _wrong_letters(
    told: Sequence[Told], places: Sequence[str], letters: Sequence[Record]
) -> Iterator[str]:
    wanted = {place for each, place in zip(told, places, strict=True) if each.buried}
    found = {(record.key or b"").decode() for record in letters}
    for place in wanted ^ found:
        yield f"{place} is {'no' if place in wanted else 'a'} dead letter"


def _refused(answers: Iterable[Record]) -> Iterator[float]:
    """When the gate refused what it answers itself."""
    for record in answers:
        headers = dict(record.headers)
        if orjson.loads(record.value or b"")["said"] == "refused":
            yield datetime.fromisoformat(headers["ce_time"].decode()).timestamp()


def _longest(moments: Sequence[float]) -> float:
    """Between two of them; events are waiting from the first to the last."""
    return max((b - a for a, b in pairwise(moments)), default=0.0)


class Stores:
    """What an installation's databases hold of the events."""

    def __init__(self, place: Installation) -> None:
        self._mongo: MongoClient[dict[str, Any]] = MongoClient(place.servers.mongo, tz_aware=True)
        self._prefix = place.environment["WISHGRID_DATABASE_PREFIX"]
        self._decided: list[float] = []

    def __enter__(self) -> "Stores":
        return self

    def __exit__(self, *_: object) -> None:
        self._mongo.close()

    def decided(self) -> list[float]:
        """When each was, once `wrong` has looked."""
        return self._decided

    async def wrong(self, good: set[str]) -> list[str]:
        """The good ones that are not applied exactly once, and what else is applied."""
        applied: Counter[str] = Counter()
        stories: set[str] = set()
        for each in self._mongo[f"{self._prefix}_intake"]["commits"].find():
            self._decided.append(each["recorded"].timestamp())
            stories.add(each["stream"].removeprefix("wish-"))
            applied.update(f["request"]["id"] for f in each["facts"] if f.get("request"))
        wrong = [f"{id_} is applied {applied[id_]} times" for id_ in good if applied[id_] != 1]
        wrong += [f"{id_} is applied" for id_ in applied.keys() - good]
        return wrong + [
            f"{story} is not in the read model" for story in await self._unread(stories)
        ]

    async def _unread(self, stories: set[str]) -> set[str]:
        """Stories that the read model lacks though it no longer moves."""
        (views,) = self._mongo[f"{self._prefix}_views"]["alias"].find()
        model = self._mongo[f"{self._prefix}_views_{views['generation']}"]["stories"]
        lacks, moved = len(stories), time.monotonic()
        while left := stories - set(model.distinct("_id", {"v.wish": {"$gte": 1}})):
            if len(left) < lacks:
                lacks, moved = len(left), time.monotonic()
            elif time.monotonic() - moved > _PATIENCE_SECONDS:
                return left
            await asyncio.sleep(0.5)
        return set()


def main(argv: Sequence[str]) -> int:
    """Servers and an installation of its own; 1 when something is not as it must be."""
    says = argparse.ArgumentParser(prog="python -m tests.chaos poison", description=__doc__)
    says.add_argument("--events", type=int, default=100_000, help="inbound, 1 %% of them bad")
    says.add_argument("--output", type=Path, default=RESULT, help="where the figures go")
    says.add_argument("--folder", type=Path, help="keep logs here (default: temporary)")
    options = says.parse_args(argv)
    before = load()
    with (
        tempfile.TemporaryDirectory(prefix="wishgrid-poison-") as folder,
        servers() as running,
        installation(running, options.folder or Path(folder), name="poison") as place,
    ):
        found = asyncio.run(run(place, "poison", options.events))
    figures = {
        **found.document(),
        "machine": machine(),
        "load_before": before,
        "load_after": load(),
        "commit": commit(),
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(found.document(), indent=2, ensure_ascii=False))
    if found.stall_seconds > STALL_SECONDS:
        print(f"the gate stood still for {found.stall_seconds:.1f} s", file=sys.stderr)
    return int(bool(found.wrong) or found.stall_seconds > STALL_SECONDS)
