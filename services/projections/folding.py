"""What one poll changes, worked out in memory: facts in, documents out. No I/O.

Per stream a fact is dropped when its version was seen, applied when it is the next, and else
kept: the story is stuck there until the missing one arrives. A fact that cannot be folded, or
after which a view raises, is kept in the same way, and so are all that follow it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.projections.stories import FOLDS, Story, new_story
from services.projections.views import View
from shared.contracts.base import FactId
from shared.contracts.recorded import Recorded, kind_of
from shared.contracts.registry import UnknownFact

Document = dict[str, Any]

VIEWS: Final = "views"
"""The name under which a story is stuck because a view raises over it."""


@dataclass(slots=True)
class Changes:
    """What is to be written. A row of None is to go; `parked` are kept, `drained` let go."""

    stories: dict[str, Story] = field(default_factory=dict)
    timeline: list[Document] = field(default_factory=list)
    rows: dict[str, dict[str, Document | None]] = field(default_factory=lambda: defaultdict(dict))
    parked: list[Recorded] = field(default_factory=list)
    drained: list[FactId] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)


def fold_poll(
    facts: Iterable[Recorded],
    stories: Mapping[str, Story],
    waiting: Mapping[str, Sequence[Recorded]],
    views: Sequence[View],
) -> Changes:
    """Fold `facts`, in the order they came, over the `stories` as stored; `waiting` are the facts
    parked before, by story."""
    changes = Changes()
    arrived: dict[str, list[Recorded]] = defaultdict(list)
    for recorded in facts:
        arrived[recorded.story].append(recorded)
    for name, new in arrived.items():
        before = stories.get(name) or new_story(name, new[0].town)
        _fold_story(before, new, waiting.get(name, ()), views, changes)
    return changes


def _fold_story(
    before: Story,
    new: Sequence[Recorded],
    waiting: Sequence[Recorded],
    views: Sequence[View],
    changes: Changes,
) -> None:
    """Add to `changes` what the new and the waiting facts of one story do to it."""
    old = {recorded.id: recorded for recorded in waiting}
    facts = {**old, **{recorded.id: recorded for recorded in new}}
    own = Changes()
    try:
        story, left = _fold_streams(before, facts.values(), own)
        story = _write_rows(story, views, own)
    except Exception as bug:  # views are pure: one would raise for ever
        own, left = Changes(), list(facts.values())
        story = {**before, "stuck": {VIEWS: f"{type(bug).__name__}: {bug}"}}
    changes.parked += [recorded for recorded in left if recorded.id not in old]
    changes.drained += old.keys() - {recorded.id for recorded in left}
    changes.timeline += own.timeline
    changes.ignored |= own.ignored
    for view, rows in own.rows.items():
        changes.rows[view].update(rows)
    if story != before:
        changes.stories[story["_id"]] = story


def _fold_streams(
    story: Story, facts: Iterable[Recorded], changes: Changes
) -> tuple[Story, list[Recorded]]:
    """The story after the facts, and those that must wait."""
    by_kind: dict[str, list[Recorded]] = defaultdict(list)
    for recorded in sorted(facts, key=lambda r: r.version):
        by_kind[kind_of(recorded.stream)].append(recorded)
    after: Story = {**story, "v": {**story["v"]}, "parts": {**story["parts"]}}
    stuck = dict(after.pop("stuck", {}))
    stuck.pop(VIEWS, None)
    left: list[Recorded] = []
    for kind, stream in by_kind.items():
        stuck.pop(kind, None)
        rest, reason = _fold_stream(after, kind, stream, changes)
        left += rest
        if reason:
            stuck[kind] = reason
    if stuck:
        after["stuck"] = stuck
    return after, left


def _fold_stream(
    story: Story, kind: str, facts: Sequence[Recorded], changes: Changes
) -> tuple[Sequence[Recorded], str]:
    """Fold what can be folded into `story`; the facts left over, and why."""
    fold = FOLDS.get(kind)
    for n, recorded in enumerate(facts):
        seen = story["v"].get(kind, 0)
        if recorded.version <= seen:
            continue
        if recorded.version > seen + 1:
            return facts[n:], f"version {seen + 1} is missing"
        if fold is None or isinstance(recorded.fact, UnknownFact):
            changes.ignored.add(recorded.fact.type)
        else:
            try:
                story["parts"][kind] = fold(story["parts"].get(kind, {}), recorded)
            except Exception as bug:  # folds are pure: it would raise for ever
                reason = f"{recorded.fact.type} at {recorded.version}: {type(bug).__name__}: {bug}"
                return facts[n:], reason
        story["v"][kind] = recorded.version
        changes.timeline.append(timeline_entry(recorded))
    return (), ""


def _write_rows(story: Story, views: Sequence[View], changes: Changes) -> Story:
    """The rows that differ from what the views last wrote; the story remembers the new ones."""
    wrote = dict(story["wrote"])
    for view in views:
        row = view.row(story)
        if row == wrote.get(view.name):
            continue
        changes.rows[view.name][story["_id"]] = row
        if row is None:
            del wrote[view.name]
        else:
            wrote[view.name] = row
    return {**story, "wrote": wrote}


def timeline_entry(recorded: Recorded) -> Document:
    """One fact as the timeline keeps it; texts stay sealed."""
    fact = recorded.fact.model_dump(exclude_none=True)
    entry = {
        "_id": recorded.id,
        "story": recorded.story,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": fact.pop("type"),
        "by": fact.pop("by"),
        "occurred": recorded.occurred,
        "recorded": recorded.recorded,
        "correlation": recorded.correlation,
        "causation": recorded.causation,
        "fact": fact,
    }
    return {name: value for name, value in entry.items() if value is not None}
