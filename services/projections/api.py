"""HTTP out: the case list, a case, its timeline. Scope comes from the token, never a parameter."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.projections.answers import CaseDetail, CasePage, CaseRow, State, TimelineEntry
from services.projections.reading import (
    Opened,
    Sort,
    StoryArrivals,
    Texts,
    in_scope,
    list_rows,
    read_cursor,
    sees,
)
from services.projections.readmodel import ReadModel
from services.projections.views import Row
from services.projections.views.case_list import STATES
from shared.access import Principal, Role
from shared.access_log import AccessLog
from shared.commands import AtLeast, StoryText
from shared.contracts.base import ResidentId, StoryId
from shared.errors import NotYet
from shared.keystore import KeyReader
from shared.mongo import Document
from shared.problems import Hidden
from shared.town import AreaText, CodeText, UnitText
from shared.waiting import parse_position, wait_for, wait_until
from shared.web import Allow

EVERYBODY = tuple(Role)


class Reader:
    """Reads the model for a principal, and notes who read what."""

    def __init__(
        self, model: ReadModel, keys: KeyReader, access_log: AccessLog, wait_seconds: float
    ) -> None:
        self.model = model
        self.keys = keys
        self.texts = Texts(keys)
        self.access_log = access_log
        self.wait_seconds = wait_seconds

    async def resident(self, who: Principal) -> ResidentId | None:
        """The resident behind a resident's account."""
        if who.account is None:
            return None
        return await self.keys.resident_of_account(who.town, who.account)

    async def wait(
        self,
        who: Principal,
        resident: ResidentId | None,
        at_least: str | None,
        story: StoryId | None = None,
    ) -> None:
        """Wait for `at_least` among what the principal may see. Raises NotYet, or Refused when
        it belongs to another story than the one asked for."""
        if at_least is None:
            return
        position = parse_position(at_least)
        if story is not None:
            position.check_story(story)
        await wait_for(StoryArrivals(self.model, who, resident), position, self.wait_seconds)

    async def story(self, who: Principal, resident: ResidentId | None, name: StoryId) -> Document:
        """The story. Raises Hidden when there is none for this principal."""
        found = await self.model.stories([name])
        if name not in found or not sees(who, resident, dict(found[name])):
            raise Hidden
        return dict(found[name])

    async def case(self, who: Principal, resident: ResidentId | None, name: StoryId) -> Document:
        """The same, once it can be listed."""
        story = await self.story(who, resident, name)
        if "case_list" not in story["wrote"]:
            raise NotYet(f"wish-{name}")
        return story


def routes(reader: Reader) -> APIRouter:
    """The read API."""
    router = APIRouter(prefix="/v1/cases", tags=["cases"])

    @router.get("", operation_id="list_cases")
    async def list_cases(
        who: Annotated[Principal, Depends(Allow(*EVERYBODY))],
        area: Annotated[AreaText | None, Query(description="this area and all below it")] = None,
        state: State | None = None,
        unit: UnitText | None = None,
        kind: CodeText | None = None,
        sort: Sort = "-submitted",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        after: Annotated[str | None, Query(max_length=400)] = None,
        at_least: AtLeast = None,
    ) -> CasePage:
        """Cases in one's scope, newest first, or soonest due."""
        resident = await reader.resident(who)
        cursor = None if after is None else read_cursor(after, sort)
        await reader.wait(who, resident, at_least)
        asked = {"within": area, "state": state, "unit": unit, "kind": kind}
        wanted = {field: value for field, value in asked.items() if value is not None}
        query = {"$and": [in_scope(who, resident), wanted]}
        rows, following = await list_rows(reader.model, query, sort=sort, after=cursor, limit=limit)
        opened = await reader.texts.open(who, rows)
        await reader.access_log.note(who, "list-cases", (row["_id"] for row in rows))
        return CasePage(
            items=[CaseRow.model_validate(_row(row, opened)) for row in rows],
            next=None if following is None else following.encode(),
        )

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
            await _wait_until(reader, who, resident, story, until, _answered(at_least))
        found = await reader.case(who, resident, story)
        wish, row = found["parts"]["wish"], found["wrote"]["case_list"]
        opened = await reader.texts.open(who, [wish])
        await reader.access_log.note(who, "read-case", [story])
        return CaseDetail.model_validate(
            {
                **_row(row, opened),
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
        """What happened to a case, in the order it was recorded."""
        resident = await reader.resident(who)
        await reader.wait(who, resident, at_least, story)
        await reader.case(who, resident, story)
        found = reader.model.database["timeline"].find({"story": story})
        in_order = [("recorded", 1), ("stream", 1), ("version", 1)]
        entries = await found.sort(in_order).to_list(None)
        opened = await reader.texts.open(who, entries)
        await reader.access_log.note(who, "read-timeline", [story])
        return [_entry(entry, opened) for entry in entries]

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


def _row(row: Row, opened: Opened) -> Document:
    story = StoryId(row["_id"])
    return {**row, "story": story, "title": opened.text(story, "title", row)}


def _entry(entry: Document, opened: Opened) -> TimelineEntry:
    fact: Document = entry["fact"]
    sealed = {name for name, value in fact.items() if isinstance(value, dict) and "box" in value}
    story = StoryId(entry["story"])
    texts = {name: opened.text(story, name, fact) for name in sorted(sealed)}
    return TimelineEntry(
        id=entry["_id"],
        type=entry["type"],
        by=entry["by"],
        occurred=entry["occurred"],
        recorded=entry["recorded"],
        correlation=entry["correlation"],
        causation=entry.get("causation"),
        details={name: value for name, value in fact.items() if name not in sealed},
        texts={name: text for name, text in texts.items() if text is not None},
    )
