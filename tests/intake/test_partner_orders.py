"""What partners may ask, and what is refused before any stream is looked at."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st

from services.intake.commands import ReceiveReport, WishCommand
from services.intake.inbound import Event
from services.intake.partner_orders import Grants, PartnerOrders, story_of_ref
from services.intake.wish import Said as WishSaid
from services.intake.wish import Submitted, Unsent, Wish
from shared.contracts.base import AreaId, EventId, EventSource, SourceRef, SubjectId, TownId, UnitId
from shared.contracts.recorded import stream_id
from shared.errors import Refused
from shared.handling import Order, Prepared
from shared.keystore import KeyWriter
from shared.profile import Partner
from tests.build import KeyRing
from tests.conftest import TOWN, TOWNS
from tests.intake.test_inbound import JSON
from tests.partner import MATTER, PARTNER, SOURCE, UNIT
from tests.spec import tried

GRANTS: Grants = TOWNS.partners()[PARTNER]
RESIDENTS = EventSource("/ping-an-key/residents")
WISH = {"ref": "A-1", **MATTER}
REPORT = {"ref": "A-1", "unit": UNIT}
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
DEEP: list[Any] = []
for _ in range(990):
    DEEP = [DEEP]


def event(verb: str | None, body: dict[str, Any], **more: Any) -> Event:
    said = Event(SOURCE, EventId("e-1"), verb, None, body, b"raw")
    return replace(said, **more)


def ordered(asked: Event, grants: Grants = GRANTS) -> Order[Wish, WishCommand]:
    keys = KeyRing()
    keys.make(story_of_ref(TOWN, SOURCE, SourceRef("A-1")))
    orders = PartnerOrders(cast(KeyWriter, keys), TOWNS)  # what reads keys reads no more than this
    return orders.order(PARTNER, grants, asked)


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        (event(None, WISH), "unknown-type", "type"),
        (event("wish-rated", WISH), "unknown-type", "type"),
        (event("wish-submitted", {}), "invalid-event", "area"),
        (event("wish-submitted", {**WISH, "area": 7}), "invalid-event", "area"),
        (event("wish-submitted", {**WISH, "area": DEEP}), "invalid-event", "area"),
        (event("wish-submitted", {**WISH, "town": DEEP}), "invalid-event", "town"),
        (event("wish-submitted", {**WISH, "town": {}}), "invalid-event", "town"),
        (event("wish-submitted", {**WISH, "town": ""}), "town-not-yours", "town"),
        (event("wish-submitted", {**WISH, "town": "t9"}), "town-not-yours", "town"),
        (event("wish-submitted", {**WISH, "area": "t9/x"}), "town-not-yours", "area"),
        (event("wish-submitted", {**WISH, "area": "t3"}), "area-not-yours", "area"),
        (event("wish-submitted", {**WISH, "town": "t3", "area": "t9"}), "area-not-yours", "area"),
        (event("wish-submitted", {**WISH, "area": "t3/west/"}), "invalid-event", "area"),
        (event("wish-submitted", {**WISH, "words": " "}), "invalid-event", "words"),
        (event("wish-submitted", {**WISH, "words": 7}), "invalid-event", "words"),
        (event("wish-submitted", {**WISH, "ref": 7}), "invalid-event", "ref"),
        (event("wish-submitted", {**WISH, "ref": "一"}), "invalid-event", "ref"),
        (event("wish-submitted", {**WISH, "zhang_san": "1"}), "unknown-field", "data"),
        (event("wish-submitted", {**WISH, "deep": DEEP}), "unknown-field", "data"),
        (
            event("wish-submitted", {**WISH, "settled_on_spot": {"outcome": "x", "note": ""}}),
            "invalid-event",
            "settled_on_spot.note",
        ),
        (
            event("wish-submitted", {**WISH, "settled_on_spot": {"outcome": "x", "who": ""}}),
            "invalid-event",
            "settled_on_spot.note",
        ),
        (event("wish-submitted", WISH, source=EventSource("/x")), "source-not-yours", "source"),
        (event("hazard-raised", WISH), "invalid-event", "kind"),
        (event("unit-reported", {}), "invalid-event", "unit"),
        (event("unit-reported", {**REPORT, "unit": "nobody"}), "unit-not-yours", "unit"),
        (event("unit-reported", {**REPORT, "town": "t9"}), "town-not-yours", "town"),
        (event("unit-reported", {"unit": UNIT}), "invalid-event", "data"),
        (event("unit-reported", {**REPORT, "story": "x"}), "invalid-event", "story"),
        (event("unit-reported", {**REPORT, "note": "x"}), "unknown-field", "data"),
        (event("unit-reported", {**REPORT, "ref_source": "/x"}), "source-not-yours", "ref_source"),
        (event("progress-reported", REPORT), "invalid-event", "note"),
    ],
)
def test_what_a_partner_may_not_ask_or_does_not_say_is_refused(
    asked: Event, code: str, field: str
) -> None:
    with pytest.raises(Refused) as refusal:
        ordered(asked)
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_a_verb_that_was_not_granted_is_refused() -> None:
    fewer = granted(verbs=("wish-submitted",))
    with pytest.raises(Refused, match="verb-not-yours"):
        ordered(event("unit-reported", REPORT), fewer)


def test_who_speaks_for_several_towns_must_name_the_one_a_report_is_about() -> None:
    towns = {**GRANTS, TownId("t9"): GRANTS[TOWN]}
    with pytest.raises(Refused, match="town-missing"):
        ordered(event("unit-reported", REPORT), towns)
    assert ordered(event("unit-reported", {**REPORT, "town": "t3"}), towns).town.id == TOWN


def test_a_report_finds_what_was_submitted_by_arithmetic_also_under_another_source() -> None:
    submitted = ordered(event("wish-submitted", WISH)).stream
    assert submitted == stream_id("wish", story_of_ref(TOWN, SOURCE, SourceRef("A-1")))
    assert ordered(event("unit-reported", REPORT)).stream == submitted
    elsewhere = event("unit-reported", {**REPORT, "ref_source": SOURCE}, source=RESIDENTS)
    assert ordered(elsewhere).stream == submitted
    assert ordered(event("unit-reported", REPORT, source=RESIDENTS)).stream != submitted


def test_the_same_event_is_the_same_command_and_another_id_is_another() -> None:
    one, other = event("wish-submitted", WISH), event("wish-submitted", WISH, id=EventId("e-2"))
    assert ordered(one).cause == ordered(one).cause
    assert ordered(one).cause.command_id != ordered(other).cause.command_id


@pytest.mark.parametrize("state", [Unsent(), Submitted(WishSaid(AreaId("t3"), None, frozenset()))])
async def test_what_nobody_submitted_or_lies_elsewhere_is_an_unknown_reference(state: Wish) -> None:
    with pytest.raises(Refused) as refusal:
        await prepared(event("unit-reported", REPORT), state)
    assert (refusal.value.code, refusal.value.field) == ("unknown-reference", "ref")


async def test_a_clock_a_little_ahead_of_ours_is_forgiven() -> None:
    await prepared(event("unit-reported", REPORT, time=NOW + timedelta(seconds=60)), SUBMITTED)


@pytest.mark.parametrize(
    ("time", "code"),
    [
        (NOW + timedelta(milliseconds=60_001), "occurred-ahead"),
        (NOW - timedelta(hours=8761), "occurred-too-far-back"),
    ],
)
async def test_a_time_ahead_or_too_far_back_is_refused(time: datetime, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        await prepared(event("unit-reported", REPORT, time=time), SUBMITTED)
    assert (refusal.value.code, refusal.value.field) == (code, "time")


async def test_a_report_is_received_whatever_the_case_will_say_with_its_note_sealed() -> None:
    command = (await prepared(event("unit-reported", REPORT), SUBMITTED)).command
    assert isinstance(command, ReceiveReport)
    assert (command.unit, command.note) == (UnitId(UNIT), None)
    noted = event("progress-reported", {**REPORT, "note": "在路上"})
    command = (await prepared(noted, SUBMITTED)).command
    assert isinstance(command, ReceiveReport)
    assert command.note is not None
    assert command.note.subject == SubjectId(story_of_ref(TOWN, SOURCE, SourceRef("A-1")))


FIELDS = ["area", "town", "ref", "unit", "words", "note", "story", "kind", "settled_on_spot", "x"]


@tried(300)
@examples(
    verb=st.sampled_from(GRANTS[TOWN].verbs), more=st.dictionaries(st.sampled_from(FIELDS), JSON)
)
def test_whatever_an_event_says_is_ordered_or_refused(verb: str, more: dict[str, Any]) -> None:
    base = WISH if verb in ("wish-submitted", "hazard-raised") else REPORT
    with contextlib.suppress(Refused):
        assert ordered(event(verb, {**base, **more})).stream


SUBMITTED = Submitted(WishSaid(AreaId("t3/west/g2"), None, frozenset()))


async def prepared(asked: Event, state: Wish) -> Prepared[WishCommand]:
    return await ordered(asked).prepare(state, TOWNS[TOWN].profiles[0], NOW)


def granted(**changes: Any) -> dict[TownId, Partner]:
    return {TOWN: GRANTS[TOWN].model_copy(update=changes)}
