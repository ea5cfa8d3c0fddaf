"""People who take cases from order to write-off and insist: the same key until it is written."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any, Final, NamedTuple

import httpx

from deploy.local.installation import Installation
from shared.access import Role
from tests.journeys.conftest import TOWN, WISH

WALKERS: Final = 2
THINK_SECONDS: Final = 0.1
AGAIN_SECONDS: Final = 0.2
PATIENCE_SECONDS: Final = 240.0


class Ack(NamedTuple):
    """A write that was acknowledged: when, by whom, under which key, and what was written."""

    at: float
    service: str
    key: str
    position: str


class Ledger:
    """All that was acknowledged, and what clients heard instead."""

    def __init__(self) -> None:
        self.acks: list[Ack] = []
        self.heard: Counter[str] = Counter()

    def outage(self, steady: str, since: float) -> float:
        """The longest time without an acknowledgement of what this steady writer sends, from just
        before `since` until now."""
        times = [ack.at for ack in tuple(self.acks) if ack.key.startswith(f"{steady}#")]
        before = max((at for at in times if at <= since), default=since)
        moments = [before, *(at for at in times if at > since), time.monotonic()]
        return max(b - a for a, b in pairwise(moments))


class Person:
    """Somebody with a token, who goes round the instances of a service."""

    def __init__(self, place: Installation, ledger: Ledger, role: Role, sub: str, **scope: Any):
        token = place.secrets.token(role, sub, TOWN, **scope)
        self._http = httpx.Client(timeout=40, headers={"Authorization": f"Bearer {token}"})
        self._place = place
        self._ledger = ledger
        self._turns = count()
        self._pause = threading.Event()

    def insist(
        self, service: str, path: str, body: dict[str, Any], key: str, at_least: str | None = None
    ) -> dict[str, Any]:
        """Send the same again until it is acknowledged."""
        params = {} if at_least is None else {"at_least": at_least}
        headers = {"Idempotency-Key": key}
        while_away = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.once(service, path, json=body, params=params, headers=headers)
            if answer is not None and answer.status_code in (200, 201):
                said: dict[str, Any] = answer.json()
                self._ledger.acks.append(Ack(time.monotonic(), service, key, said["position"]))
                return said
            assert time.monotonic() < while_away, f"not acknowledged: {path}"
            self._pause.wait(AGAIN_SECONDS)

    def once(self, service: str, path: str, **request: Any) -> httpx.Response | None:
        """One command; None for no answer at all. All but an answer and "not now" is a failure."""
        url = self._place.url(service, next(self._turns)) + path
        try:
            answer = self._http.post(url, **request)
        except httpx.TransportError as broken:
            self._ledger.heard[type(broken).__name__] += 1
            return None
        if answer.status_code not in (200, 201):
            assert answer.status_code == 503, f"{path}: {answer.status_code} {answer.text}"
            assert answer.headers["Retry-After"]
            self._ledger.heard[answer.json()["code"]] += 1
        return answer

    def sees(self, story: str, at_least: str, until: str) -> bool:
        """Whether the read API shows the case in this state."""
        url = f"{self._place.url('projections', next(self._turns))}/v1/cases/{story}"
        try:
            answer = self._http.get(url, params={"at_least": at_least, "until": until})
        except httpx.TransportError:
            return False
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 200

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class Walker:
    """A resident, the desk and a unit who take one case after the other through its life."""

    def __init__(self, place: Installation, ledger: Ledger, name: str) -> None:
        unit = "sanitation-station"
        self._name = name
        self._resident = Person(place, ledger, Role.RESIDENT, f"wx-{name}")
        self._desk = Person(place, ledger, Role.COMMUNITY, f"desk-{name}", areas=["t3/west"])
        self._unit = Person(place, ledger, Role.UNIT, f"unit-{name}", unit=unit)

    def walk(self, stop: threading.Event) -> None:
        """Case after case; the one that was begun is finished."""
        for n in count():
            if stop.is_set():
                return
            name = f"{self._name}-{n}"
            said = self.begin(name, stop)
            stop.wait(THINK_SECONDS)
            path = f"/v1/cases/{said['story']}/resolve"
            body = {"outcome": "resolved", "note": name}
            said = self._unit.insist("dispatch", path, body, f"{name}-resolve", said["position"])
            stop.wait(THINK_SECONDS)
            path = f"/v1/wishes/{said['story']}/rate"
            rating = {"resolved": True, "satisfaction": 5}
            self._resident.insist("intake", path, rating, f"{name}-rate", said["position"])

    def begin(self, name: str, stop: threading.Event) -> dict[str, Any]:
        """A case that a unit has taken up; what its report was answered."""
        wish = {**WISH, "words": name}
        said = self._resident.insist("intake", "/v1/wishes", wish, f"{name}-wish")
        steps: Sequence[tuple[Person, str, dict[str, Any]]] = (
            (self._desk, "accept", {}),
            (self._desk, "dispatch", {"unit": "sanitation-station"}),
            (self._unit, "report", {}),
        )
        for person, verb, body in steps:
            stop.wait(THINK_SECONDS)
            path = f"/v1/cases/{said['story']}/{verb}"
            said = person.insist("dispatch", path, body, f"{name}-{verb}", said["position"])
        return said

    def submit(self, steady: str, stop: threading.Event) -> None:
        """One wish after the other, which wait for nothing but the store of intake."""
        for n in count():
            if stop.wait(THINK_SECONDS):
                return
            wish = {**WISH, "words": f"{n}"}
            self._resident.insist("intake", "/v1/wishes", wish, f"{steady}#{n}")

    def tell(self, steady: str, case: str, stop: threading.Event) -> None:
        """One note after the other on a case, which wait for nothing but the store of dispatch."""
        for n in count():
            if stop.wait(THINK_SECONDS):
                return
            path = f"/v1/cases/{case}/progress"
            self._unit.insist("dispatch", path, {"note": f"{n}"}, f"{steady}#{n}")

    def close(self) -> None:
        """Close the connections."""
        for person in (self._resident, self._desk, self._unit):
            person.close()


@contextmanager
def load(place: Installation, ledger: Ledger, name: str) -> Iterator[None]:
    """People at work during the block: walkers, and a steady writer for each service whose keys
    begin with its name and `name`. What they have begun is acknowledged at the end."""
    stop = threading.Event()
    *walkers, steady = (Walker(place, ledger, f"{name}-{n}") for n in range(WALKERS + 1))
    case = steady.begin(f"{name}-told", stop)["story"]
    with ThreadPoolExecutor(WALKERS + 2) as pool:
        runs = [pool.submit(walker.walk, stop) for walker in walkers]
        runs.append(pool.submit(steady.submit, f"intake-{name}", stop))
        runs.append(pool.submit(steady.tell, f"dispatch-{name}", case, stop))
        try:
            yield
        finally:
            stop.set()
    for each in (*walkers, steady):
        each.close()
    for run in runs:
        run.result()
