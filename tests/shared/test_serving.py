"""What a process refuses to start with."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.secrets import Secrets
from shared.keystore import check_secrets
from shared.mongo import Database
from shared.serving import House, furnish, register_profiles
from shared.settings import Settings
from shared.town import Towns
from tests.build import a_town, kind, profile


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
