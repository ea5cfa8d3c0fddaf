"""Stores are lost, a backup of before comes back: everybody finds what they had been told."""

import asyncio
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from deploy.backup.restoring import Wanted, restore
from deploy.backup.taking import back_up
from deploy.demo.client import Client
from deploy.lag import Installation as Where
from deploy.local.installation import Installation, installation
from deploy.local.servers import Servers
from deploy.verify import findings
from shared.access import Role
from shared.sealing import installation_keys
from tests.chaos.rest import settled
from tests.conftest import TOWNS
from tests.journeys.conftest import TOWN, WISH, log_of

pytestmark = pytest.mark.stack

SETTINGS = {"WISHGRID_WAIT_SECONDS": "25", "WISHGRID_SESSION_TIMEOUT_SECONDS": "6"}
PERIOD = {"from": "2026-01-01", "to": "2027-12-31"}


@dataclass
class People:
    """Who works with an installation, and what they see."""

    place: Installation
    resident: Client
    desk: Client
    unit: Client

    def submit(self, n: int) -> dict[str, Any]:
        return self.resident.submit({**WISH, "words": f"第{n}件"}, key=f"wish-{n}")

    def to_the_end(self, n: int) -> dict[str, Any]:
        """A wish from order to write-off; the answer to its submission."""
        first = self.submit(n)
        story, said = first["story"], first
        said = self.accept(n, said)
        said = self.desk.do("dispatch", story, {"unit": "sanitation-station"}, said["position"])
        said = self.unit.do("report", story, {}, said["position"])
        done = {"outcome": "resolved", "note": f"第{n}件已疏通"}
        said = self.unit.do("resolve", story, done, said["position"])
        rating = {"resolved": True, "satisfaction": 5}
        said = self.resident.do("rate", story, rating, said["position"])
        self.desk.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
        return first

    def accept(self, n: int, said: dict[str, Any]) -> dict[str, Any]:
        return self.desk.do("accept", said["story"], {}, said["position"], key=f"accept-{n}")

    @property
    def where(self) -> Where:
        here = self.place.environment
        return Where(
            self.place.servers.kafka,
            self.place.servers.mongo,
            here["WISHGRID_DATABASE_PREFIX"],
            here["WISHGRID_TOPIC_PREFIX"],
        )

    def findings(self) -> list[str]:
        return asyncio.run(findings(self.where, TOWNS))

    def seen(self) -> dict[str, Any]:
        """Report, list, and the page of each case, once all is at rest."""
        asyncio.run(settled(self.where, TOWNS))
        rows = self.desk.rows("/v1/cases")
        pages = {row["story"]: self.desk.get(f"/v1/cases/{row['story']}") for row in rows}
        lines = {row["story"]: self.desk.get(f"/v1/cases/{row['story']}/timeline") for row in rows}
        report = self.desk.get("/v1/report", area="t3/west", **PERIOD)
        return {"report": report, "list": rows, "pages": pages, "timelines": lines}


@dataclass
class House:
    """Installations one after the other, with the same secrets."""

    servers: Servers
    folder: Path
    own: str = field(default_factory=lambda: uuid.uuid4().hex[:6])

    def name(self, said: str) -> str:
        """Of an installation that no other test knows."""
        return said + self.own

    def opened(self, ending: ExitStack, name: str) -> People:
        place = ending.enter_context(
            installation(self.servers, self.folder, name=name, settings=SETTINGS)
        )

        def person(role: Role, sub: str, **scope: Any) -> Client:
            client = Client(place, role, sub, TOWN, **scope)
            ending.callback(client.close)
            return client

        return People(
            place,
            person(Role.RESIDENT, "wx-restored"),
            person(Role.COMMUNITY, "west-desk", areas=["t3/west"]),
            person(Role.UNIT, "sweeper", unit="sanitation-station"),
        )

    def back_up(self, name: str, to: str) -> None:
        stores, keys = self.folder / to / "stores", self.folder / to / "keys"
        back_up(self.servers.mongo, f"wishgrid{name}", stores, keys, lambda _: None)

    def restore(self, name: str, of: str, *, keys: bool) -> None:
        folder = self.folder / of
        secrets = self.folder / "secrets"
        wanted = Wanted(folder / "stores", folder / "keys" if keys else None)
        restore(
            self.servers.mongo,
            f"wishgrid{name}",
            installation_keys(secrets / "master.key", secrets / "index.key"),
            wanted,
            lambda _: None,
        )

    def drop(self, name: str, *databases: str) -> None:
        mongo: MongoClient[dict[str, Any]]
        with MongoClient(self.servers.mongo) as mongo:
            for database in databases:
                mongo.drop_database(f"wishgrid{name}_{database}")


@pytest.fixture
def house(stack_servers: Servers, tmp_path: Path) -> House:
    return House(stack_servers, tmp_path)


def test_what_kafka_holds_beyond_a_restored_backup_is_there_before_anything_is_served(
    house: House,
) -> None:
    with ExitStack() as ending:
        people = house.opened(ending, house.name("lost"))
        early = [people.to_the_end(1), people.submit(2)]
        people.desk.get("/v1/cases", at_least=early[1]["position"])
        house.back_up(house.name("lost"), "old")
        accepted = people.accept(2, early[1])
        late = people.to_the_end(3)
        before = people.seen()
    house.drop(house.name("lost"), "intake", "dispatch", "projections")
    house.restore(house.name("lost"), "old", keys=False)
    with ExitStack() as ending:
        people = house.opened(ending, house.name("lost"))
        # The very first that reaches the services are requests that they have answered before.
        assert people.resident.submit({**WISH, "words": "第3件"}, key="wish-3") == late
        assert people.accept(2, early[1]) == accepted
        assert [people.submit(1), people.submit(2)] == [early[0], early[1]]
        for service in ("intake", "dispatch"):
            assert '"the store has what it lacked"' in log_of(people.place, service)
        assert people.seen() == before
        people.to_the_end(4)
        assert people.findings() == []


def test_an_empty_installation_becomes_the_one_that_was_backed_up(house: House) -> None:
    with ExitStack() as ending:
        people = house.opened(ending, house.name("gone"))
        first = [people.to_the_end(1), people.submit(2)]
        before = people.seen()
        house.back_up(house.name("gone"), "whole")
    house.restore(house.name("anew"), "whole", keys=True)
    with ExitStack() as ending:
        people = house.opened(ending, house.name("anew"))
        after = people.seen()
        assert after == before
        words = {page["words"] for page in after["pages"].values()}
        assert words == {"第1件", "第2件"}
        assert people.submit(1) == first[0]
        people.to_the_end(3)
        assert people.findings() == []
