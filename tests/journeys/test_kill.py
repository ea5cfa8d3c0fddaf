"""Each service in turn is killed in the middle of a run: what got a 201 is there, once."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from deploy.demo.client import Client
from deploy.local.installation import SERVICES, Installation
from shared.access import Role
from tests.journeys.conftest import TOWN, WISH, until

pytestmark = pytest.mark.stack


def test_every_wish_that_got_its_201_is_there_once(place: Installation, desk: Client) -> None:
    with _submitting(place) as answered:
        for service in SERVICES:
            before = len(answered)
            for instance in place.services[service]:
                instance.process.kill()
                instance.restart()
            _grow(answered, before + 30)
    stories = [answer["story"] for answer in answered]
    assert len(stories) == len(set(stories)) > 90
    listed: list[dict[str, str]] = []

    def all_opened() -> bool:
        listed[:] = desk.cases(limit=200)
        return set(stories) <= {row["story"] for row in listed if row["state"] == "opened"}

    until(all_opened)
    assert {n for story, n in Counter(row["story"] for row in listed).items()} == {1}
    mongo: MongoClient[dict[str, str]]
    with MongoClient(place.servers.mongo) as mongo:
        for database, kind in (("intake", "wish"), ("dispatch", "case")):
            commits: Collection[dict[str, str]] = mongo[f"wishgridjourneys_{database}"]["commits"]
            first = Counter(commit["stream"] for commit in commits.find({"first": 1}))
            assert {first[f"{kind}-{story}"] for story in stories} == {1}


@contextmanager
def _submitting(place: Installation) -> Iterator[list[dict[str, str]]]:
    """Four residents submit without a pause; one who gets no answer sends the same again."""
    stop = threading.Event()
    answered: list[dict[str, str]] = []

    def submit(resident: int) -> None:
        token = place.secrets.token(Role.RESIDENT, f"wx-kill-{resident}", TOWN)
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            n = 0
            while not stop.is_set():
                n += 1
                answered.append(_insist(http, place, f"kill-{resident}-{n}", stop))

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(submit, resident) for resident in range(4)]
        try:
            yield answered
        finally:
            stop.set()
    for run in runs:
        run.result()


def _insist(
    http: httpx.Client, place: Installation, key: str, stop: threading.Event
) -> dict[str, str]:
    turn = 0
    while True:
        turn += 1
        try:
            answer = http.post(
                f"{place.url('intake', turn)}/v1/wishes",
                json={**WISH, "words": key},
                headers={"Idempotency-Key": key},
            )
        except httpx.TransportError:
            continue
        if answer.status_code == 201:
            said: dict[str, str] = answer.json()
            return said
        assert answer.status_code == 503, answer.text


def _grow(answered: list[dict[str, str]], size: int) -> None:
    until(lambda: len(answered) >= size)
