"""Is group commit worth it? Appends per second, against one `insert_one` per command.

Both store the same commits, encoded the same way, at the same durability (w: majority, j: true),
through the same client, with the same indexes, in turn in one run. Run by `make bench`.
"""

import asyncio
import itertools
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import uvloop

from deploy.local.servers import servers
from shared.contracts.base import (
    ActorId,
    AreaId,
    Code,
    CommandId,
    ProfileVersion,
    ResidentId,
    StoryId,
    SubjectId,
    TownId,
)
from shared.contracts.intake import WishSubmitted
from shared.contracts.recorded import stream_id
from shared.kafka_access import KafkaAccess
from shared.mongo import connect, database
from shared.mongo_store import MongoStore, encode
from shared.sealing import Sealer, new_key
from shared.store import Cause, Commit, History

CALLERS = 64
ROUNDS = 5
SECONDS = 3.0

_NUMBERS = itertools.count()

Append = Callable[[Commit], Awaitable[None]]


def a_fact() -> WishSubmitted:
    """A wish as intake records it, texts sealed."""
    sealer, story = Sealer(SubjectId("bench"), new_key()), StoryId("bench")
    return WishSubmitted(
        by=ActorId("resident:bench"),
        submitted_by=ActorId("resident:bench"),
        resident=ResidentId(sealer.subject),
        kind=Code("appeal"),
        category=Code("sanitation"),
        area=AreaId("town/west/g4"),
        channel=Code("wechat"),
        title=sealer.seal(story, "title", "下水道堵了"),
        words=sealer.seal(story, "words", "下水道堵了，污水流到路上，已经三天。"),
    )


def a_commit(fact: WishSubmitted) -> Commit:
    """The first commit of a new story."""
    now, number = datetime.now(UTC), f"{next(_NUMBERS):036d}"
    return History(stream_id("wish", StoryId(number))).next(
        [fact],
        cause=Cause(CommandId(number), number),
        town=TownId("town"),
        profile=ProfileVersion("1.00000000"),
        occurred=now,
        recorded=now,
    )


async def rate(append: Append, fact: WishSubmitted) -> float:
    """Appends per second with 64 callers, each waiting for its own."""
    stored = 0
    end = time.perf_counter() + SECONDS

    async def caller() -> None:
        nonlocal stored
        while time.perf_counter() < end:
            await append(a_commit(fact))
            stored += 1

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return stored / (time.perf_counter() - start)


async def measure(mongo: str) -> None:
    """Print both rates of every round, their medians and the ratio of each pair."""
    client = connect(mongo)
    fact = a_fact()
    grouped, single = (MongoStore(database(client, f"bench_{n}")) for n in ("grouped", "single"))
    for store in (grouped, single):
        await store.prepare()

    async def insert_one(commit: Commit) -> None:
        await single.commits.insert_one(encode(commit))

    ratios, rates = [], []
    for n in range(ROUNDS):
        with_group, without = await rate(grouped.append, fact), await rate(insert_one, fact)
        ratios.append(with_group / without)
        rates.append((with_group, without))
        print(f"round {n + 1}: {with_group:8.0f} /s grouped, {without:8.0f} /s one by one")
    size = grouped.group.inserted / grouped.group.flushed
    print(f"callers {CALLERS}, commits per flush {size:.1f}, cores {os.cpu_count()}")
    print(f"median {statistics.median(r[0] for r in rates):.0f} /s grouped, ", end="")
    print(f"{statistics.median(r[1] for r in rates):.0f} /s one by one")
    ordered = sorted(ratios)
    print(f"ratio {statistics.median(ratios):.1f} (from {ordered[0]:.1f} to {ordered[-1]:.1f})")
    client.close()


def main() -> int:
    """Start a mongod (or use WISHGRID_MONGO), measure, end it."""
    given = os.environ.get("WISHGRID_MONGO")
    with servers(kafka=KafkaAccess("none"), mongo=given) as running:
        uvloop.run(measure(running.mongo))
    return 0


if __name__ == "__main__":
    sys.exit(main())
