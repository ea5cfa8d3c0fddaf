"""Stories that are folded again though no record of theirs came: somebody touched them.

`touched` holds `{_id: story, partition}`, put there by anybody: because a view is new, or because
what stood in a story's way was mended. What waits in the story is folded too, also what did not
read when it came and does now.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from services.projections.folding import Changes, Recipe, fold_poll
from services.projections.readmodel import ReadModel
from shared.contracts.base import FactId
from shared.contracts.recorded import Recorded, Unreadable, from_wire
from shared.mongo import Database, Document

MOST_TOUCHED: Final = 1000
"""Folded in one transaction."""
STUCK: Final[Document] = {"stuck.views": {"$exists": True}}
"""Stories over which a view or tally raised."""


async def stuck_alone(database: Database, story: str | None = None) -> list[Document]:
    """Stories over which a view raises though nothing of theirs is parked: they were touched."""
    wanted = STUCK if story is None else {**STUCK, "_id": story}
    found = database["stories"].find(wanted, {"stuck": 1, "partition": 1}).sort("_id", 1)
    stuck = {document["_id"]: document async for document in found}
    parked = await database["parked"].distinct("story", {"story": {"$in": list(stuck)}})
    return [stuck[name] for name in stuck.keys() - set(parked)]


async def fold_touched(model: ReadModel, touched: Sequence[Document], recipe: Recipe) -> Changes:
    """What folding them again changes. A story that was touched in another partition than it
    belongs to is left to the owner of that."""
    partitions = {str(document["_id"]): document["partition"] for document in touched}
    stories = await model.stories(partitions)
    for name, story in stories.items():
        if story["partition"] != partitions[name]:
            await model.touch(name, story["partition"])
            del partitions[name]
    names = list(partitions)
    waiting = await model.parked(names)
    read_now: dict[int, list[Recorded]] = defaultdict(list)
    drained: list[FactId] = []
    for document in await model.unreadable(names):
        recorded = _read(document, recipe)
        if recorded is not None and _partition(document) == partitions[recorded.story]:
            read_now[partitions[recorded.story]].append(recorded)
            drained.append(FactId(document["_id"]))
    changes = fold_poll(read_now, stories, waiting, recipe, names)
    changes.drained += drained
    return changes


def _read(document: Document, recipe: Recipe) -> Recorded | None:
    """The fact in a record that did not read before; it must lie under its story's key."""
    try:
        recorded = from_wire(document["value"], document["headers"])
        recipe.profile(recorded.town, recorded.profile)
    except (Unreadable, KeyError):
        return None
    return recorded if recorded.story == document["story"] else None


def _partition(document: Document) -> int:
    """That of the record, whose name is `<topic>:<partition>:<offset>`."""
    return int(str(document["_id"]).rsplit(":", 2)[1])
