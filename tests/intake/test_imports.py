"""Lists come in: once whatever is sent again, with both times, or not at all."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from httpx import Response

from services.intake.import_orders import ImportBody, ImportOrders, Line
from services.intake.partner_orders import story_of_ref
from shared.access import Principal, Role
from shared.contracts.base import Code, CommandId, EventSource, PartnerId, SourceRef, TownId
from shared.contracts.intake import WishSettledElsewhere, WishSubmitted
from shared.contracts.recorded import stream_id
from shared.errors import Refused
from shared.profile import Partner
from shared.store import Commit
from shared.town import Towns
from tests.build import GRID, NOW, KeyRing, a_town, noted
from tests.intake.office import SYSTEM, Office, bearer, matter

SOURCE, REF = "/lists/west-2025", "2025-017"
STORY: Final = story_of_ref(TownId("t3"), EventSource(SOURCE), SourceRef(REF))
DESK: Final = bearer(Role.COMMUNITY)
SUBMITTED, SETTLED = NOW - timedelta(days=200), NOW - timedelta(days=198)
END: Final = {"outcome": "resolved", "note": "已更换灯泡。", "occurred": SETTLED.isoformat()}


def line(**changes: Any) -> dict[str, Any]:
    """A line of a list: open, if nothing is changed."""
    named = {"source": SOURCE, "ref": REF, "occurred": SUBMITTED.isoformat()}
    return matter(**{**named, **changes})


async def send(
    office: Office,
    said: Mapping[str, Any],
    who: Mapping[str, str] = DESK,
    *,
    dry_run: bool = False,
    at_least: str | None = None,
) -> Response:
    params = {"dry_run": dry_run} | ({} if at_least is None else {"at_least": at_least})
    return await office.ask("/v1/imports", who, json=said, params=params)


async def became(office: Office, said: Mapping[str, Any], *, dry_run: bool = False) -> str:
    answer = await send(office, said, dry_run=dry_run)
    assert answer.status_code == 200, answer.text
    assert answer.json()["story"] == STORY
    return str(answer.json()["became"])


async def commits(office: Office) -> tuple[Commit, ...]:
    return (await office.store.load(stream_id("wish", STORY))).commits


async def test_an_open_matter_is_taken_in_as_it_was_submitted_then() -> None:
    office = Office()
    assert await became(office, line()) == "taken-in"
    (commit,) = await commits(office)
    (fact,) = commit.facts
    assert isinstance(fact, WishSubmitted)
    assert (fact.source_ref, fact.imported_from, fact.by) == (REF, SOURCE, "community:li")
    assert (commit.occurred, commit.recorded) == (SUBMITTED, NOW)
    assert fact.settled_on_spot is None


async def test_what_became_of_it_is_a_commit_of_its_own_with_its_own_time() -> None:
    office = Office()
    answer = await send(office, line(settled={**END, "on_spot": True}))
    assert answer.json()["position"] == f"wish-{STORY}@2"
    first, second = await commits(office)
    assert (first.occurred, second.occurred) == (SUBMITTED, SETTLED)
    (fact,) = second.facts
    assert isinstance(fact, WishSettledElsewhere)
    assert (fact.outcome, fact.on_spot, fact.by) == ("resolved", True, "community:li")
    sealer = await office.keys.sealer(fact.note.subject)
    assert sealer.open(STORY, "note", fact.note) == END["note"]


@pytest.mark.parametrize("said", [line(), line(settled=END)], ids=["open", "settled"])
async def test_the_same_line_again_by_whomever_is_already_there(said: dict[str, Any]) -> None:
    office = Office()
    first = await send(office, said)
    before = await commits(office)
    for who in (DESK, bearer(Role.STREET, sub="wang"), SYSTEM):
        again = await send(office, said, who)
        assert again.json() == {**first.json(), "became": "already-there"}
    assert await commits(office) == before


async def test_a_run_that_ended_between_the_two_commits_is_completed_by_the_next() -> None:
    """So is a list that is sent every day: the matter has been settled since."""
    office = Office()
    await send(office, line())
    assert await became(office, line(settled=END)) == "taken-in"
    assert await became(office, line(settled=END)) == "already-there"
    assert await became(office, line()) == "already-there"
    assert len(await commits(office)) == 2


async def test_runs_at_the_same_time_take_a_line_in_once() -> None:
    office = Office()
    answers = await asyncio.gather(*(send(office, line(settled=END)) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert [commit.first for commit in await commits(office)] == [1, 2]


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (line(settled=END, words="另一件事。"), "ref"),
        (line(settled=END, occurred=SETTLED.isoformat()), "ref"),
        (line(settled={**END, "outcome": "partly"}), "settled"),
        (line(settled={**END, "note": "另一种说法。"}), "settled"),
    ],
    ids=["words", "time", "outcome", "note"],
)
async def test_something_else_under_the_same_reference_is_refused_and_never_merged(
    other: dict[str, Any], field: str
) -> None:
    office = Office()
    await send(office, line(settled=END))
    before = await commits(office)
    for dry_run in (False, True):
        answer = await send(office, other, dry_run=dry_run)
        assert (answer.status_code, answer.json()["code"]) == (422, "ref-taken")
        assert answer.json()["field"] == field
    assert await commits(office) == before


@pytest.mark.parametrize("hours", [-300, 300])
async def test_what_a_partner_handed_in_under_the_reference_is_not_taken_in_again(
    hours: int,
) -> None:
    office = Office()
    await send(office, line())
    (first,) = await commits(office)
    office.store.forget()
    theirs = replace(
        first,
        cause=replace(first.cause, command_id=CommandId("inbound")),
        occurred=first.occurred + timedelta(hours=hours),
    )
    await office.store.append(theirs)
    answer = await send(office, line())
    assert (answer.json()["code"], answer.json()["field"]) == ("ref-taken", "ref")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"kind": "riddle"}, "unknown-kind", "kind"),
        ({"category": "moon"}, "unknown-category", "category"),
        ({"channel": "pigeon"}, "unknown-channel", "channel"),
        ({"area": "t3/west/g99"}, "unknown-area", "area"),
        ({"area": "t3"}, "area-not-yours", "area"),
        ({"occurred": (NOW + timedelta(days=1)).isoformat()}, "occurred-ahead", "occurred"),
        ({"occurred": "2001-03-04T00:00:00Z"}, "occurred-too-far-back", "occurred"),
        ({"settled": {**END, "outcome": "magic"}}, "unknown-outcome", "settled.outcome"),
        (
            {"settled": {**END, "occurred": (NOW + timedelta(days=1)).isoformat()}},
            "occurred-ahead",
            "settled.occurred",
        ),
        (
            {"settled": {**END, "occurred": (SUBMITTED - timedelta(days=1)).isoformat()}},
            "occurred-before-submission",
            "settled.occurred",
        ),
        ({"ref": "第十七号"}, "invalid-request", "ref"),
        ({"source": "两个 词"}, "invalid-request", "source"),
        ({"occurred": "2025-06-03T10:30:00"}, "invalid-request", "occurred"),
        ({"words": " "}, "invalid-request", "words"),
        ({"settled": {"outcome": "resolved"}}, "invalid-request", "settled.note"),
        ({"settled_on_spot": {"outcome": "resolved"}}, "invalid-request", "settled_on_spot"),
        ({"phone": "1.38E+10"}, "invalid-request", "phone"),
    ],
)
async def test_a_line_that_cannot_be_is_refused_whole_also_on_a_dry_run(
    changes: dict[str, Any], code: str, field: str
) -> None:
    office = Office()
    for dry_run in (False, True):
        answer = await send(office, line(**changes), dry_run=dry_run)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert answer.json()["field"] == field
    assert await commits(office) == ()


async def test_a_dry_run_says_what_would_become_of_a_line_and_writes_nothing() -> None:
    office = Office()
    said = line(settled=END, name="住户甲", phone="13800000000")
    answer = await send(office, said, dry_run=True)
    assert answer.json() == {
        "story": STORY,
        "became": "would-be-taken-in",
        "position": None,
        "recorded": None,
    }
    assert await commits(office) == ()
    assert not office.keys.kept.documents
    assert not office.keys.residents.documents
    await send(office, line(name="住户甲", phone="13800000000"))
    assert await became(office, said, dry_run=True) == "would-be-taken-in"
    await send(office, said)
    assert await became(office, said, dry_run=True) == "already-there"
    assert len(await commits(office)) == 2


async def test_what_was_resolved_here_meanwhile_is_not_settled_by_a_list() -> None:
    office = Office()
    await send(office, line())
    await office.tell(STORY, noted(6, rateable=True))
    for dry_run in (False, True):
        answer = await send(office, line(settled=END), dry_run=dry_run)
        assert (answer.status_code, answer.json()["code"]) == (409, "already-resolved")
    assert len(await commits(office)) == 2


async def test_a_neighbour_learns_no_story_of_another_area() -> None:
    office = Office()
    await send(office, line())
    answer = await send(office, line(), bearer(Role.COMMUNITY, areas=["t3/west/g5"]))
    assert (answer.status_code, answer.json()["code"]) == (422, "area-not-yours")
    assert STORY not in answer.text


async def test_who_may_not_import_a_line_waits_for_nothing_and_learns_no_stand() -> None:
    stranger = bearer(Role.COMMUNITY, areas=["t3/west/g5"])
    answer = await send(Office(parked=True), line(), stranger, at_least=f"case-{STORY}@1")
    assert (answer.status_code, answer.json()["code"]) == (422, "area-not-yours")


async def test_a_position_of_another_story_is_not_waited_for() -> None:
    answer = await send(Office(), line(), at_least=f"wish-{'0' * 8}-0000-0000-0000-{'0' * 12}@1")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-position")


def test_a_system_may_not_import_under_what_a_partner_speaks_for() -> None:
    theirs = Partner(
        id=PartnerId("app"),
        name="一平台",
        sources=(EventSource(SOURCE),),
        verbs=("wish-submitted",),
        areas=(GRID,),
        channel=Code("online"),
    )
    town = replace(a_town(), partners={theirs.id: theirs})
    orders = ImportOrders(KeyRing(), Towns({town.id: town}))
    body = ImportBody.model_validate(line())
    for role in (Role.COMMUNITY, Role.SYSTEM):
        who = Principal(f"{role}:x", role, town.id, (GRID,))
        if role is Role.COMMUNITY:
            orders.check(Line(who, body, "c"))
            continue
        with pytest.raises(Refused) as refusal:
            orders.check(Line(who, body, "c"))
        assert (refusal.value.code, refusal.value.field) == ("source-not-yours", "source")


def test_a_line_is_one_story_and_two_commands_for_whoever_imports_it() -> None:
    body = ImportBody.model_validate(line())
    people = [Principal(n, Role.COMMUNITY, TownId("t3"), (GRID,)) for n in ("a", "b")]
    lines = [Line(who, body, "c") for who in people]
    assert {each.story for each in lines} == {STORY}
    assert len({each.command(step) for each in lines for step in ("submit", "settle")}) == 2


def test_times_are_those_of_the_list_in_any_zone() -> None:
    body = ImportBody.model_validate(line(occurred="2025-06-03T10:30:00+08:00"))
    assert body.occurred == datetime.fromisoformat("2025-06-03T02:30:00Z")
