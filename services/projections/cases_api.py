"""HTTP out: the case list, a case, its timeline."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from services.projections.answers import CaseDetail, CasePage, CaseRow, State, TimelineEntry
from services.projections.case_filter import CaseFilter
from services.projections.paging import After, Limit, Sort, list_rows, read_cursor
from services.projections.reader import EVERYBODY, Reader, line
from services.projections.scope import in_scope, sees
from services.projections.texts import Opened, without_boxes
from services.projections.views.case_list import STATES
from shared.access import Principal, Role
from shared.commands import AtLeast, StoryText
from shared.contracts.base import ResidentId, StoryId
from shared.errors import NotYet
from shared.mongo import Document
from shared.waiting import parse_position, wait_until
from shared.web import Allow

_BETWEEN_SYSTEMS: Final = {
    "unit-report-received.v1",
    "progress-report-received.v1",
    "report-noted.v1",
    "report-refused.v1",
}
"""What passes between a partner and the town; what came of it is a fact that residents see."""


def case_routes(reader: Reader) -> APIRouter:
    """Cases, for everybody who may see them."""
    router = APIRouter(prefix="/v1/cases", tags=["cases"])

    @router.get("", operation_id="list_cases")
    async def list_cases(
        who: Annotated[Principal, Depends(Allow(*EVERYBODY))],
        wanted: Annotated[CaseFilter, Depends()],
        sort: Sort = "-submitted",
        limit: Limit = 50,
        after: After = None,
        at_least: AtLeast = None,
    ) -> CasePage:
        """Cases in one's scope, newest first, or soonest due."""
        resident = await reader.resident(who)
        cursor = read_cursor(after, sort)
        wanted.check(reader.words(who))
        await reader.wait(who, resident, at_least)
        query = {"$and": [in_scope(who, resident), *wanted.clauses(reader.clock.now())]}
        rows, following = await list_rows(reader.model, query, sort=sort, after=cursor, limit=limit)
        opened = await reader.texts.open(who, rows)
        await reader.access_log.note(who, "list-cases", (row["_id"] for row in rows))
        items = [CaseRow.model_validate(line(row, opened)) for row in rows]
        return CasePage(items=items, next=following)

    @router.get("/{story}", operation_id="read_case")
    async def read_case(
        story: StoryText,
        who: Annotated[Principal, Depends(Allow(*EVERYBODY))],
        at_least: AtLeast = None,
        until: Annotated[
            State | None, Query(description="wait until the case has got this far")
        ] = None,
    ) -> CaseDetail:
        """One case."""
        resident = await reader.resident(who)
        await reader.wait(who, resident, at_least, story)
        if until is not None:
            await reader.story(who, resident, story)  # who waits may know of it
            await _wait_until(reader, who, resident, story, until, _answered(at_least))
        found = await reader.case(who, resident, story)
        wish, row = found["parts"]["wish"], found["wrote"]["case_list"]
        opened = await reader.texts.open(who, [wish])
        await reader.access_log.note(who, "read-case", [story])
        return CaseDetail.model_validate(
            {
                **line(row, opened),
                **{f: opened.text(story, f, wish) for f in ("words", "name", "phone", "address")},
                "rating_words": opened.text(story, "words", wish.get("rating", {})),
                "submitted_by": wish["submitted_by"],
                "source_ref": wish.get("source_ref"),
                "versions": found["v"],
            }
        )

    @router.get("/{story}/timeline", operation_id="read_timeline")
    async def read_timeline(
        story: StoryText,
        who: Annotated[Principal, Depends(Allow(*EVERYBODY))],
        at_least: AtLeast = None,
    ) -> list[TimelineEntry]:
        """What happened to a case, in the order it was recorded. What a partner reported is not
        shown to residents before the case has taken it."""
        resident = await reader.resident(who)
        await reader.wait(who, resident, at_least, story)
        await reader.case(who, resident, story)
        query: Document = {"story": story}
        if who.role is Role.RESIDENT:
            query["type"] = {"$nin": sorted(_BETWEEN_SYSTEMS)}
        found = reader.model.database["timeline"].find(query)
        in_order = [("recorded", 1), ("stream", 1), ("version", 1)]
        entries = await found.sort(in_order).to_list(None)
        opened = await reader.texts.open(who, entries)
        await reader.access_log.note(who, "read-timeline", [story])
        return [_entry(entry, opened, who) for entry in entries]

    return router


def _answered(at_least: str | None) -> int:
    """The version of the wish that the case must have answered before its state counts."""
    position = None if at_least is None else parse_position(at_least)
    return position.version if position and position.kind == "wish" else 0


async def _wait_until(
    reader: Reader,
    who: Principal,
    resident: ResidentId | None,
    story: StoryId,
    state: State,
    answered: int,
) -> None:
    async def got_there() -> bool:
        found = (await reader.model.stories([story])).get(story)
        if found is None or not sees(who, resident, dict(found)):
            return False
        here = found["wrote"].get("case_list", {}).get("state", STATES[0])
        took = found["parts"].get("case", {}).get("wish_version", 0)
        if STATES.index(here) >= wanted and took >= answered:
            return True
        if "stuck" in found:
            raise NotYet(f"case-{story}", parked=True)
        return False

    wanted = STATES.index(state)
    await wait_until(got_there, f"{story} {state}", reader.wait_seconds)


def _entry(entry: Document, opened: Opened, who: Principal) -> TimelineEntry:
    fact: Document = dict(entry["fact"])
    if who.role is Role.RESIDENT:
        for pseudonym in ("request", "resident", "on_behalf_of", "proxy"):
            fact.pop(pseudonym, None)
    return TimelineEntry(
        id=entry["_id"],
        type=entry["type"],
        by=entry["by"],
        occurred=entry["occurred"],
        recorded=entry["recorded"],
        correlation=entry["correlation"],
        causation=entry.get("causation"),
        details=without_boxes(fact) or {},
        texts=opened.texts(StoryId(entry["story"]), fact),
    )
