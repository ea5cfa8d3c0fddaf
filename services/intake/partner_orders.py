"""What a partner's event asks of a wish, and whether the partner may ask it."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from services.intake.commands import ReceiveReport, WishCommand
from services.intake.inbound import Event, Illegible
from services.intake.matter import Author, check_matter, submission
from services.intake.partner_events import ProgressEvent, ReportEvent, WishEvent, body_as
from services.intake.wish import Unsent, Wish
from shared.access import Role
from shared.contracts.base import (
    ActorId,
    CommandId,
    EventSource,
    PartnerId,
    Request,
    SourceRef,
    StoryId,
    SubjectId,
    TownId,
)
from shared.contracts.recorded import stream_id
from shared.errors import Refused
from shared.handling import Order, Prepared, command_id
from shared.keystore import KeyWriter
from shared.profile import Partner, Profile
from shared.store import Cause
from shared.town import Towns

_STORIES: Final = uuid.UUID("5e0f3c1c-9c0a-5d0b-8a86-0a0c1f7d4b42")

CLOCKS_APART: Final = timedelta(seconds=60)
"""How far a partner's clock may run ahead of ours."""

Grants = Mapping[TownId, Partner]
"""What a partner may do, by town."""


def story_of_ref(town: TownId, source: EventSource, ref: SourceRef) -> StoryId:
    """The story of a reference in a partner's system or a list, by arithmetic: no table is kept."""
    return StoryId(str(uuid.uuid5(_STORIES, "\0".join((town, source, ref)))))


def command_of(partner: PartnerId, event: Event | Illegible) -> CommandId:
    """The command that an inbound event is: the same event, the same id."""
    return command_id("inbound", partner, event.source or "", event.id or "")


class PartnerOrders:
    """Makes orders of events."""

    def __init__(self, keys: KeyWriter, towns: Towns) -> None:
        self._keys = keys
        self._towns = towns

    def order(self, partner: PartnerId, grants: Grants, event: Event) -> Order[Wish, WishCommand]:
        """What the event asks. Raises Refused for what the partner may not ask, or does not say
        as it must be said."""
        match event.verb:
            case "wish-submitted" | "hazard-raised":
                return self._submission(partner, grants, event)
            case "unit-reported":
                return self._report(partner, grants, event, body_as(ReportEvent, event.body))
            case "progress-reported":
                return self._report(partner, grants, event, body_as(ProgressEvent, event.body))
        raise Refused("unknown-type", field="type")

    def _submission(
        self, partner: PartnerId, grants: Grants, event: Event
    ) -> Order[Wish, WishCommand]:
        town, named = _town(event)
        grant = _grant(grants, event, town, named)
        body = body_as(WishEvent, _with_what_is_granted(event, grant))
        if not grant.answers_for(body.area):
            raise Refused("area-not-yours", field="area")
        name, request = command_of(partner, event), _request(partner, event)
        story = story_of_ref(town, event.source, body.ref)
        actor = _actor(partner)
        said_by = body.submitted_by or actor
        author = Author(town, actor, said_by, name, request=request)

        async def prepare(_: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            check_matter(profile, body, author)
            profile.check_occurred(Role.SYSTEM, _by_our_clock(event, now), now, field="time")
            return await submission(self._keys, body, author, story, body.ref)

        return Order(
            stream_id("wish", story),
            self._towns[town],
            _cause(name, event),
            prepare,
            occurred=event.time,
            request=event.raw,
            strict=False,
            opens=True,
        )

    def _report(
        self, partner: PartnerId, grants: Grants, event: Event, body: ReportEvent
    ) -> Order[Wish, WishCommand]:
        town = body.town or (next(iter(grants)) if len(grants) == 1 else None)
        if town is None:
            raise Refused("town-missing", field="town")
        grant = _grant(grants, event, town, "town")
        if body.unit not in grant.units:
            raise Refused("unit-not-yours", field="unit")
        source = body.ref_source or event.source
        if source not in grant.sources:
            raise Refused("source-not-yours", field="ref_source")
        named = "story" if body.ref is None else "ref"
        story = body.story or story_of_ref(town, source, SourceRef(str(body.ref)))
        actor, request = _actor(partner), _request(partner, event)

        async def prepare(wish: Wish, profile: Profile, now: datetime) -> Prepared[WishCommand]:
            if isinstance(wish, Unsent) or not grant.answers_for(wish.said.area):
                raise Refused("unknown-reference", field=named)
            profile.check_occurred(Role.SYSTEM, _by_our_clock(event, now), now, field="time")
            sealer = await self._keys.sealer(SubjectId(wish.said.resident or story))
            note = (
                sealer.seal(story, "note", body.note) if isinstance(body, ProgressEvent) else None
            )
            return Prepared(ReceiveReport(actor, body.unit, request, note), sealer)

        return Order(
            stream_id("wish", story),
            self._towns[town],
            _cause(command_of(partner, event), event),
            prepare,
            occurred=event.time,
            request=event.raw,
            strict=False,
        )


def _town(event: Event) -> tuple[TownId, str]:
    """The town that a matter is for, and the field that says so. Raises Refused."""
    field = "area" if event.body.get("town") is None else "town"
    said = event.body.get(field)
    if not isinstance(said, str):
        raise Refused("invalid-event", field=field)
    return TownId(said.partition("/")[0] if field == "area" else said), field


def _by_our_clock(event: Event, now: datetime) -> datetime | None:
    """When it occurred; a clock that runs a little ahead of ours means now."""
    ahead = event.time is not None and now < event.time <= now + CLOCKS_APART
    return now if ahead else event.time


def _grant(grants: Grants, event: Event, town: TownId, field: str) -> Partner:
    """What the partner may do there. Raises Refused for a town, a verb or a source not theirs."""
    if town not in grants:
        raise Refused("town-not-yours", field=field)
    if event.verb not in grants[town].verbs:
        raise Refused("verb-not-yours", field="type")
    if event.source not in grants[town].sources:
        raise Refused("source-not-yours", field="source")
    return grants[town]


def _with_what_is_granted(event: Event, grant: Partner) -> dict[str, object]:
    """The data with the partner's channel, and for a raised hazard with the kind it becomes."""
    said = {"channel": grant.channel, **event.body}
    if event.verb == "hazard-raised":
        if "kind" in event.body:
            raise Refused("invalid-event", field="kind")
        said["kind"] = grant.hazard_kind
    return said


def _request(partner: PartnerId, event: Event) -> Request:
    return Request(partner=partner, source=event.source, id=event.id)


def _cause(name: CommandId, event: Event) -> Cause:
    return Cause(name, name.replace("-", ""), None, event.traceparent)


def _actor(partner: PartnerId) -> ActorId:
    return ActorId(f"{Role.SYSTEM}:{partner}")
