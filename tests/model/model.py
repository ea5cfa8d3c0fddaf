"""What must be true, whatever happened: streams, a log and its readers, and nothing else.

A stream is what was acknowledged, in order. The log is a set of facts, each known by its stream
and version. A reader is a fold. Kafka, MongoDB, leases and retries do not occur here.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.projections.folding import Recipe, fold_poll
from services.projections.views.sheets import sheet_after
from shared.contracts.base import CommandId, FactId, StoryId, StreamId
from shared.contracts.recorded import Recorded, kind_of
from shared.handling import command_id
from shared.store import Commit

Document = dict[str, Any]
Collections = dict[str, dict[str, Document]]


@dataclass
class Model:
    """What clients were told, and what has been seen to be recorded and published."""

    decided: dict[CommandId, FactId] = field(default_factory=dict)
    refused: set[CommandId] = field(default_factory=set)
    """Refused, or already so: nothing is recorded under it."""
    streams: dict[StreamId, list[Recorded]] = field(default_factory=lambda: defaultdict(list))
    log: dict[FactId, Recorded] = field(default_factory=dict)

    def sees_stores(self, commits: Iterable[Commit]) -> None:
        """All that was acknowledged is recorded once, and what was recorded once stays."""
        streams: dict[StreamId, list[Recorded]] = defaultdict(list)
        by_command: dict[CommandId, Commit] = {}
        for commit in sorted(commits, key=lambda c: c.first):
            name, stream = commit.cause.command_id, streams[commit.stream]
            assert name not in by_command, f"{name} decided twice: {commit.position}"
            assert commit.first == len(stream) + 1, f"{commit.stream} has a gap at {commit.first}"
            by_command[name] = commit
            stream += commit.recorded_facts()
            _check_reaction(commit)
        for known, before in self.streams.items():
            assert streams[known][: len(before)] == before, f"{known} was changed"
        for asked, position in self.decided.items():
            assert asked in by_command, f"acknowledged, and lost: {position}"
            assert by_command[asked].position == position, f"another answer: {position}"
        assert not self.refused & by_command.keys(), "recorded, and was refused"
        self.streams = streams

    def sees_log(self, published: Iterable[Recorded], *, in_order: bool) -> None:
        """What is published is recorded, just so. `in_order`: no version before the one before."""
        recorded = {each.id: each for stream in self.streams.values() for each in stream}
        log: dict[FactId, Recorded] = {}
        versions: dict[StreamId, int] = defaultdict(int)
        for each in published:
            assert recorded.get(each.id) == each, f"published, and not recorded: {each.id}"
            if each.id not in log:
                versions[each.stream] += 1
                ahead = in_order and each.version != versions[each.stream]
                assert not ahead, f"published before its time: {each.id}"
            log[each.id] = each
        assert self.log.keys() <= log.keys(), "something was taken out of the log"
        self.log = log

    def unpublished(self) -> set[FactId]:
        """What is recorded and not in the log; nothing, once all is at rest."""
        return {each.id for stream in self.streams.values() for each in stream} - self.log.keys()

    def sees_read_model(
        self, there: Collections, recipe: Recipe, partition_of: Callable[[StoryId], int]
    ) -> None:
        """It is the fold of what it has seen of each stream, no more and no less."""
        facts: list[Recorded] = []
        for name, story in there["stories"].items():
            story.pop("stuck", None)
            for kind, version in story["v"].items():
                stream = self.streams[StreamId(f"{kind}-{name}")]
                assert version <= len(stream), f"folded, and not recorded: {kind} {version}"
                facts += stream[:version]
        clean = folded(facts, recipe, partition_of)
        for collection in clean.keys() | there.keys():
            here, expected = there.get(collection, {}), clean.get(collection, {})
            # A story whose facts all wait is there, and nothing of it is folded.
            here = {n: d for n, d in here.items() if n in expected or d.get("v") != {}}
            assert here == expected, f"{collection} is not the fold of what it has seen"

    def lacking(self, there: Collections) -> list[FactId]:
        """The last fact of each stream that a read model has not seen."""
        lacking = []
        for name, stream in self.streams.items():
            story = there["stories"].get(stream[-1].story, {"v": {}})
            if story["v"].get(kind_of(name), 0) < len(stream):
                lacking.append(stream[-1].id)
        return lacking


def folded(
    facts: Sequence[Recorded], recipe: Recipe, partition_of: Callable[[StoryId], int]
) -> Collections:
    """A read model made at once, of nothing but these facts."""
    by_partition: dict[int, list[Recorded]] = defaultdict(list)
    for each in facts:
        by_partition[partition_of(each.story)].append(each)
    changes = fold_poll(by_partition, {}, {}, recipe)
    made: Collections = defaultdict(dict)
    made["stories"] = {name: dict(story) for name, story in changes.stories.items()}
    made["timeline"] = {entry["_id"]: entry for entry in changes.timeline}
    for view, rows in changes.rows.items():
        made[view] = {name: row for name, row in rows.items() if row is not None}
    for tally, sheets in changes.counts.items():
        for sheet, cells in sheets.items():
            if (document := sheet_after(sheet, None, cells)) is not None:
                made[tally][sheet.name] = document
    return made


def _check_reaction(commit: Commit) -> None:
    """What a policy did is known by the fact, the policy and the stream."""
    by = commit.facts[0].by
    if by.startswith("policy:") and commit.cause.causation is not None:
        derived = command_id(commit.cause.causation, by.removeprefix("policy:"), commit.stream)
        assert commit.cause.command_id == derived, f"{commit.position} is under another id"
