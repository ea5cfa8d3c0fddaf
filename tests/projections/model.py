"""A generation in memory, and histories of cases as they could have been."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from hypothesis import strategies as st

from services.projections.folding import Changes, Document, Recipe, fold_poll
from services.projections.stories import Story
from services.projections.views.registry import recipe
from services.projections.views.sheets import sheet_after
from shared.contracts.base import AreaId, Code, FactId, StoryId, TargetId, UnitId
from shared.contracts.dispatch import (
    AssignmentReturned,
    CaseAccepted,
    CaseClosed,
    CaseDeclined,
    CaseDispatched,
    CaseOpened,
    CaseRedirected,
    CaseReferred,
    CaseReopened,
    CaseResolved,
    DispatchFact,
    ResolutionVerified,
    ReworkOrdered,
    UnitReported,
)
from shared.contracts.intake import WishSubmitted
from shared.contracts.recorded import Recorded, from_wire, stream_id, to_wire
from shared.profile import Unit
from shared.town import Town, Towns
from tests.build import (
    COMMUNITY,
    CREW,
    DRAINS,
    DUE,
    GRID,
    LATER,
    LIGHTS,
    NOW,
    POLICY,
    a_town,
    kind,
    profile,
    recorded,
    sealed,
    some_towns,
    submitted,
)

PARTITION: Final = 3
RECIPE: Final = recipe(some_towns())
UNITS: Final = (DRAINS, LIGHTS, UnitId("police"))
WEST_END: Final = AreaId("t3/west-end")
NEXT_GRID: Final = AreaId("t3/west/g5")
AREAS: Final = (GRID, NEXT_GRID, WEST_END, AreaId("t3/west"))
KINDS: Final = {
    "appeal": ("sanitation", "parking"),
    "hazard": ("fire", "sanitation"),
    "wish": ("goods",),
}


@dataclass
class Model:
    """The collections of a generation in memory, written as the projector writes them."""

    stories: dict[str, Story] = field(default_factory=dict)
    timeline: dict[str, Document] = field(default_factory=dict)
    rows: dict[str, dict[str, Document]] = field(default_factory=dict)
    sheets: dict[str, dict[str, Document]] = field(default_factory=dict)
    parked: dict[FactId, Recorded] = field(default_factory=dict)
    ignored: set[str] = field(default_factory=set)

    def poll(self, facts: Sequence[Recorded], by: Recipe = RECIPE) -> Changes:
        """Fold one poll and write what it changes."""
        touched = {recorded.story for recorded in facts}
        stories = {name: s for name, s in self.stories.items() if name in touched}
        before = copy.deepcopy(stories)
        waiting = {
            name: [r for r in self.parked.values() if r.story == name]
            for name, story in stories.items()
            if "stuck" in story
        }
        changes = fold_poll({PARTITION: facts}, stories, waiting, by)
        assert stories == before  # a transaction that fails is folded again from these
        self._write(changes)
        return changes

    def _write(self, changes: Changes) -> None:
        self.stories.update(changes.stories)
        for entry in changes.timeline:  # insert only
            assert entry["_id"] not in self.timeline
            self.timeline[entry["_id"]] = entry
        for view, rows in changes.rows.items():
            for name, row in rows.items():
                _put(self.rows.setdefault(view, {}), name, row)
        for tally, differences in changes.counts.items():
            kept = self.sheets.setdefault(tally, {})
            for sheet, cells in differences.items():
                if any(cells.values()):
                    _put(kept, sheet.name, sheet_after(sheet, kept.get(sheet.name), cells))
        for parked in changes.parked:
            assert parked.id not in self.parked
            _, value, headers = to_wire(parked)
            self.parked[parked.id] = from_wire(value, headers)
        for drained in changes.drained:
            del self.parked[drained]
        self.ignored |= changes.ignored


def _put(documents: dict[str, Document], name: str, document: Document | None) -> None:
    if document is None:
        del documents[name]
    else:
        documents[name] = document


def model_of(*polls: Sequence[Recorded], by: Recipe = RECIPE) -> Model:
    model = Model()
    for facts in polls:
        model.poll(facts, by)
    return model


def a_mixed_town() -> Town:
    """A town of several areas, kinds and categories, where 48 hours are fast."""
    area = {"level": "grid", "name": "一片"}
    kinds = {
        name: {**kind(rated=True), "categories": dict.fromkeys(categories, "一类")}
        for name, categories in KINDS.items()
    }
    known = [each.model_dump() for each in profile().areas]
    areas = [*known, *({"id": each, **area} for each in (NEXT_GRID, WEST_END))]
    town = a_town(
        profile(
            areas=areas,
            kinds=kinds,
            fast_within_hours=48,
            decline_rules={"in-court": "已进入司法程序"},
            owners={"police": "公安机关"},
        )
    )
    return replace(town, units={unit: Unit(id=unit, name=unit) for unit in UNITS})


MIXED: Final = a_mixed_town()
MIXED_RECIPE: Final = recipe(Towns({MIXED.id: MIXED}))


@dataclass
class History:
    """A case as its facts come, by steps that may follow; what may follow is `steps`."""

    story: StoryId
    wish: WishSubmitted
    case: list[DispatchFact] = field(default_factory=list)
    state: str = "submitted"
    lead: CaseDispatched | CaseRedirected | None = None
    reported: bool = False

    @property
    def steps(self) -> list[Callable[[], None]]:
        """What may happen next."""
        match self.state:
            case "submitted":
                return [self.open]
            case "opened":
                return [self.accept, self.decline, self.settle, self.settle_elsewhere]
            case "accepted":
                return [self.dispatch, self.refer, self.withdraw, self.settle_elsewhere]
            case "dispatched":
                at_unit = [self.report, self.redirect, self.give_back, self.assist]
                return [*at_unit, self.withdraw, self.settle_elsewhere]
            case "underway":
                at_work = [self.redirect, self.give_back, self.assist, self.settle_elsewhere]
                return [self.resolve, self.resolve, *at_work]
            case "resolved":
                return [self.close, self.close, self.reopen, self.rework, self.verify]
        return []

    def open(self) -> None:
        wish = self.wish
        self._say(
            "opened",
            CaseOpened(
                by=POLICY, wish_version=1, kind=wish.kind, category=wish.category, area=wish.area
            ),
        )

    def accept(self) -> None:
        self._say("accepted", CaseAccepted(by=COMMUNITY, due=DUE))

    def decline(self) -> None:
        declined = CaseDeclined(by=COMMUNITY, rule=Code("in-court"), reason=sealed())
        self._say("closed", declined, CaseClosed(by=COMMUNITY, reason=Code("declined")))

    def refer(self) -> None:
        referred = CaseReferred(by=COMMUNITY, to=Code("police"), reason=sealed())
        self._say("closed", referred, CaseClosed(by=COMMUNITY, reason=Code("referred")))

    def withdraw(self) -> None:
        self._say("closed", CaseClosed(by=POLICY, reason=Code("withdrawn"), wish_version=2))

    def settle(self) -> None:
        self.accept()
        self._say("resolved", self._resolved(on_spot=True))

    def settle_elsewhere(self) -> None:
        list_says = {"rating_asked": False, "on_spot": None, "elsewhere": True}
        done = self._resolved(on_spot=True).model_copy(update=list_says)
        over = CaseClosed(by=POLICY, reason=Code("settled-elsewhere"), wish_version=2)
        self._say("closed", done, over)

    def dispatch(self) -> None:
        self.lead = self._named("lead")
        self._say("dispatched", self.lead)

    def assist(self) -> None:
        named = self._named("assist")
        self._say(self.state, named)

    def redirect(self) -> None:
        lead = self._lead()
        named = self._named("lead")
        self.lead = CaseRedirected(
            by=COMMUNITY,
            unit=named.unit,
            assignment=named.assignment,
            instead_of=lead.assignment,
            reason=sealed(),
        )
        self._say("dispatched", self.lead)

    def give_back(self) -> None:
        lead, self.lead = self._lead(), None
        returned = AssignmentReturned(by=CREW, unit=lead.unit, to=lead.assignment, reason=sealed())
        self._say("accepted", returned)

    def report(self) -> None:
        lead = self._lead()
        self._say("underway", UnitReported(by=CREW, unit=lead.unit, to=lead.assignment))

    def resolve(self) -> None:
        self._say("resolved", self._resolved(on_spot=False))

    def verify(self) -> None:
        self._say("resolved", ResolutionVerified(by=COMMUNITY, rating_asked=True))

    def rework(self) -> None:
        state = "underway" if self.lead else "accepted"
        self._say(state, ReworkOrdered(by=COMMUNITY, reason=sealed(), due=LATER))

    def reopen(self) -> None:
        self.lead = None
        self._say("accepted", CaseReopened(by=POLICY, wish_version=2, due=LATER))

    def close(self) -> None:
        self._say("closed", CaseClosed(by=POLICY, reason=Code("rated")))

    def told(self, minutes: int = 0, hours_apart: int = 9) -> list[Recorded]:
        """Its facts as recorded, the first `minutes` after the beginning of time."""
        start = NOW + timedelta(minutes=minutes)
        wish = recorded(self.wish, stream_id("wish", self.story), at=start, town=MIXED)
        stream = stream_id("case", self.story)
        case = [
            recorded(fact, stream, n, at=start + timedelta(hours=hours_apart * n), town=MIXED)
            for n, fact in enumerate(self.case, start=1)
        ]
        return [wish, *case]

    def _say(self, state: str, *facts: DispatchFact) -> None:
        self.case += facts
        self.state = state

    def _lead(self) -> CaseDispatched | CaseRedirected:
        assert self.lead is not None
        return self.lead

    def _named(self, role: str) -> CaseDispatched:
        n = 1 + sum(isinstance(fact, CaseDispatched | CaseRedirected) for fact in self.case)
        held = self.lead.unit if self.lead else None
        unit = next(u for u in (*UNITS[(n - 1) % 3 :], *UNITS) if u != held)
        return CaseDispatched.model_validate(
            {"by": COMMUNITY, "unit": unit, "role": role, "assignment": f"assignment-{n}"}
        )

    def _resolved(self, *, on_spot: bool) -> CaseResolved:
        lead = self.lead if not on_spot else None
        return CaseResolved(
            by=CREW,
            unit=lead.unit if lead else None,
            to=TargetId(lead.assignment) if lead else None,
            outcome=Code("resolved"),
            note=sealed(),
            rating_asked=True,
            on_spot=True if on_spot else None,
        )


@st.composite
def histories(draw: st.DrawFn, most_steps: int = 14) -> History:
    """A case that took some steps, each of those that could follow."""
    said = draw(st.sampled_from(sorted(KINDS)))
    wish = submitted(Code(said)).model_copy(
        update={
            "category": Code(draw(st.sampled_from(KINDS[said]))),
            "area": draw(st.sampled_from(AREAS)),
        }
    )
    story = StoryId(str(UUID(int=draw(st.integers(0, 2**128 - 1)), version=4)))
    history = History(story, wish)
    for _ in range(draw(st.integers(0, most_steps))):
        if not history.steps:
            break
        draw(st.sampled_from(history.steps))()
    return history


def towns_full(most: int = 8) -> st.SearchStrategy[list[Recorded]]:
    """All facts of some cases that were submitted over half a year, wishes first."""
    cases = st.lists(
        st.tuples(histories(), st.integers(0, 60 * 24 * 180), st.integers(0, 30)),
        min_size=1,
        max_size=most,
        unique_by=lambda told: told[0].story,
    )
    return cases.map(
        lambda told: [r for case, minutes, apart in told for r in case.told(minutes, apart)]
    )


def interleaved(draw: st.DrawFn, streams: Iterable[Sequence[Recorded]]) -> list[Recorded]:
    """All facts in any order that keeps the order of each stream."""
    left = [list(stream) for stream in streams]
    turns = draw(st.permutations([n for n, stream in enumerate(left) for _ in stream]))
    return [left[n].pop(0) for n in turns]


@st.composite
def split(draw: st.DrawFn, facts: Sequence[Recorded]) -> list[Sequence[Recorded]]:
    """The same facts in polls of any sizes."""
    if len(facts) < 2:
        return [facts]
    cuts = sorted(draw(st.sets(st.integers(1, len(facts) - 1), max_size=8)))
    return [facts[a:b] for a, b in zip([0, *cuts], [*cuts, len(facts)], strict=True)]
