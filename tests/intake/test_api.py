"""What residents, staff and systems are answered over HTTP before, between and beside the rules."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from httpx import Response

from shared.access import Role
from shared.contracts.base import StoryId, SubjectId
from shared.contracts.intake import IntakeFact, WishRated, WishSubmitted, WishSupplemented
from tests.build import NOW, OTHER_STORY, invited, noted
from tests.intake.office import JIA, SYSTEM, YI, Office, bearer, matter, resident

RESOLVED = (noted(6, rateable=True), invited(6))
STAFF = (Role.OFFICER, Role.COMMUNITY, Role.STREET)
SETTLED = {"outcome": "resolved", "note": "当场劝离，通道已恢复。"}
FOR_SOMEBODY = {"on_behalf_of_resident": True, "name": "住户甲", "phone": "13800000000"}


@dataclass(frozen=True)
class Call:
    """A request about a wish that its resident is granted: what happened before, what follows."""

    facts: tuple[IntakeFact, ...]
    body: dict[str, Any]
    follows: str
    again: str = ""
    """What it is refused as under another key; empty where it is already so or news again."""
    staff: bool = True


CALLS = {
    "supplement": Call((), {"words": "今天又堵了。"}, "wish-supplemented.v1"),
    "withdraw": Call((), {"reason": "已自行解决。"}, "wish-withdrawn.v1", "already-withdrawn"),
    "rate": Call(
        RESOLVED,
        {"resolved": True, "satisfaction": 5, "words": "很快，谢谢。"},
        "wish-rated.v1",
        "already-rated",
        staff=False,
    ),
}


def refusal(answer: Response) -> tuple[int, str, str | None]:
    problem = answer.json()
    return answer.status_code, problem["code"], problem.get("field")


async def submission(office: Office, who: dict[str, str], **changes: Any) -> WishSubmitted:
    """A wish as it was taken in."""
    (fact,) = await office.facts(await office.sent(who, **changes))
    assert isinstance(fact, WishSubmitted)
    return fact


def test_every_endpoint_is_called() -> None:
    paths = {str(path).rpartition("/")[2] for path in Office().app.openapi()["paths"]}
    assert paths == {"wishes", "imports", *CALLS}  # lists have tests of their own


async def test_a_resident_brings_a_matter_of_their_own() -> None:
    office = Office()
    wish = await submission(office, resident(), name="住户甲", phone="13800000000")
    assert wish.resident is not None
    assert wish.by == wish.submitted_by == f"resident:{wish.resident}"
    assert (wish.proxy, wish.on_behalf_of, wish.source_ref) == (None, None, None)
    assert {wish.words.subject, wish.title.subject} == {SubjectId(wish.resident)}
    assert (await submission(office, resident())).resident == wish.resident
    assert (await submission(office, resident(YI))).resident != wish.resident


async def test_a_resident_brings_a_matter_of_somebody_else() -> None:
    office = Office()
    themselves = (await submission(office, resident())).resident
    wish = await submission(office, resident(), **FOR_SOMEBODY)
    assert wish.proxy == themselves != wish.resident
    assert wish.on_behalf_of == wish.resident
    assert wish.by == wish.submitted_by == f"resident:{themselves}"
    assert wish.words.subject == SubjectId(str(wish.resident))


@pytest.mark.parametrize("role", STAFF)
async def test_staff_bring_what_a_resident_told_them(role: Role) -> None:
    wish = await submission(Office(), bearer(role), **FOR_SOMEBODY)
    assert wish.by == wish.submitted_by == f"{role}:li"
    assert wish.on_behalf_of == wish.resident is not None
    assert wish.proxy is None


async def test_what_an_officer_found_and_nobody_brought_is_nobodys() -> None:
    office = Office()
    story = await office.sent(bearer())
    (wish,) = await office.facts(story)
    assert isinstance(wish, WishSubmitted)
    assert (wish.resident, wish.on_behalf_of) == (None, None)
    assert wish.words.subject == SubjectId(story)


async def test_whoever_gives_a_phone_is_found_again_by_it_however_it_is_written() -> None:
    office = Office()
    first = await submission(office, bearer(), phone="138 0000-0000")
    assert (await submission(office, SYSTEM, phone="+8613800000000")).resident == first.resident
    assert (await submission(office, bearer(), phone="13800000001")).resident != first.resident
    unnamed = await submission(office, bearer(), on_behalf_of_resident=True)
    assert unnamed.resident not in (None, first.resident)


@pytest.mark.parametrize(
    "phone", ["-----", "     ", "+(    )-", "1234", "１３８００００００００", "x" * 31]
)
async def test_what_has_no_digits_is_no_phone_or_all_who_gave_it_would_be_one(phone: str) -> None:
    answer = await Office().post("", bearer(), json=matter(phone=phone))
    assert refusal(answer) == (422, "invalid-request", "phone")


async def test_a_system_passes_on_what_its_own_people_brought() -> None:
    wish = await submission(Office(), SYSTEM, source_ref="A-2026-017")
    assert (wish.by, wish.source_ref) == ("system:hotline", "A-2026-017")


@pytest.mark.parametrize("role", STAFF)
async def test_staff_settle_a_matter_on_the_spot(role: Role) -> None:
    office = Office()
    story = await office.sent(bearer(role), settled_on_spot=SETTLED)
    (wish,) = await office.facts(story)
    assert isinstance(wish, WishSubmitted)
    assert wish.settled_on_spot is not None
    assert (wish.settled_on_spot.outcome, wish.settled_on_spot.by) == ("resolved", f"{role}:li")
    sealer = await office.keys.sealer(SubjectId(story))
    assert sealer.open(story, "note", wish.settled_on_spot.note) == SETTLED["note"]


async def test_a_resident_cannot_settle_a_matter_on_the_spot() -> None:
    for body in (matter(settled_on_spot=SETTLED), matter(settled_on_spot=SETTLED, **FOR_SOMEBODY)):
        answer = await Office().post("", resident(), json=body)
        assert refusal(answer) == (422, "not-yours-to-settle", "settled_on_spot")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"kind": "miracle"}, "unknown-kind", "kind"),
        ({"category": "miracle"}, "unknown-category", "category"),
        ({"channel": "miracle"}, "unknown-channel", "channel"),
        ({"area": "t3/moon"}, "unknown-area", "area"),
        ({"area": "t9/west"}, "unknown-area", "area"),
        (
            {"settled_on_spot": {**SETTLED, "outcome": "miracle"}},
            "unknown-outcome",
            "settled_on_spot.outcome",
        ),
    ],
    ids=["kind", "category", "channel", "area", "area-of-another-town", "outcome"],
)
async def test_what_the_town_does_not_know_is_refused_by_name(
    changes: dict[str, Any], code: str, field: str
) -> None:
    for who in (bearer(), SYSTEM):
        answer = await Office().post("", who, json=matter(**changes))
        assert refusal(answer) == (422, code, field)


async def test_staff_bring_what_is_in_their_own_areas_alone() -> None:
    for areas, status in ((["t3"], 201), (["t3/west/g4"], 201), (["t3/west/g5"], 422), ([], 422)):
        answer = await Office().post("", bearer(areas=areas), json=matter())
        assert answer.status_code == status
        if status == 422:
            assert refusal(answer) == (422, "area-not-yours", "area")
    assert (await Office().post("", resident(), json=matter())).status_code == 201


@pytest.mark.parametrize("missing", ["kind", "category", "area", "channel", "words"])
async def test_what_a_matter_needs_is_named_when_it_is_missing(missing: str) -> None:
    body = {name: value for name, value in matter().items() if name != missing}
    assert refusal(await Office().post("", bearer(), json=body)) == (
        422,
        "invalid-request",
        missing,
    )


async def test_the_same_key_again_is_the_same_wish_and_another_body_is_refused() -> None:
    office = Office()
    for who in (resident(), bearer(), SYSTEM):
        keyed = {**who, "Idempotency-Key": "mine"}
        first = await office.post("", keyed, json=matter())
        again = await office.post("", keyed, json=matter())
        assert (again.status_code, again.json()) == (201, first.json())
        other = await office.post("", keyed, json=matter(words="别的"))
        assert refusal(other) == (422, "key-reused", "key")
        assert len(await office.facts(StoryId(first.json()["story"]))) == 1


@pytest.mark.parametrize(
    ("who", "hours", "code"),
    [
        (resident(), 719, None),
        (resident(), 721, "occurred-too-far-back"),
        (bearer(), 71, None),
        (bearer(), 73, "occurred-too-far-back"),
        (SYSTEM, 73, "occurred-too-far-back"),
        (bearer(), -1, "occurred-ahead"),
        (resident(), -1, "occurred-ahead"),
    ],
)
async def test_each_may_claim_so_far_back_and_never_ahead(
    who: dict[str, str], hours: int, code: str | None
) -> None:
    occurred = (NOW - timedelta(hours=hours)).isoformat()
    answer = await Office().post("", who, json=matter(occurred=occurred))
    if code is None:
        assert answer.status_code == 201
    else:
        assert refusal(answer) == (422, code, "occurred")


async def brought(office: Office, *facts: IntakeFact) -> StoryId:
    """A wish that one resident brought for another, and what happened to it since."""
    story = await office.sent(resident(), **FOR_SOMEBODY)
    await office.tell(story, *facts)
    return story


async def own(office: Office, *facts: IntakeFact) -> StoryId:
    """A resident's own wish, and what happened to it since."""
    story = await office.sent(resident())
    await office.tell(story, *facts)
    return story


@pytest.mark.parametrize("verb", CALLS)
@pytest.mark.parametrize("whose", [own, brought], ids=["own", "proxy"])
async def test_a_resident_speaks_about_what_they_brought_for_themselves_or_another(
    verb: str, whose: Any
) -> None:
    office, call = Office(), CALLS[verb]
    story = await whose(office, *call.facts)
    wish, *_ = await office.facts(story)
    assert isinstance(wish, WishSubmitted)
    answer = await office.post(f"/{story}/{verb}", resident(), json=call.body)
    said = answer.json()
    version = 1 + len(call.facts) + 1
    assert (answer.status_code, said["said"]) == (200, "decided")
    assert (said["story"], said["position"]) == (story, f"wish-{story}@{version}")
    follows = (await office.facts(story))[-1]
    assert (follows.type, follows.by) == (call.follows, wish.submitted_by)


@pytest.mark.parametrize("verb", [verb for verb, call in CALLS.items() if call.staff])
@pytest.mark.parametrize("role", STAFF)
async def test_staff_speak_about_what_is_in_their_area(verb: str, role: Role) -> None:
    office, call = Office(), CALLS[verb]
    for story in (await own(office), await office.sent(bearer())):
        answer = await office.post(f"/{story}/{verb}", bearer(role), json=call.body)
        assert answer.status_code == 200
        assert (await office.facts(story))[-1].by == f"{role}:li"


@pytest.mark.parametrize("verb", CALLS)
async def test_a_wish_is_not_there_for_strangers_and_other_places(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    story = await brought(office, *call.facts)
    await office.sent(resident(YI))
    strangers = [resident(YI), resident("account-of-nobody"), resident(JIA, town="t9")]
    if call.staff:
        strangers += [
            bearer(areas=["t3/east"]),
            bearer(areas=[]),
            bearer(Role.STREET, town="t9", areas=["t9"]),
        ]
    for who in strangers:
        answer = await office.post(f"/{story}/{verb}", who, json=call.body)
        assert refusal(answer) == (404, "unknown-story", None)
    missing = await office.post(f"/{OTHER_STORY}/{verb}", resident(), json=call.body)
    assert refusal(missing) == (404, "unknown-story", None)
    assert len(await office.facts(story)) == 1 + len(call.facts)


@pytest.mark.parametrize("verb", CALLS)
async def test_who_may_not_see_the_wish_is_told_so_before_any_waiting(verb: str) -> None:
    office = Office()
    story = await own(office)
    far = {"at_least": f"case-{story}@9"}
    body = CALLS[verb].body
    answer = await office.post(f"/{story}/{verb}", resident(YI), params=far, json=body)
    assert refusal(answer) == (404, "unknown-story", None)
    waiting = await office.post(f"/{story}/{verb}", resident(), params=far, json=body)
    assert refusal(waiting) == (503, "not-yet", None)


async def test_a_parked_story_says_so() -> None:
    office = Office(parked=True)
    story = await own(office)
    far = {"at_least": f"case-{story}@9"}
    answer = await office.post(f"/{story}/withdraw", resident(), params=far)
    assert refusal(answer) == (503, "parked", None)


async def test_a_position_of_another_story_or_of_none_is_refused() -> None:
    office = Office()
    story = await own(office)
    for position in (f"case-{OTHER_STORY}@1", "case", f"wish-{story}@0", "$gt"):
        params = {"at_least": position}
        answer = await office.post(f"/{story}/withdraw", resident(), params=params)
        assert refusal(answer) == (422, "bad-position", "at_least")


@pytest.mark.parametrize("verb", CALLS)
async def test_said_again_under_the_same_key_it_is_the_same_answer(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    story = await own(office, *call.facts)
    keyed = {**resident(), "Idempotency-Key": "mine"}
    first = await office.post(f"/{story}/{verb}", keyed, json=call.body)
    stored = await office.facts(story)
    again = await office.post(f"/{story}/{verb}", keyed, json=call.body)
    assert (again.status_code, again.json()) == (200, first.json())
    other = {**call.body, "occurred": "2026-03-02T07:59:00Z"}
    reused = await office.post(f"/{story}/{verb}", keyed, json=other)
    assert refusal(reused) == (422, "key-reused", "key")
    assert await office.facts(story) == stored


@pytest.mark.parametrize("verb", ["withdraw", "rate"])
async def test_a_second_text_is_refused_and_what_is_said_without_text_is_already_so(
    verb: str,
) -> None:
    office, call = Office(), CALLS[verb]
    story = await own(office, *call.facts)
    await office.post(f"/{story}/{verb}", resident(), json=call.body)
    stored = await office.facts(story)
    second = await office.post(f"/{story}/{verb}", resident(), json=call.body)
    assert refusal(second) == (409, call.again, None)
    mute = {name: v for name, v in call.body.items() if name not in ("words", "reason")}
    already = await office.post(f"/{story}/{verb}", resident(), json=mute)
    assert (already.status_code, already.json()["said"]) == (200, "already-so")
    assert await office.facts(story) == stored


async def test_what_is_supplemented_twice_was_said_twice() -> None:
    office = Office()
    story = await own(office)
    for _ in range(2):
        await office.post(f"/{story}/supplement", resident(), json=CALLS["supplement"].body)
    assert len(await office.facts(story)) == 3


async def test_a_wish_is_withdrawn_without_a_word() -> None:
    office = Office()
    story = await own(office)
    assert (await office.post(f"/{story}/withdraw", resident())).status_code == 200
    body = CALLS["supplement"].body
    late = await office.post(f"/{story}/supplement", resident(), json=body)
    assert refusal(late) == (409, "already-withdrawn", None)


async def test_nobody_rates_before_there_is_a_resolution() -> None:
    office = Office()
    story = await own(office)
    answer = await office.post(f"/{story}/rate", resident(), json=CALLS["rate"].body)
    assert refusal(answer) == (409, "not-resolved-yet", None)


async def test_once_it_is_closed_nothing_is_said_any_more() -> None:
    office = Office()
    story = await own(office, noted(6), noted(7, closed=True))
    for verb, call in CALLS.items():
        answer = await office.post(f"/{story}/{verb}", resident(), json=call.body)
        assert refusal(answer) == (409, "already-closed", None)


async def test_what_a_proxy_says_is_sealed_for_the_resident_it_is_about() -> None:
    office = Office()
    story = await brought(office, *RESOLVED)
    for verb in ("supplement", "rate"):
        await office.post(f"/{story}/{verb}", resident(), json=CALLS[verb].body)
    wish, *_, more, rating = await office.facts(story)
    assert isinstance(wish, WishSubmitted)
    assert isinstance(more, WishSupplemented)
    assert isinstance(rating, WishRated)
    assert rating.words is not None
    assert more.words.subject == rating.words.subject == SubjectId(str(wish.resident))
    sealer = await office.keys.sealer(more.words.subject)
    assert sealer.open(story, "words", more.words) == CALLS["supplement"].body["words"]
    assert sealer.open(story, "words", rating.words) == CALLS["rate"].body["words"]


async def test_a_wish_that_has_moved_on_is_a_conflict_for_who_saw_it_before() -> None:
    office = Office()
    story = await own(office, *RESOLVED)
    stale = {**resident(), "If-Match": "1"}
    answer = await office.post(f"/{story}/withdraw", stale)
    assert refusal(answer) == (409, "conflict", None)
    fresh = {**resident(), "If-Match": '"3"'}
    assert (await office.post(f"/{story}/withdraw", fresh)).status_code == 200


@pytest.mark.parametrize("verb", CALLS)
async def test_what_is_said_about_a_wish_may_not_lie_ahead(verb: str) -> None:
    office, call = Office(), CALLS[verb]
    story = await own(office, *call.facts)
    for occurred, code in (
        ("2026-03-02T08:00:01Z", "occurred-ahead"),
        ("2026-01-01T00:00:00Z", "occurred-too-far-back"),
        ("2026-03-02T07:00:00", "invalid-request"),
    ):
        body = {**call.body, "occurred": occurred}
        answer = await office.post(f"/{story}/{verb}", resident(), json=body)
        assert refusal(answer) == (422, code, "occurred")


@pytest.mark.parametrize(
    ("verb", "changes", "field"),
    [
        ("supplement", {"words": None}, "words"),
        ("rate", {"resolved": None}, "resolved"),
        ("rate", {"satisfaction": 0}, "satisfaction"),
        ("rate", {"satisfaction": 6}, "satisfaction"),
        ("rate", {"satisfaction": 4.5}, "satisfaction"),
        ("rate", {"satisfaction": "5"}, "satisfaction"),
        ("rate", {"satisfaction": True}, "satisfaction"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    verb: str, changes: dict[str, Any], field: str
) -> None:
    office, call = Office(), CALLS[verb]
    story = await own(office, *call.facts)
    answer = await office.post(f"/{story}/{verb}", resident(), json={**call.body, **changes})
    assert refusal(answer) == (422, "invalid-request", field)


async def test_once_the_resident_is_erased_no_text_is_taken_any_more() -> None:
    office = Office()
    story = await own(office, *RESOLVED)
    office.keys.erase()
    for verb, call in CALLS.items():
        answer = await office.post(f"/{story}/{verb}", resident(), json=call.body)
        assert refusal(answer) == (409, "erased", None)
