"""What is answered about cases, to the JSON API and to the pages alike: the list, a case, its
timeline."""

from dataclasses import dataclass
from typing import Final

from services.projections.answers import CaseDetail, CasePage, CaseRow, State, TimelineEntry
from services.projections.case_filter import CaseFilter
from services.projections.folding import stands_still
from services.projections.paging import Sort, count_rows, list_rows, read_cursor
from services.projections.reader import Reader, line
from services.projections.scope import in_scope, sees
from services.projections.texts import Opened, without_boxes
from services.projections.views.case_list import STATES
from shared.access import Principal, Role
from shared.contracts.base import ResidentId, StoryId
from shared.errors import NotYet
from shared.mongo import Document
from shared.waiting import parse_position, wait_until

_BETWEEN_SYSTEMS: Final = {
    "unit-report-received.v1",
    "progress-report-received.v1",
    "report-noted.v1",
    "report-refused.v1",
}
"""What passes between a partner and the town; what came of it is a fact that residents see."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted, and in what order."""

    sort: Sort = "-submitted"
    limit: int = 50
    after: str | None = None


async def list_cases(
    reader: Reader, who: Principal, wanted: CaseFilter, page: Page, at_least: str | None = None
) -> CasePage:
    """One page of the cases in the principal's scope. Raises Refused."""
    resident = await reader.resident(who)
    cursor = read_cursor(page.after, page.sort)
    wanted.check(reader.words(who))
    await reader.wait(who, resident, at_least)
    query = _query(reader, who, resident, wanted)
    rows, following = await list_rows(
        reader.model, query, sort=page.sort, after=cursor, limit=page.limit
    )
    opened = await reader.texts.open(who, rows)
    await reader.access_log.note(who, "list-cases", (row["_id"] for row in rows))
    items = [CaseRow.model_validate(line(row, opened)) for row in rows]
    return CasePage(items=items, next=following)


async def count_cases(
    reader: Reader, who: Principal, wanted: CaseFilter, sort: Sort = "-submitted"
) -> int:
    """How many cases that list has in all its pages, counted no further than `MOST_COUNTED`."""
    resident = await reader.resident(who)
    return await count_rows(reader.model, _query(reader, who, resident, wanted), sort)


async def read_case(
    reader: Reader,
    who: Principal,
    story: StoryId,
    at_least: str | None = None,
    until: State | None = None,
) -> CaseDetail:
    """One case. Raises Hidden or NotYet."""
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


async def read_timeline(
    reader: Reader, who: Principal, story: StoryId, at_least: str | None = None
) -> list[TimelineEntry]:
    """What happened to a case, in the order it was recorded. Raises Hidden or NotYet."""
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


def _query(
    reader: Reader, who: Principal, resident: ResidentId | None, wanted: CaseFilter
) -> Document:
    return {"$and": [in_scope(who, resident), *wanted.clauses(reader.clock.now())]}


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
        if here in beyond and took >= answered:
            return True
        if stands_still(found):
            raise NotYet(f"case-{story}", parked=True)
        return False

    beyond = STATES[STATES.index(state) :]  # one of a later build is none of them
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
