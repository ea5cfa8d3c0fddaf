"""The publishers of the contract, each in its own language, hand in a wish at the real gate."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.contract.page import HERE, PUBLISHERS
from deploy.demo.client import Client
from deploy.local.installation import Installation
from deploy.local.jars import kafka_jars
from deploy.local.preflight import java
from deploy.topics import ensure_topics, topics_of
from tests.foreign import foreign
from tests.partner import MATTER, PARTNER, SOURCE

pytestmark = pytest.mark.stack

FOLDER: Final = HERE / "publishers"
NODE_MODULES: Final = Path(__file__).parents[1] / "node" / "node_modules"
QUICK: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
JARS: Final = ("kafka-clients", "lz4-java", "slf4j-api")
"""Answers are compressed: a reader needs lz4."""
NOWHERE: Final = "127.0.0.1:1"
SILENT: Final = "silent."
"""The prefix of topics at which nobody listens."""


@dataclass(frozen=True)
class Said:
    """What a program said, and how it ended."""

    code: int | None
    out: str
    err: str

    def answer(self) -> dict[str, Any]:
        """The one answer that it printed."""
        answer: dict[str, Any] = json.loads(self.out)
        return answer


def argv(language: str, folder: Path) -> list[str]:
    """The command line of a publisher; its test is skipped where its language is missing."""
    file = FOLDER / PUBLISHERS[language]
    match language:
        case "Python":
            return [sys.executable, str(file)]
        case "Java":
            foreign("javac")  # a runtime alone does not run a source file
            jars = [next(kafka_jars().glob(f"{name}-*.jar")) for name in JARS]
            return [java(), *QUICK, "-cp", os.pathsep.join(map(str, jars)), str(file)]
        case "Node":
            copy = folder / file.name  # a module finds its packages above where it lies
            copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
            (folder / "node_modules").symlink_to(NODE_MODULES)
            return [foreign("node"), str(copy)]
        case _:
            foreign("kcat")
            return [foreign("bash"), str(file)]


async def run(program: list[str], text: str, settings: Mapping[str, str]) -> Said:
    running = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **settings},
    )
    try:
        out, err = await asyncio.wait_for(running.communicate(text.encode()), timeout=120)
    finally:
        if running.returncode is None:
            running.kill()
    return Said(running.returncode, out.decode(), err.decode(errors="replace"))


@pytest.mark.parametrize("language", PUBLISHERS)
async def test_a_publisher_hands_in_a_wish_and_ends_as_it_was_answered(
    place: Installation, desk: Client, tmp_path: Path, language: str
) -> None:
    kafka, prefix = place.environment["WISHGRID_KAFKA"], place.environment["WISHGRID_TOPIC_PREFIX"]
    line = argv(language, tmp_path)
    program, astray = ([*line, where, PARTNER, SOURCE] for where in (kafka, NOWHERE))
    mine = [topic for topic in topics_of([PARTNER]) if PARTNER in topic.name]
    await ensure_topics(place.servers.kafka, prefix=SILENT, topics=mine)
    heard = {"WISHGRID_TOPIC_PREFIX": prefix, "WISHGRID_ANSWER_SECONDS": "60"}
    unheard = {"WISHGRID_TOPIC_PREFIX": SILENT, "WISHGRID_ANSWER_SECONDS": "3"}
    good, bad = (json.dumps({**MATTER, "ref": uuid.uuid4().hex}, indent=1) for _ in range(2))
    bad = bad.replace("order", "no-such-category")

    accepted, refused, unanswered, unsent = await asyncio.gather(
        run(program, good, heard),
        run(program, bad, heard),
        run(program, good, unheard),
        run(astray, good, unheard),
    )
    assert accepted.code == 0, accepted
    answer = accepted.answer()
    assert answer["said"] == "accepted"
    case = desk.get(f"/v1/cases/{answer['story']}", at_least=answer["position"])
    assert case["source_ref"] == json.loads(good)["ref"]
    assert refused.code == 1, refused
    assert (refused.answer()["code"], refused.answer()["field"]) == ("unknown-category", "category")
    assert (unanswered.code, unanswered.out) == (1, ""), unanswered
    assert "not answered in time" in unanswered.err
    assert (unsent.code, unsent.out) == (1, ""), unsent
    assert unsent.err
    assert await run(program, good, heard) == accepted, "the same wish again is the same event"
