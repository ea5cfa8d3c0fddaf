"""People who use the one installation of all journeys."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.demo.client import Client
from deploy.local.installation import Installation
from shared.access import Role

TOWN = "t3"
WISH = {
    "kind": "appeal",
    "category": "sanitation",
    "area": "t3/west/g4",
    "channel": "wechat",
    "words": "下水道堵了，污水流到路上。",
}

Person = Callable[..., Client]


@pytest.fixture
def person(place: Installation) -> Iterator[Person]:
    """`person(role, sub, areas=…, unit=…)`: a client of the installation, closed at the end."""
    known: list[Client] = []

    def make(role: Role, sub: str, **scope: object) -> Client:
        known.append(Client(place, role, sub, TOWN, **scope))  # type: ignore[arg-type]  # passed on
        return known[-1]

    yield make
    for client in known:
        client.close()


@pytest.fixture
def resident(person: Person) -> Client:
    return person(Role.RESIDENT, "wx-resident")


@pytest.fixture
def desk(person: Person) -> Client:
    return person(Role.COMMUNITY, "west-desk", areas=["t3/west"])


@pytest.fixture
def unit(person: Person) -> Client:
    return person(Role.UNIT, "sweeper", unit="sanitation-station")


def until(what: Callable[[], bool], seconds: float = 120) -> None:
    """Return as soon as it is so; fail when it is not in time."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.05)


def log_of(place: Installation, service: str) -> str:
    """All that the instances of a service have logged."""
    files = (place.folder / "logs").glob(f"{service}-*.log")
    return "\n".join(Path(file).read_text(encoding="utf-8") for file in files)
