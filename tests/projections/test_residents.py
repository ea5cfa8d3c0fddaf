"""A resident sees their own, and nothing of another's by any endpoint or parameter there is."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from fastapi import FastAPI
from httpx import Response

from services.projections.api import routes
from services.projections.paging import Cursor
from shared.access import Role
from shared.contracts.base import AreaId, Code, ResidentId, Sealed, StoryId
from shared.contracts.base import Request as Inbound
from shared.contracts.dispatch import ReportNoted, UnitReported
from shared.contracts.intake import (
    IntakeFact,
    SettledOnSpot,
    UnitReportReceived,
    WishSubmitted,
    WishSupplemented,
)
from shared.contracts.recorded import Recorded, stream_id
from shared.mongo import Client, Database
from shared.web import api_routes, create_app, roles_of
from tests.build import (
    ACCEPTED,
    CREW,
    DRAINS,
    NOW,
    OFFICER,
    POLICY,
    dispatched,
    invited,
    noted,
    opened,
    rated,
    recorded,
    reported,
    resolved,
    sealed,
)
from tests.projections.front_end import IDENTITY, FrontEnd, account_of, front_end, key_of
from tests.projections.model import MIXED, NEXT_GRID

stack = pytest.mark.stack

ANNA, BO, CARL = (ResidentId(f"{n}" * 32) for n in "abc")
"""Anna asks; Bo is somebody else, for whom Carl has submitted something too."""
ANNAS, ANNAS_FOR_BO = (StoryId(f"aaaaaaaa-0000-4000-8000-{n:012}") for n in range(2))
BOS, CARLS_FOR_BO = (StoryId(f"bbbbbbbb-0000-4000-8000-{n:012}") for n in range(2))
SECRET: Final = "谁也不该看到的话"
INBOUND = Inbound.model_validate({"partner": "hotline", "source": "/h", "id": "secret-request-7"})

BOS_CURSOR = Cursor(sort="-submitted", value=NOW, id=BOS).encode()
BOS_DUE_CURSOR = Cursor(sort="due", value=NOW, id=BOS).encode()
POSITIONS = (f"wish-{BOS}@1", f"case-{BOS}@1", f"wish-{CARLS_FOR_BO}@1", f"case-{BOS}@999")
PROBES: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "list_cases": {
        "area": ("t3", "t3/west", NEXT_GRID),
        "state": ("submitted", "resolved", "closed"),
        "number": ("received", "open", "resolved"),
        "unit": (DRAINS,),
        "kind": ("appeal", "hazard"),
        "category": ("sanitation", "fire"),
        "channel": ("visit", "online"),
        "from": ("2026-03-02", "0001-01-01"),
        "to": ("2026-03-02", "9999-12-31"),
        "only": ("true",),
        "overdue": ("true",),
        "sort": ("-submitted", "due"),
        "limit": ("200",),
        "after": (BOS_CURSOR, BOS_DUE_CURSOR),
        "at_least": POSITIONS,
    },
    "read_case": {
        "story": (BOS, CARLS_FOR_BO),
        "at_least": POSITIONS,
        "until": ("submitted", "closed"),
    },
    "read_timeline": {"story": (BOS, CARLS_FOR_BO), "at_least": POSITIONS},
    "read_my_wishes": {"limit": ("200",), "after": (BOS_CURSOR,), "at_least": POSITIONS},
    "read_town": {},
}
"""What Anna may try, by endpoint and parameter: whatever is added must be tried too."""


def absent() -> Any:
    return None


@asynccontextmanager
async def asleep(_: FastAPI) -> AsyncIterator[None]:
    yield


async def ready() -> dict[str, bool]:
    return {}


BLUEPRINT = create_app("read", routes(absent(), absent()), IDENTITY.doorkeeper(), ready, {}, asleep)
OPERATIONS = {
    (path, method): operation
    for path, methods in BLUEPRINT.openapi()["paths"].items()
    for method, operation in methods.items()
}
PATHS = {operation["operationId"]: path for (path, _), operation in OPERATIONS.items()}


def test_every_endpoint_and_parameter_a_resident_has_is_tried() -> None:
    theirs = {r.operation_id for r in api_routes(BLUEPRINT) if Role.RESIDENT in roles_of(r)}
    theirs -= {"follow_changes"}  # it has no end: `test_live.py` tries it
    found = {
        operation["operationId"]: {
            each["name"] for each in operation.get("parameters", ()) if each["in"] != "header"
        }
        for operation in OPERATIONS.values()
        if operation["operationId"] in theirs
    }
    assert {method for _, method in OPERATIONS} == {"get"}  # a body would have to be tried too
    assert found == {operation: set(tried) for operation, tried in PROBES.items()}


def texts_of(subject: str, story: StoryId, seal: Any) -> dict[str, Sealed]:
    fields = ("title", "words", "name", "phone", "address")
    return {field: seal.seal(story, field, f"{subject}的{field}，{SECRET}") for field in fields}


def wish_of(story: StoryId, resident: ResidentId, seal: Any, **more: Any) -> WishSubmitted:
    return WishSubmitted(
        by=OFFICER,
        submitted_by=OFFICER,
        kind=Code("appeal"),
        category=Code("sanitation"),
        area=AreaId(NEXT_GRID),
        channel=Code("visit"),
        resident=resident,
        **texts_of(resident[:1], story, seal),  # type: ignore[arg-type]  # texts by field
        **more,
    )


def stream(kind: str, story: StoryId, *facts: Any) -> list[Recorded]:
    return [
        recorded(fact, stream_id(kind, story), n, town=MIXED)
        for n, fact in enumerate(facts, start=1)
    ]


@asynccontextmanager
async def neighbours(mongo: Client, home: Database) -> AsyncIterator[FrontEnd]:
    """Anna, Bo and Carl have each sent something in; some of it is far on its way."""
    seals = {who: await key_of(home, who) for who in (ANNA, BO)}
    for account, who in (("wx-anna", ANNA), ("wx-bo", BO), ("wx-carl", CARL)):
        await account_of(home, account, who)
    spot = SettledOnSpot(
        outcome=Code("resolved"), by=OFFICER, note=seals[ANNA].seal(ANNAS, "note", "当场办好")
    )
    facts: list[Recorded] = []
    for story, who, more in (
        (ANNAS, ANNA, {"settled_on_spot": spot, "request": INBOUND}),
        (ANNAS_FOR_BO, BO, {"proxy": ANNA}),
        (BOS, BO, {}),
        (CARLS_FOR_BO, BO, {"proxy": CARL}),
    ):
        wish: list[IntakeFact] = [
            wish_of(story, who, seals[who], **more),
            WishSupplemented(by=OFFICER, words=seals[who].seal(story, "words", "还有" + SECRET)),
            UnitReportReceived(by=POLICY, unit=DRAINS, request=INBOUND),
            noted(4, rateable=True),
            invited(4),
        ]
        taken = reported().model_copy(update={"request": INBOUND})
        facts += stream("wish", story, *wish)
        facts += stream(
            "case",
            story,
            opened(),
            ACCEPTED,
            dispatched(),
            ReportNoted(by=POLICY, unit=DRAINS, request=INBOUND),
            UnitReported(by=CREW, unit=DRAINS, to=taken.to, request=INBOUND),
            resolved(),
        )
    async with front_end(mongo, home, facts) as house:
        yield house


def tries() -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Each value of each parameter, alone and with all others at their first value."""
    for operation, tried in PROBES.items():
        stories = tried.get("story", ("",))
        others = {name: values[0] for name, values in tried.items() if name != "story"}
        for story in stories:
            yield operation, {"story": story}, {}
            for name, values in tried.items():
                for value in values if name != "story" else ():
                    yield operation, {"story": story}, {name: value}
                    yield operation, {"story": story}, {**others, name: value}


def leaks(answer: Response, *asked: str) -> list[str]:
    """What of Bo's is in an answer, that was not in the question."""
    needles = [BO, CARL, BOS, CARLS_FOR_BO, "bbbb", f"b的title，{SECRET}"]
    text = answer.text
    for word in asked:
        text = text.replace(word, "")
    return [needle for needle in needles if needle in text]


@stack
async def test_nothing_of_another_resident_is_answered_whatever_is_asked(
    mongo: Client, home: Database
) -> None:
    async with neighbours(mongo, home) as house:
        await home["stories"].delete_one({"_id": ANNAS_FOR_BO})  # Bo's texts, in none of the rest
        await home["case_list"].delete_one({"_id": ANNAS_FOR_BO})
        statuses = set()
        for operation, place, query in tries():
            path = PATHS[operation].format(**place)
            answer = await house.ask(path, query, Role.RESIDENT, sub="wx-anna")
            asked = (*query.values(), place["story"])
            assert (operation, query, leaks(answer, *asked)) == (operation, query, [])
            assert SECRET not in answer.text or ANNAS in answer.text
            assert answer.status_code in (200, 404, 422, 503)
            statuses.add(answer.status_code)
            if place["story"]:
                instead = {name: v.replace("bbbbbbbb", "cccccccc") for name, v in query.items()}
                other = path.replace("bbbbbbbb", "cccccccc")  # of no story there is
                nobody = await house.ask(other, instead, Role.RESIDENT, sub="wx-anna")
                assert answer.status_code == nobody.status_code
                assert answer.json()["code"] == nobody.json()["code"]
        assert statuses == {200, 404, 422, 503}


@stack
async def test_who_has_sent_in_nothing_sees_nothing(mongo: Client, home: Database) -> None:
    async with neighbours(mongo, home) as house:
        for path in ("/v1/cases", "/v1/my-wishes"):
            assert await house.all_pages(path, {}, Role.RESIDENT, sub="wx-nobody") == []
        answer = await house.ask(f"/v1/cases/{ANNAS}", {}, Role.RESIDENT, sub="wx-nobody")
        assert answer.status_code == 404


@stack
async def test_a_resident_reads_what_concerns_them_and_what_they_sent_for_another(
    mongo: Client, home: Database
) -> None:
    async with neighbours(mongo, home) as house:
        mine = await house.all_pages("/v1/my-wishes", {"limit": 1}, Role.RESIDENT, sub="wx-anna")
        assert {(wish["story"], wish["for_another"]) for wish in mine} == {
            (ANNAS, False),
            (ANNAS_FOR_BO, True),
        }
        (own,) = [wish for wish in mine if wish["story"] == ANNAS]
        assert own["title"] == f"a的title，{SECRET}"
        assert (own["state"], own["outcome"], own["supplements"]) == ("resolved", "resolved", 1)
        assert own["rating_asked"] is True
        bos = await house.all_pages("/v1/my-wishes", {}, Role.RESIDENT, sub="wx-bo")
        assert {wish["story"] for wish in bos} == {ANNAS_FOR_BO, BOS, CARLS_FOR_BO}
        listed = await house.all_pages("/v1/cases", {}, Role.RESIDENT, sub="wx-anna")
        assert {row["story"] for row in listed} == {ANNAS, ANNAS_FOR_BO}
        for story in (ANNAS, ANNAS_FOR_BO):
            said = await house.told(f"/v1/cases/{story}", {}, Role.RESIDENT, sub="wx-anna")
            assert SECRET in said["words"]


@stack
async def test_a_rating_is_no_longer_asked_once_it_was_given(mongo: Client, home: Database) -> None:
    seal = await key_of(home, ANNA)
    await account_of(home, "wx-anna", ANNA)
    wish = stream(
        "wish", ANNAS, wish_of(ANNAS, ANNA, seal), noted(4, rateable=True), rated(4, solved=True)
    )
    async with front_end(mongo, home, wish) as house:
        (said,) = await house.all_pages("/v1/my-wishes", {}, Role.RESIDENT, sub="wx-anna")
        assert said["rating_asked"] is False
        assert said["rating"] == {"resolved": True, "satisfaction": 4}


@stack
async def test_a_timeline_opens_texts_deep_in_a_fact_and_shows_no_boxes(
    mongo: Client, home: Database
) -> None:
    async with neighbours(mongo, home) as house:
        path = f"/v1/cases/{ANNAS}/timeline"
        staff, own = (
            await house.told(path),
            await house.told(path, {}, Role.RESIDENT, sub="wx-anna"),
        )
        overseer = await house.told(path, {}, Role.OVERSEER)
        for entries in (staff, own, overseer):
            assert "box" not in json.dumps(entries)
            submitted = next(e for e in entries if e["type"] == "wish-submitted.v1")
            assert submitted["details"]["settled_on_spot"] == {
                "outcome": "resolved",
                "by": OFFICER,
            }
        for entries in (staff, own):
            submitted = next(e for e in entries if e["type"] == "wish-submitted.v1")
            assert submitted["texts"]["settled_on_spot.note"] == "当场办好"
        assert all(entry["texts"] == {} for entry in overseer)
        assert "secret-request-7" in json.dumps(staff)
        assert "secret-request-7" not in json.dumps(own)
        pseudonyms = {"resident", "on_behalf_of", "proxy"}
        (of_staff,), (of_own,) = (
            [e["details"].keys() for e in entries if e["type"] == "wish-submitted.v1"]
            for entries in (staff, own)
        )
        assert "resident" in of_staff
        assert not pseudonyms & of_own
        hidden = {e["type"] for e in staff} - {e["type"] for e in own}
        assert hidden == {"unit-report-received.v1", "report-noted.v1"}
        assert sealed("x").box not in json.dumps(staff)
