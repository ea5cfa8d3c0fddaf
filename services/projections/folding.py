"""What one poll changes, worked out in memory: facts in, documents out. No I/O.

Per stream a fact is dropped when its version was seen, applied when it is the next, and else
kept: the story is stuck there until the missing one arrives. A fact that cannot be folded, or
after which a view raises, is kept in the same way, and so are all that follow it. A view that is
being filled stops nobody: the story is only told as lacking it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.projections.stories import FOLDS, Story, new_story
from services.projections.stories.reckoning import Reckoning
from services.projections.views import Tally, View
from services.projections.views.sheets import Differences, add_difference, written
from shared.contracts.base import FactId, ProfileVersion, TownId
from shared.contracts.recorded import Recorded, kind_of
from shared.contracts.registry import UnknownFact

Document = dict[str, Any]

VIEWS: Final = "views"
"""The name under which a story is stuck because a view or tally raises over it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What facts become: the views and tallies, and the profiles that facts name. Nobody reads
    those in `filling` yet."""

    views: Sequence[View]
    tallies: Sequence[Tally]
    profile: Callable[[TownId, ProfileVersion], Reckoning]
    filling: frozenset[str] = frozenset()


@dataclass(slots=True)
class Changes:
    """What is to be written. A row of None is to go; `counts` are differences, by tally;
    `parked` are kept, `drained` let go; `touched` stories have had what they were touched for.
    `stood` are stories that stood well before, and why they are stuck now, if they are."""

    stories: dict[str, Story] = field(default_factory=dict)
    timeline: list[Document] = field(default_factory=list)
    rows: dict[str, dict[str, Document | None]] = field(default_factory=lambda: defaultdict(dict))
    counts: dict[str, Differences] = field(default_factory=lambda: defaultdict(dict))
    parked: list[Recorded] = field(default_factory=list)
    drained: list[FactId] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    stood: dict[str, str | None] = field(default_factory=dict, compare=False)


def stands_still(story: Mapping[str, Any]) -> bool:
    """Whether facts of it wait. A story that only lacks views which are being filled goes on."""
    stuck = set(story.get("stuck", ()))
    return bool(stuck - {VIEWS} if story.get("lacks") else stuck)


def fold_poll(
    facts: Mapping[int, Iterable[Recorded]],
    stories: Mapping[str, Story],
    waiting: Mapping[str, Sequence[Recorded]],
    recipe: Recipe,
    touched: Collection[str] = (),
) -> Changes:
    """Fold `facts`, by partition in the order they came, over the `stories` as stored; `waiting`
    are the facts parked before, by story. `touched` stories are folded though nothing came."""
    changes = Changes(touched=list(touched))
    quiet = {name: stories[name] for name in touched if name in stories}
    for partition, came in facts.items():
        arrived: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in came:
            arrived[recorded.story].append(recorded)
        for name, new in arrived.items():
            before = stories.get(name) or new_story(name, new[0].town, partition)
            _fold_story(before, new, waiting.get(name, ()), recipe, changes)
            quiet.pop(name, None)
    for name, story in quiet.items():
        _fold_story(story, (), waiting.get(name, ()), recipe, changes)
    return changes


def _fold_story(
    before: Story,
    new: Sequence[Recorded],
    waiting: Sequence[Recorded],
    recipe: Recipe,
    changes: Changes,
) -> None:
    """Add to `changes` what the new and the waiting facts of one story do to it."""
    old = {recorded.id: recorded for recorded in waiting}
    facts = {**old, **{recorded.id: recorded for recorded in new}}
    own = Changes()
    try:
        story, left = _fold_streams(before, facts.values(), recipe, own)
        story = _write_views(story, recipe, own)
    except Exception as bug:  # views are pure: one would raise for ever
        own, left = Changes(), list(facts.values())
        story = {**before, "stuck": {VIEWS: f"{type(bug).__name__}: {bug}"}}
        story.pop("lacks", None)
    changes.parked += [recorded for recorded in left if recorded.id not in old]
    changes.drained += old.keys() - {recorded.id for recorded in left}
    _add(changes, own)
    if not stands_still(before):
        why = "; ".join(story.get("stuck", {}).values())
        changes.stood[before["_id"]] = why if stands_still(story) else None
    if story != before:
        changes.stories[story["_id"]] = story


def _add(changes: Changes, own: Changes) -> None:
    """Add what one story writes beside itself."""
    changes.timeline += own.timeline
    changes.ignored |= own.ignored
    for view, rows in own.rows.items():
        changes.rows[view].update(rows)
    for tally, sheets in own.counts.items():
        for sheet, cells in sheets.items():
            changes.counts[tally].setdefault(sheet, Counter()).update(cells)


def _fold_streams(
    story: Story, facts: Iterable[Recorded], recipe: Recipe, changes: Changes
) -> tuple[Story, list[Recorded]]:
    """The story after the facts, and those that must wait."""
    by_kind: dict[str, list[Recorded]] = defaultdict(list)
    for recorded in sorted(facts, key=lambda r: r.version):
        by_kind[kind_of(recorded.stream)].append(recorded)
    after: Story = {**story, "v": {**story["v"]}, "parts": {**story["parts"]}}
    after.pop("lacks", None)
    stuck = dict(after.pop("stuck", {}))
    stuck.pop(VIEWS, None)
    left: list[Recorded] = []
    for kind, stream in by_kind.items():
        stuck.pop(kind, None)
        rest, reason = _fold_stream(after, stream, recipe, changes)
        left += rest
        if reason:
            stuck[kind] = reason
    if stuck:
        after["stuck"] = stuck
    return after, left


def _fold_stream(
    story: Story, stream: Sequence[Recorded], recipe: Recipe, changes: Changes
) -> tuple[Sequence[Recorded], str]:
    """Fold what can be folded of one stream into `story`; the facts left over, and why."""
    kind = kind_of(stream[0].stream)
    fold = FOLDS.get(kind)
    for n, recorded in enumerate(stream):
        seen = story["v"].get(kind, 0)
        if recorded.version <= seen:
            continue
        if recorded.version > seen + 1:
            return stream[n:], f"version {seen + 1} is missing"
        if fold is None or isinstance(recorded.fact, UnknownFact):
            changes.ignored.add(recorded.fact.type)
        else:
            try:
                profile = recipe.profile(recorded.town, recorded.profile)
                story["parts"][kind] = fold(story["parts"].get(kind, {}), recorded, profile)
            except Exception as bug:  # folds are pure: it would raise for ever
                reason = f"{recorded.fact.type} at {recorded.version}: {type(bug).__name__}: {bug}"
                return stream[n:], reason
        story["v"][kind] = recorded.version
        changes.timeline.append(timeline_entry(recorded))
    return (), ""


def _write_views(story: Story, recipe: Recipe, changes: Changes) -> Story:
    """The rows and counts that differ from what was last written; the story remembers them, and
    which of those that are being filled it lacks because they raise."""
    after: Story = {**story, "wrote": dict(story["wrote"])}
    every: list[View | Tally] = [*recipe.views, *recipe.tallies]
    for view in every:
        try:
            _write_view(after, view, changes)
        except Exception as bug:  # views are pure: it would raise for ever
            if view.name not in recipe.filling:
                raise
            after["lacks"] = [*after.get("lacks", ()), view.name]
            after["stuck"] = {**after.get("stuck", {}), VIEWS: f"{type(bug).__name__}: {bug}"}
    return after


def _write_view(story: Story, view: View | Tally, changes: Changes) -> None:
    wrote = story["wrote"]
    before = wrote.get(view.name)
    if isinstance(view, View):
        now = view.row(story)
        if now != before:
            changes.rows[view.name][story["_id"]] = now
    else:
        now = written(view.count(story))
        if now != before:
            add_difference(changes.counts[view.name], story, before, now)
    if now != before:
        _remember(wrote, view.name, now)


def _remember(wrote: dict[str, Document], name: str, document: Document | None) -> None:
    if document is None:
        del wrote[name]
    else:
        wrote[name] = document


def timeline_entry(recorded: Recorded) -> Document:
    """One fact as the timeline keeps it; texts stay sealed."""
    fact = recorded.fact.model_dump(exclude_none=True)
    entry: Document = {
        "_id": recorded.id,
        "story": recorded.story,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": fact.pop("type"),
        "by": fact.pop("by"),
        "occurred": recorded.occurred,
        "recorded": recorded.recorded,
        "correlation": recorded.correlation,
    }
    if recorded.causation is not None:
        entry["causation"] = recorded.causation
    return {**entry, "fact": fact}
