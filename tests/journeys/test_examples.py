"""The example of each request body, sent as it is to the real services: each is taken."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from deploy.demo.client import Client
from deploy.local.installation import Installation
from shared.access import Role
from tests.journeys.conftest import WISH, Person

pytestmark = pytest.mark.stack


@pytest.fixture
def bodies(place: Installation) -> dict[str, Any]:
    """The example of each operation that takes a body."""
    found = {}
    for service in ("intake", "dispatch"):
        with urllib.request.urlopen(f"{place.url(service)}/openapi.json") as answer:
            document = json.load(answer)
        for methods in document["paths"].values():
            for operation in methods.values():
                if body := operation.get("requestBody"):
                    example = body["content"]["application/json"]["example"]
                    found[operation["operationId"]] = example
    return found


def test_every_example_of_a_body_is_taken_as_it_is(
    resident: Client, desk: Client, person: Person, bodies: dict[str, Any]
) -> None:
    taken: set[str] = set()
    unit = person(Role.UNIT, "exemplary", unit=bodies["dispatch"]["unit"])
    other = next(
        each["code"]
        for each in desk.get("/v1/town")["units"]
        if each["code"] != bodies["redirect"]["unit"]
    )
    kind = next(k for k in desk.get("/v1/town")["kinds"] if k["verification_asked"])
    checked = {**WISH, "kind": kind["code"], "category": kind["categories"][0]["code"]}

    def begin(wish: dict[str, Any]) -> Callable[..., None]:
        said = resident.submit(wish)
        story = said["story"]

        def step(who: Client, verb: str, body: dict[str, Any] | None = None) -> None:
            nonlocal said
            example = bodies[verb]
            service = "intake" if verb in ("supplement", "withdraw", "rate") else "dispatch"
            path = f"/v1/{'wishes' if service == 'intake' else 'cases'}/{story}/{verb}"
            said = who.post(service, path, example if body is None else body, said["position"])
            assert said["said"] == "decided"
            if body is None:
                taken.add(verb)

        return step

    step = begin(bodies["submit"])
    taken.add("submit")
    step(resident, "supplement")
    for verb in ("accept", "contact", "dispatch"):
        step(desk, verb)
    for verb in ("report", "progress", "resolve"):
        step(unit, verb)
    step(resident, "rate")

    step = begin(WISH)
    step(desk, "accept")
    step(desk, "dispatch", {"unit": other})
    step(desk, "redirect")
    step(unit, "return")
    step(desk, "refer")

    begin(WISH)(desk, "decline")
    begin(WISH)(resident, "withdraw")

    step = begin(checked)
    step(desk, "accept")
    step(desk, "dispatch")
    for who, verb in ((unit, "report"), (unit, "resolve"), (desk, "rework"), (unit, "resolve")):
        step(who, verb)
    step(desk, "verify")

    listed = desk.post("intake", "/v1/imports", bodies["import_matter"])
    assert listed["became"] == "taken-in"
    taken.add("import_matter")
    assert taken == set(bodies)
