"""HTTP out: the case list, a case, its timeline."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from services.projections import cases
from services.projections.answers import CaseDetail, CasePage, State, TimelineEntry
from services.projections.case_filter import CaseFilter
from services.projections.paging import After, Limit, Sort
from services.projections.reader import EVERYBODY, Reader
from shared.access import Principal
from shared.commands import AtLeast, StoryText
from shared.web import Allow


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
        page = cases.Page(sort, limit, after)
        return await cases.list_cases(reader, who, wanted, page, at_least)

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
        return await cases.read_case(reader, who, story, at_least, until)

    @router.get("/{story}/timeline", operation_id="read_timeline")
    async def read_timeline(
        story: StoryText,
        who: Annotated[Principal, Depends(Allow(*EVERYBODY))],
        at_least: AtLeast = None,
    ) -> list[TimelineEntry]:
        """What happened to a case, in the order it was recorded. What a partner reported is not
        shown to residents before the case has taken it."""
        return await cases.read_timeline(reader, who, story, at_least)

    return router
