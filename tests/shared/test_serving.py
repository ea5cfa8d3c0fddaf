"""What a process refuses to start with, and what it waits for."""

import asyncio
import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from deploy.secrets import Secrets
from shared.kafka import Record, broker, consume
from shared.kafka_access import KafkaAccess
from shared.keystore import check_secrets
from shared.mongo import Database
from shared.serving import House, Joined, furnish, register_profiles
from shared.settings import Settings
from shared.town import Towns
from tests.build import a_town, kind, profile
from tests.conftest import cancelled, until


def settings(folder: Path, **changes: object) -> Settings:
    secrets = Secrets(folder).ensure()
    said = {"kafka": "127.0.0.1:1", "mongo": "mongodb://127.0.0.1:1", "instance": "i"}
    files = {
        name.removeprefix("WISHGRID_").lower(): value for name, value in secrets.environment.items()
    }
    return Settings.model_validate({**files, **said, **changes})


@pytest.mark.stack
async def test_a_profile_that_was_edited_after_it_was_used_is_refused(home: Database) -> None:
    before, later = profile(), profile(n=2, effective="2026-06-01T00:00:00Z")
    town = a_town(before, later)
    await register_profiles(home, Towns({town.id: town}))
    await register_profiles(home, Towns({town.id: town}))  # the next start
    edited = a_town(profile(kinds={"appeal": kind(rated=False)}), later)
    with pytest.raises(ValueError, match=r"t3@1 was edited.*as the next profile"):
        await register_profiles(home, Towns({town.id: edited}))


def test_a_played_clock_is_refused_in_production(tmp_path: Path) -> None:
    settings(tmp_path, clock=tmp_path / "clock", environment="development")
    with pytest.raises(ValidationError, match="may not be set in production"):
        settings(tmp_path, clock=tmp_path / "clock")  # production unless said otherwise


@pytest.mark.parametrize("broken", ["master.key", "index.key", "token-keys.json"])
def test_a_secret_that_does_not_read_is_named(tmp_path: Path, broken: str) -> None:
    told = settings(tmp_path)
    (tmp_path / broken).write_text("no secret")
    with pytest.raises(ValueError, match=broken):
        furnish(told)


@pytest.mark.parametrize("service", ["intake", "dispatch", "projections"])
def test_what_a_service_cannot_start_with_is_one_line_without_values(
    service: str, tmp_path: Path
) -> None:
    given = {"WISHGRID_MONGO": "mongodb://u:secret@127.0.0.1/", "WISHGRID_PORT": "many"}
    files = Secrets(tmp_path).ensure().environment
    ended = subprocess.run(
        [sys.executable, "-m", f"services.{service}.app"],
        env={"PATH": os.environ["PATH"], **files, **given},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = ended.stdout.splitlines()
    said = json.loads(line)
    assert ended.returncode == 2
    assert (said["event"], said["service"]) == ("cannot start", service)
    assert "WISHGRID_KAFKA: Field required" in said["reason"]
    assert "WISHGRID_PORT" in said["reason"]
    assert "secret" not in ended.stdout + ended.stderr


@pytest.mark.stack
@pytest.mark.parametrize("service", ["intake", "dispatch", "projections"])
async def test_what_only_the_database_tells_is_the_last_line_of_the_log_too(
    house: House, service: str, tmp_path: Path
) -> None:
    await check_secrets(house.database("keys"), house.secrets)
    settings = {
        f"WISHGRID_{name.upper()}": str(value)
        for name, value in house.settings.model_dump(exclude_none=True).items()
    }
    others = Secrets(tmp_path / "others").ensure().environment
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", f"services.{service}.app"],
        env={"PATH": os.environ["PATH"], **settings, **others},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == 2
    assert said[-1]["event"] == "cannot start"
    assert said[-1]["reason"] == "the index key is not the one this key store was begun with"
    assert "Traceback" not in ended.stdout + ended.stderr


async def test_while_kafka_is_away_no_client_is_left_unclosed() -> None:
    nobody, left = KafkaAccess("127.0.0.1:1"), list[dict[str, Any]]()

    async def handle(_: Sequence[Record]) -> None:
        pytest.fail("nothing comes")

    away = broker(nobody, "test")
    consume(away, "t", group="g", instance="1", session_seconds=6, handle=handle)
    asyncio.get_running_loop().set_exception_handler(lambda _, said: left.append(said))
    with capture_logs() as logged:
        joining = asyncio.create_task(Joined(away, nobody).run())
        await until(lambda: len(logged) >= 2, "it tries again")
        await cancelled(joining)
    gc.collect()
    assert {line["event"] for line in logged} == {"Kafka is away"}
    assert left == []
