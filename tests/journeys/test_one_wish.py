"""One wish goes round on two instances of each service, without a sleep and without a retry."""

from urllib.parse import urlencode

import pytest

from deploy.demo.client import Client, Refusal
from deploy.local.installation import Installation
from shared.access import Role
from tests.journeys.conftest import WISH, Person, log_of, until

pytestmark = pytest.mark.stack


def test_from_submission_to_write_off(resident: Client, desk: Client, unit: Client) -> None:
    said = resident.submit(WISH)
    story = said["story"]
    said = desk.do("accept", story, {}, said["position"])
    said = desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
    said = unit.do("report", story, {}, said["position"])
    said = unit.do("progress", story, {"note": "车已在路上"}, said["position"])
    said = unit.do("resolve", story, {"outcome": "resolved", "note": "已疏通"}, said["position"])
    said = resident.do("rate", story, {"resolved": True, "satisfaction": 5}, said["position"])
    case = resident.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
    assert (case["state"], case["outcome"]) == ("closed", "resolved")
    assert case["rating"] == {"resolved": True, "satisfaction": 5}
    assert case["words"] == WISH["words"]
    assert case["due"] > case["submitted"]


def test_a_resident_who_says_not_solved_gets_a_second_round(
    resident: Client, desk: Client, unit: Client
) -> None:
    said = resident.submit(WISH)
    story = said["story"]
    said = desk.do("accept", story, {}, said["position"])
    for solved in (False, True):
        said = desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
        said = unit.do("report", story, {}, said["position"])
        said = unit.do("resolve", story, {"outcome": "resolved", "note": "好了"}, said["position"])
        rating = {"resolved": solved, "satisfaction": 3}
        said = resident.do("rate", story, rating, said["position"])
        state = "closed" if solved else "accepted"
        case = desk.get(f"/v1/cases/{story}", at_least=said["position"], until=state)
        assert case["state"] == state
    case = desk.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
    facts = [e["type"] for e in desk.get(f"/v1/cases/{story}/timeline")]
    assert case["rating"]["resolved"] is True
    assert (facts.count("case-resolved.v1"), facts.count("case-reopened.v1")) == (2, 1)


def test_one_correlation_id_goes_from_the_request_through_facts_and_reactions_to_the_view(
    place: Installation, desk: Client
) -> None:
    correlation = "0af7651916cd43dd8448eb211c80319c"
    answer = _submit_with(place, {"X-Correlation-Id": correlation})
    story = answer["story"]
    desk.get(f"/v1/cases/{story}", at_least=answer["position"], until="opened")
    entries = desk.get(f"/v1/cases/{story}/timeline")
    assert {(e["type"], e["correlation"]) for e in entries} == {
        ("wish-submitted.v1", correlation),
        ("case-opened.v1", correlation),
    }
    opened = next(e for e in entries if e["type"] == "case-opened.v1")
    assert opened["causation"] == answer["position"]
    until(lambda: all(correlation in log_of(place, s) for s in place.services))


def test_every_step_before_its_turn_is_refused_with_its_rule(
    resident: Client, desk: Client, unit: Client, person: Person
) -> None:
    said = resident.submit(WISH)
    story = said["story"]
    with pytest.raises(Refusal, match="not-accepted"):
        desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
    with pytest.raises(Refusal, match="not-resolved-yet"):
        resident.do("rate", story, {"resolved": True, "satisfaction": 5}, said["position"])
    said = desk.do("accept", story, {}, said["position"])
    with pytest.raises(Refusal, match="unknown-unit"):
        desk.do("dispatch", story, {"unit": "nobody"}, said["position"])
    said = desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
    with pytest.raises(Refusal, match="not-reported-in"):
        unit.do("resolve", story, {"outcome": "resolved", "note": "好了"}, said["position"])
    other = person(Role.UNIT, "other", unit="water-company")
    with pytest.raises(Refusal, match=r"404 .*unknown-story"):
        other.post("dispatch", f"/v1/cases/{story}/report", {})
    with pytest.raises(Refusal, match=r"503 .*not-yet"):  # as for a story that there is not
        other.do("report", story, {}, said["position"])


def test_nobody_sees_what_is_not_theirs(
    resident: Client, desk: Client, unit: Client, person: Person
) -> None:
    said = resident.submit(WISH)
    story, position = said["story"], said["position"]
    desk.get(f"/v1/cases/{story}", at_least=position)
    strangers = [
        person(Role.RESIDENT, "wx-neighbour"),
        person(Role.OFFICER, "g5-officer", areas=["t3/west/g5"]),
        person(Role.COMMUNITY, "nowhere-desk"),
        unit,
    ]
    for stranger in strangers:
        assert story not in [row["story"] for row in stranger.cases()]
        for path in (f"/v1/cases/{story}", f"/v1/cases/{story}/timeline"):
            with pytest.raises(Refusal, match=r"404 .*unknown-story"):
                stranger.get(path)
    with pytest.raises(Refusal, match=r"404 .*unknown-story"):
        strangers[0].do("rate", story, {"resolved": True, "satisfaction": 1}, position)
    overseer = person(Role.OVERSEER, "inspector", areas=["t3"])
    assert overseer.get(f"/v1/cases/{story}")["words"] is None


def test_the_list_is_filtered_by_subtree_state_and_unit_and_pages_are_stable(
    resident: Client, desk: Client
) -> None:
    stories = []
    for n in range(7):
        said = resident.submit({**WISH, "area": "t3/west/g9", "words": f"第{n}件"})
        stories.append(said["story"])
    said = desk.do("accept", stories[3], {}, f"wish-{stories[3]}@1")
    said = desk.do("dispatch", stories[3], {"unit": "property-office"}, said["position"])
    for story in stories:
        desk.get(f"/v1/cases/{story}", at_least=f"wish-{story}@1", until="opened")
    desk.get(f"/v1/cases/{stories[3]}", at_least=said["position"])

    seen: list[str] = []
    page = desk.get("/v1/cases", area="t3/west/g9", limit=3)
    while True:
        seen += [row["story"] for row in page["items"]]
        if page["next"] is None:
            break
        # A newer one arrives between two pages: it shifts nothing.
        resident.submit({**WISH, "area": "t3/west/g9", "words": "又一件"})
        page = desk.get("/v1/cases", area="t3/west/g9", limit=3, after=page["next"])
    assert len(seen) == len(set(seen))
    assert [story for story in seen if story in stories] == list(reversed(stories))

    def listed(**query: str) -> list[str]:
        """Of these: others have cases there too."""
        rows = desk.rows(f"/v1/cases?{urlencode({'area': 't3/west/g9', **query})}")
        return [row["story"] for row in rows if row["story"] in stories]

    assert listed(state="dispatched") == listed(unit="property-office") == [stories[3]]
    assert listed(sort="due") == [stories[3]]
    assert stories[0] in [row["story"] for row in desk.get("/v1/cases", area="t3/west")["items"]]
    with pytest.raises(Refusal, match="bad-position"):
        desk.get(f"/v1/cases/{stories[0]}", at_least=said["position"])
    with pytest.raises(Refusal, match="bad-cursor"):
        desk.get("/v1/cases", after="bm8=")


def _submit_with(place: Installation, headers: dict[str, str]) -> dict[str, str]:
    import httpx

    token = place.secrets.token(Role.RESIDENT, "wx-traced", "t3")
    answer = httpx.post(
        f"{place.url('intake')}/v1/wishes",
        json=WISH,
        headers={"Authorization": f"Bearer {token}", **headers},
        timeout=30,
    )
    assert answer.headers["x-correlation-id"] == headers["X-Correlation-Id"]
    said: dict[str, str] = answer.json()
    return said
