"""HTTP in: lists of other systems and of the past, one matter per request."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field

from services.intake.api import Wishes
from services.intake.import_orders import ImportBody, ImportOrders, Line, WishOrder
from shared.access import Principal, Role
from shared.commands import AtLeast, await_position
from shared.contracts.base import FactId, Instant, ResidentId, StoryId, SubjectId
from shared.errors import Refused
from shared.handling import Handled
from shared.keystore import KeyWriter
from shared.sealing import InstallationKeys, Sealer, new_key
from shared.town import Towns
from shared.waiting import Arrivals
from shared.web import Allow

Became = Literal["taken-in", "already-there", "would-be-taken-in"]


class Imported(BaseModel):
    """`position` is what to wait for (`at_least`); absent for what is not there yet."""

    story: StoryId
    became: Became
    position: FactId | None = None
    recorded: Instant | None = Field(None, description="when the last of it was decided")


@dataclass(frozen=True, slots=True)
class PaperKeys:
    """Residents and keys of a rehearsal: made up, and kept nowhere."""

    installation: InstallationKeys

    async def resident(self, _: str) -> ResidentId:
        return ResidentId(uuid.uuid4().hex)

    async def ensure(self, subject: SubjectId) -> Sealer:
        return Sealer(subject, new_key())


class ImportDesk:
    """Takes in the lines of lists."""

    def __init__(
        self, wishes: Wishes, keys: KeyWriter, towns: Towns, arrivals: Arrivals, wait_seconds: float
    ) -> None:
        self._arrivals = arrivals
        self._wait_seconds = wait_seconds
        self._wishes = wishes
        self._keys = keys
        self._orders = ImportOrders(keys, towns)

    async def take_in(self, line: Line, at_least: str | None, *, dry_run: bool) -> Imported:
        """Raises Refused, `ref-taken` where something else came under the reference, and what
        waiting and deciding may. On a dry run nothing is written."""
        self._orders.check(line)
        await await_position(at_least, self._arrivals, line.story, self._wait_seconds)
        handle = self._wishes.rehearse if dry_run else self._wishes.handle
        subjects = PaperKeys(self._keys.installation) if dry_run else self._keys
        done = [await _step(handle, self._orders.submission(line, subjects), "ref")]
        settled = line.body.settled
        # On a dry run a new matter is not there to be settled; its rules were asked just now.
        if settled is not None and (done[0].before or not dry_run):
            done.append(await _step(handle, self._orders.settlement(line, settled), "settled"))
        if all(step.before for step in done):
            became: Became = "already-there"
        elif dry_run:
            return Imported(story=line.story, became="would-be-taken-in")
        else:
            became = "taken-in"
        last = done[-1]
        return Imported(
            story=line.story, became=became, position=last.position, recorded=last.recorded
        )


async def _step(
    handle: Callable[[WishOrder], Awaitable[Handled]], order: WishOrder, field: str
) -> Handled:
    """One of a line's two commits. Raises Refused `ref-taken`: two matters are never merged."""
    what = "another matter" if field == "ref" else "another end of this matter"
    taken = Refused("ref-taken", f"{what} was taken in under this reference", field=field)
    try:
        done = await handle(order)
    except Refused as refusal:
        raise taken if refusal.code == "key-reused" else refusal from None
    if done.said == "already-so":
        raise taken
    return done


def import_routes(desk: ImportDesk) -> APIRouter:
    """The endpoint for lists."""
    router = APIRouter(prefix="/v1/imports", tags=["imports"])

    @router.post("", operation_id="import_matter")
    async def import_matter(
        body: ImportBody,
        request: Request,
        who: Annotated[Principal, Depends(Allow(Role.COMMUNITY, Role.STREET, Role.SYSTEM))],
        dry_run: Annotated[
            bool, Query(description="say what would become of it, and write nothing")
        ] = False,
        at_least: AtLeast = None,
    ) -> Imported:
        """Take in one matter of a list. The same line again, by whomever, is already there; it
        needs no `Idempotency-Key`. A line that has been settled since is settled then."""
        line = Line(who, body, request.state.correlation)
        return await desk.take_in(line, at_least, dry_run=dry_run)

    return router
