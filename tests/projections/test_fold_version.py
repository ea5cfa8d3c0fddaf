"""A change of what facts fold into is not forgotten: it is a new FOLD_VERSION, and so a rebuild.

`folds.json` holds, per fold version, digests of what the golden facts fold into: for each type the
part of the story and the entry of the timeline, for each view and tally what is written of some
histories. Golden facts are never edited, so a digest changes with the folds alone.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from services.projections.folding import Recipe, timeline_entry
from services.projections.stories import FOLD_VERSION
from services.projections.views import View
from services.projections.views.registry import recipe
from shared.contracts.base import StoryId
from shared.contracts.dispatch import CaseResolved
from shared.contracts.recorded import Recorded, from_wire, stream_id
from shared.contracts.registry import FACT_STREAMS
from shared.town import Towns
from tests.build import NOW, a_town, profile
from tests.projections.model import Model, model_of

GOLDEN: Final = Path(__file__).with_name("folds.json")
FACTS: Final = Path(__file__).parents[1] / "contracts" / "golden"
TOWN: Final = a_town(profile(fast_within_hours=6))
RECIPE: Final = recipe(Towns({TOWN.id: TOWN}))
WISH: Final = ("wish-submitted",)
DISPATCHED: Final = ("case-opened", "case-accepted", "case-dispatched")
REPORTED: Final = (*DISPATCHED, "unit-reported")
HISTORIES: Final[Sequence[Sequence[str]]] = (
    WISH,
    (*WISH, *REPORTED, "progress-reported", "case-resolved"),
    (*WISH, *REPORTED, "case-resolved", "case-stand-noted", "rating-invited", "wish-rated"),
    (*WISH, *REPORTED, "case-resolved", "wish-rated", "case-reopened", "case-dispatched"),
    (*WISH, *DISPATCHED, "case-redirected", "case-closed"),
    (*WISH, *REPORTED, "assignment-returned", "resident-contacted"),
    (*WISH, *REPORTED, "case-resolved", "resolution-verified", "case-closed"),
    (*WISH, *REPORTED, "case-resolved", "rework-ordered"),
    (*WISH, "case-opened", "case-declined", "case-closed"),
    (*WISH, *DISPATCHED, "case-referred", "case-closed", "wish-supplemented"),
    (*WISH, "wish-withdrawn", *DISPATCHED, "case-closed"),
    (*WISH, "case-opened", "case-accepted", "case-resolved on the spot"),
)


def fact(name: str, story: StoryId, version: int, hours: int) -> Recorded:
    """A golden fact as it follows in a history."""
    said = json.loads((FACTS / f"{name.split()[0]}.v1.json").read_text(encoding="utf-8"))
    body = json.dumps(said["value"]).encode()
    golden = from_wire(body, [(k, v.encode()) for k, v in said["headers"].items()])
    told = golden.fact
    if isinstance(told, CaseResolved) and "on the spot" in name:
        told = told.model_copy(update={"on_spot": True})
    at = NOW + timedelta(hours=hours)
    return dataclasses.replace(
        golden,
        fact=told,
        stream=stream_id(FACT_STREAMS[told.type], story),
        version=version,
        town=TOWN.id,
        profile=TOWN.profiles[0].version,
        occurred=at,
        recorded=at,
    )


def history(names: Sequence[str], n: int) -> list[Recorded]:
    """These facts one after the other, an hour apart, as a story of its own."""
    story, versions = StoryId(f"00000000-0000-0000-0000-{n:012}"), {"wish": 0, "case": 0}
    facts = []
    for hours, name in enumerate(names):
        kind = FACT_STREAMS[f"{name.split()[0]}.v1"]
        versions[kind] += 1
        facts.append(fact(name, story, versions[kind], hours))
    return facts


def digests(by: Recipe = RECIPE) -> dict[str, str]:
    """By type of fact, by view and by tally."""
    found = {}
    for type_ in sorted(FACT_STREAMS):
        name = type_.removesuffix(".v1")
        before = {"wish": WISH, "case": REPORTED}[FACT_STREAMS[type_]]
        facts = history((*before, name), 1)
        (story,) = model_of(facts, by=by).stories.values()
        assert "stuck" not in story
        found[type_] = digest([story["parts"], timeline_entry(facts[-1])])
    model: Model = model_of(*(history(names, n) for n, names in enumerate(HISTORIES)), by=by)
    assert not model.parked
    for view in by.views:
        found[view.name] = digest(model.rows[view.name])
    for tally in by.tallies:
        found[tally.name] = digest(model.sheets[tally.name])
    return found


def digest(documents: Any) -> str:
    text = json.dumps(documents, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def forgotten(
    golden: dict[str, dict[str, str]], found: dict[str, str], folds: int = FOLD_VERSION
) -> str | None:
    """What is to be done about it; None when nothing is."""
    known = golden.get(str(folds), {})
    changed = sorted(name for name in known if found.get(name) != known[name])
    if changed:
        return (
            f"facts fold into something else than before: {', '.join(changed)}. Read models that "
            f"are there already are not equal to new ones. If it is meant, raise FOLD_VERSION in "
            f"services/projections/stories to {folds + 1}: every installation then builds a new "
            f"generation by itself. Add the digests of {folds + 1} to {GOLDEN.name}; those of a "
            f"released version are never edited:\n{json.dumps({folds + 1: found}, indent=2)}"
        )
    if new := {name: text for name, text in found.items() if name not in known}:
        return (
            f"{', '.join(new)} is new: nobody rebuilds for it, a view is filled in. Add to the "
            f"digests of {folds} in {GOLDEN.name}:\n{json.dumps(new, indent=2)}"
        )
    return None


def test_what_facts_fold_into_changes_with_the_fold_version_alone() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    what_to_do = forgotten(golden, digests())
    assert what_to_do is None, what_to_do


def test_a_forgotten_change_is_noticed_and_a_new_view_is_none() -> None:
    golden = {str(FOLD_VERSION): digests()}
    view = RECIPE.views[0]
    other = View(view.name, lambda story: (view.row(story) or {}) | {"more": 1}, view.indexes)
    changed = dataclasses.replace(RECIPE, views=(other,))
    said = forgotten(golden, digests(changed))
    assert said is not None
    assert said.startswith(f"facts fold into something else than before: {view.name}.")
    without = dataclasses.replace(RECIPE, views=())
    assert f"than before: {view.name}." in str(forgotten(golden, digests(without)))
    more = dataclasses.replace(RECIPE, views=(view, View("more", view.row)))
    assert str(forgotten(golden, digests(more))).startswith("more is new: nobody rebuilds for it")
