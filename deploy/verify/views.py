"""The read model, document by document, beside one folded from the stores in memory."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from deploy.verify.stores import Told
from deploy.verify.topic import Topic
from services.projections.build import Build
from services.projections.folding import Changes, fold_poll
from services.projections.views.registry import recipe
from services.projections.views.sheets import Differences, sheet_after
from shared.mongo import Client, Database, Document, database
from shared.town import Towns

_NAMED: Final = 3
"""So many differing fields of a document are named."""


async def open_read_model(
    mongo: Client, prefix: str, topic: Topic, towns: Towns
) -> tuple["ReadModel | None", list[str]]:
    """The read model that is being read, if it can be compared, and what speaks against it."""
    views = database(mongo, f"{prefix}_views")
    alias = await views["alias"].find_one({"_id": "reading"})
    if alias is None:
        return None, ["there is no read model: its documents were not compared"]
    name = str(alias["generation"])
    written = await views["generations"].find_one({"_id": name}) or {}
    build = Build.of(towns)
    generation = database(mongo, f"{prefix}_views_{name}")
    why = build.misfit(written) or _unfilled(build, written)
    if why:
        return None, [f"read model {name} {why}: its documents were not compared"]
    behind = await _behind(generation, topic)
    if behind:
        return None, [
            f"the projector is behind by {behind} records: its documents were not compared"
        ]
    parked = generation["parked"].find({}, {"reason": 1, "story": 1})
    waiting = [
        f"{each['_id']} is parked: {each.get('reason', 'it waits for what its story lacks')}"
        async for each in parked
    ]
    return ReadModel(generation, topic, towns), waiting


class ReadModel:
    """One generation, compared with what the same facts fold into here."""

    def __init__(self, generation: Database, topic: Topic, towns: Towns) -> None:
        self._generation = generation
        self._topic = topic
        self._towns = towns
        self._recipe = recipe(towns)
        self._known: set[str] = set()
        self._counts: dict[str, Differences] = {tally.name: {} for tally in self._recipe.tallies}
        self._lacking: set[str] = set()

    async def compare(self, stories: Sequence[Told]) -> list[str]:
        """What of these stories, their lines and their timeline is not as they fold."""
        self._known |= {told.story for told in stories}
        changes = self._folded(stories)
        self._count(changes)
        expected: dict[str, Mapping[str, Any]] = {
            "stories": changes.stories,
            "timeline": {entry["_id"]: entry for entry in changes.timeline},
            **{view.name: changes.rows.get(view.name, {}) for view in self._recipe.views},
        }
        found = self._unknown_profiles(stories)
        for collection, documents in expected.items():
            key = "story" if collection == "timeline" else "_id"
            query = {key: {"$in": [told.story for told in stories]}}
            stored = {d["_id"]: d async for d in self._generation[collection].find(query)}
            found += _differences(collection, documents, stored)
        return found

    async def left_over(self) -> list[str]:
        """What is there of no story of the stores, and what numbers differ."""
        found = [
            f"{collection} {name} is of a story that is in no store"
            for collection in ("stories", "timeline", *(v.name for v in self._recipe.views))
            async for name in self._strays(collection)
        ]
        for tally, sheets in self._counts.items():
            after = ((sheet.name, sheet_after(sheet, None, c)) for sheet, c in sheets.items())
            expected = {name: document for name, document in after if document is not None}
            stored = {d["_id"]: d async for d in self._generation[tally].find()}
            found += _differences(tally, expected, stored)
        return found

    def _folded(self, stories: Iterable[Told]) -> Changes:
        by_partition: dict[int, list[Any]] = {}
        for told in stories:
            partition = self._topic.partitions.get(told.story, 0)
            by_partition.setdefault(partition, []).extend(told.facts)
        return fold_poll(by_partition, {}, {}, self._recipe)

    def _count(self, changes: Changes) -> None:
        for tally, differences in changes.counts.items():
            for sheet, cells in differences.items():
                self._counts[tally].setdefault(sheet, Counter()).update(cells)

    def _unknown_profiles(self, stories: Iterable[Told]) -> list[str]:
        named = {(r.town, r.profile) for told in stories for r in told.facts}
        lacks = {lack for town, profile in named if (lack := self._towns.lack(town, profile))}
        new = lacks - self._lacking
        self._lacking |= new
        return sorted(new)

    async def _strays(self, collection: str) -> AsyncIterator[str]:
        key = "story" if collection == "timeline" else "_id"
        async for document in self._generation[collection].find({}, {key: 1}):
            if document[key] not in self._known:
                yield document["_id"]


def _unfilled(build: Build, written: Document) -> str | None:
    """What of this build's views is not in it, wholly or in part."""
    lacks = [*build.lacking(written), *written["filling"]]
    return f"has not been filled with {', '.join(lacks)} yet" if lacks else None


async def _behind(generation: Database, topic: Topic) -> int:
    """How many records of the topic the read model has not read."""
    read = {d["_id"]: d["next"] async for d in generation["offsets"].find()}
    return sum(
        max(end - read.get(f"{topic.name}:{partition}", 0), 0)
        for partition, end in topic.ends.items()
    )


def _differences(
    collection: str, expected: Mapping[str, Any], stored: Mapping[str, Document]
) -> Iterator[str]:
    for name, document in expected.items():
        if name not in stored:
            yield f"{collection} {name} is missing in the read model"
        elif document != stored[name]:
            paths = list(_paths(document, stored[name]))
            more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            yield (
                f"{collection} {name} is not what the facts fold into: "
                f"{', '.join(paths[:_NAMED])}{more}"
            )
    for name in stored.keys() - expected.keys():
        yield f"{collection} {name} is in the read model and follows from no fact"


def _paths(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two values differ; without what stands there, for it may be of a person."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name) or (name in one) != (name in other):
                inner = f"{path}.{name}" if path else str(name)
                yield from _paths(one.get(name), other.get(name), inner)
    else:
        yield path
