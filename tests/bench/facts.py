"""A town's history as facts, for benches: stories of twelve facts that overlap in time.

Every story goes the straight way: submitted, opened, accepted, dispatched, reported, progress,
resolved, noted, invited, rated, closed, noted. Hundreds of them are under way at once, as in a
town: what Kafka holds side by side belongs to many stories.
"""

import heapq
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Final

from shared.contracts.base import (
    ActorId,
    Code,
    CommandId,
    ResidentId,
    StoryId,
    SubjectId,
    TargetId,
    UnitId,
)
from shared.contracts.dispatch import (
    CaseAccepted,
    CaseClosed,
    CaseDispatched,
    CaseOpened,
    CaseResolved,
    ProgressReported,
    UnitReported,
)
from shared.contracts.intake import CaseStandNoted, RatingInvited, WishRated, WishSubmitted
from shared.contracts.recorded import Recorded, fact_id, stream_id
from shared.contracts.registry import AnyFact
from shared.sealing import Sealer
from shared.town import Town, load_towns

TOWNS: Final = Path(__file__).parents[2] / "deploy" / "towns"
AT_ONCE: Final = 600
"""Stories under way at any time."""
FACTS_PER_STORY: Final = 12
_DAWN: Final = datetime(2026, 3, 2, tzinfo=UTC)
_BETWEEN_STORIES: Final = timedelta(minutes=7)
_POLICY, _DESK = ActorId("policy:bench"), ActorId("community:desk")
_TARGET: Final = TargetId("assignment-1")
_WORDS: Final = "3号楼一单元下水道堵了，污水流到路上，已经三天，请尽快派人来看一看。"


def town() -> Town:
    """The town they happen in: the first there is."""
    return next(iter(load_towns(TOWNS).values()))


def history(facts: int) -> Iterator[Recorded]:
    """So many facts, in the order they were recorded."""
    here = town()
    stories = (_story(here, n) for n in count())
    # Each story begins after the one before: as many as can overlap are merged at a time.
    return islice(_merged(stories), facts)


def _merged(stories: Iterator[list[Recorded]]) -> Iterator[Recorded]:
    waiting: list[tuple[datetime, str, Recorded]] = []
    for story in stories:
        while waiting and waiting[0][0] < story[0].recorded:
            yield heapq.heappop(waiting)[2]
        for fact in story:
            heapq.heappush(waiting, (fact.recorded, fact.id, fact))


def _story(here: Town, n: int) -> list[Recorded]:
    name = StoryId(str(uuid.uuid5(uuid.NAMESPACE_OID, f"bench {n}")))
    start = _DAWN + n * _BETWEEN_STORIES
    step = AT_ONCE * _BETWEEN_STORIES / FACTS_PER_STORY
    versions = {"wish": 0, "case": 0}
    told = []
    for turn, (kind, fact) in enumerate(_facts(here, name, n, start)):
        versions[kind] += 1
        stream, at = stream_id(kind, name), start + turn * step
        told.append(
            Recorded(
                fact=fact,
                stream=stream,
                version=versions[kind],
                town=here.id,
                profile=here.profiles[0].version,
                occurred=at,
                recorded=at,
                command_id=CommandId(str(uuid.uuid5(uuid.NAMESPACE_OID, f"{n} {turn}"))),
                correlation=f"{n:032x}",
                causation=fact_id(stream, versions[kind] - 1) if versions[kind] > 1 else None,
            )
        )
    return told


def _facts(here: Town, story: StoryId, n: int, start: datetime) -> list[tuple[str, AnyFact]]:
    """The kind of stream and the fact, in order."""
    profile = here.profiles[0]
    rated = sorted(code for code, kind in profile.kinds.items() if kind.rating_asked)
    kind = rated[n % len(rated)]
    categories, channels = sorted(profile.kinds[kind].categories), sorted(profile.channels)
    leaves = [area.id for area in profile.areas if area.id.count("/") == 2]
    area, category = leaves[n % len(leaves)], Code(categories[n % len(categories)])
    unit = UnitId(sorted(here.units)[n % len(here.units)])
    resident = ResidentId(f"{n % 5000:032x}")
    sealer = Sealer(SubjectId(resident), n.to_bytes(32, "big"))
    by, crew = ActorId(f"resident:{resident}"), ActorId(f"unit:{unit}")
    return [
        (
            "wish",
            WishSubmitted(
                by=by,
                submitted_by=by,
                resident=resident,
                kind=Code(kind),
                category=category,
                area=area,
                channel=Code(channels[n % len(channels)]),
                title=sealer.seal(story, "title", _WORDS[:12]),
                words=sealer.seal(story, "words", _WORDS),
                address=sealer.seal(story, "address", "3号楼2单元"),
            ),
        ),
        (
            "case",
            CaseOpened(
                by=_POLICY,
                wish_version=1,
                kind=Code(kind),
                category=category,
                area=area,
                resident=resident,
            ),
        ),
        ("case", CaseAccepted(by=_DESK, due=start + timedelta(days=30))),
        ("case", CaseDispatched(by=_DESK, unit=unit, role="lead", assignment=_TARGET)),
        ("case", UnitReported(by=crew, unit=unit, to=_TARGET)),
        (
            "case",
            ProgressReported(
                by=crew, unit=unit, to=_TARGET, note=sealer.seal(story, "note", "车已在路上")
            ),
        ),
        (
            "case",
            CaseResolved(
                by=crew,
                unit=unit,
                to=_TARGET,
                outcome=Code("resolved"),
                note=sealer.seal(story, "note", "已疏通，现场已清理。"),
                rating_asked=True,
            ),
        ),
        ("wish", CaseStandNoted(by=_POLICY, case_version=6, rateable=True, closed=False)),
        ("wish", RatingInvited(by=_POLICY, case_version=6)),
        ("wish", WishRated(by=by, case_version=6, resolved=True, satisfaction=1 + n % 5)),
        ("case", CaseClosed(by=_POLICY, reason=Code("rated"), wish_version=4)),
        ("wish", CaseStandNoted(by=_POLICY, case_version=7, rateable=False, closed=True)),
    ]
