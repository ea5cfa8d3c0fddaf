"""The same request is one command, however often, wherever and whenever it is sent."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.demo.client import Client, Refusal
from deploy.local.installation import Installation
from shared.access import Role
from tests.journeys.conftest import WISH, Person

pytestmark = pytest.mark.stack

RACES = 200


def test_two_clients_with_one_key_submit_two_wishes(person: Person) -> None:
    one, other = person(Role.RESIDENT, "wx-one"), person(Role.RESIDENT, "wx-other")
    assert one.submit(WISH, key="same")["story"] != other.submit(WISH, key="same")["story"]


def test_one_client_twice_at_once_and_after_a_restart_is_one_wish_with_one_answer(
    place: Installation, person: Person, desk: Client
) -> None:
    clients = [person(Role.RESIDENT, "wx-twice") for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(lambda c: c.submit(WISH, key="twice"), clients))
    for instance in place.services["intake"]:
        instance.restart()
    answers += [clients[0].submit(WISH, key="twice") for _ in range(2)]
    assert all(answer == answers[0] for answer in answers)
    desk.get("/v1/cases", at_least=answers[0]["position"])
    mine = person(Role.RESIDENT, "wx-twice").cases()
    assert [row["story"] for row in mine] == [answers[0]["story"]]


def test_the_same_key_with_another_body_is_refused(resident: Client) -> None:
    resident.submit(WISH, key="reused")
    with pytest.raises(Refusal, match=r"422 .*key-reused"):
        resident.submit({**WISH, "words": "另一件事"}, key="reused")


def test_a_retry_after_the_case_has_closed_gets_its_first_answer(
    resident: Client, desk: Client, unit: Client
) -> None:
    said = resident.submit(WISH, key="early")
    story, first = said["story"], said
    accepted = desk.post("dispatch", f"/v1/cases/{story}/accept", {}, said["position"], "accept-1")
    said = desk.do("dispatch", story, {"unit": "sanitation-station"}, accepted["position"])
    said = unit.do("report", story, {}, said["position"])
    outcome = {"outcome": "resolved", "note": "好了"}
    resolved = unit.post(
        "dispatch", f"/v1/cases/{story}/resolve", outcome, said["position"], "resolve-1"
    )
    said = resident.do("rate", story, {"resolved": True, "satisfaction": 5}, resolved["position"])
    desk.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
    before = desk.get(f"/v1/cases/{story}")["versions"]

    assert resident.submit(WISH, key="early") == first
    path = f"/v1/cases/{story}"
    assert desk.post("dispatch", f"{path}/accept", {}, None, "accept-1") == accepted
    assert unit.post("dispatch", f"{path}/resolve", outcome, None, "resolve-1") == resolved
    with pytest.raises(Refusal, match=r"409 .*already-closed"):
        unit.post("dispatch", f"{path}/resolve", outcome, None, "resolve-2")
    assert desk.get(path)["versions"]["case"] == before["case"]


def test_two_dispatchers_race_for_each_case_and_one_wins(
    resident: Client, person: Person, desk: Client
) -> None:
    """Each case is dispatched once; the other is told `conflict`, or the rule."""
    racers = [person(Role.COMMUNITY, f"desk-{n}", areas=["t3/west"]) for n in range(2)]
    units = ("sanitation-station", "water-company")

    def try_it(n: int, story: str, position: str) -> str:
        try:
            racers[n].do("dispatch", story, {"unit": units[n]}, position)
        except Refusal as refusal:
            return refusal.code
        return "won"

    stories = []
    for n in range(RACES):
        said = resident.submit({**WISH, "words": f"竞赛{n}"})
        stories.append(desk.do("accept", said["story"], {}, said["position"]))
    told: list[list[str]] = []
    with ThreadPoolExecutor(2) as pool:
        for said in stories:
            runs = [pool.submit(try_it, n, said["story"], said["position"]) for n in range(2)]
            told.append(sorted(run.result() for run in runs))
    assert {tuple(pair) for pair in told} <= {("already-dispatched", "won"), ("conflict", "won")}
    for said in stories:
        case = desk.get(f"/v1/cases/{said['story']}", at_least=said["position"], until="dispatched")
        assert case["versions"]["case"] == 3
