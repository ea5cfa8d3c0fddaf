"""What a process refuses to start with."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.secrets import Secrets
from shared.mongo import Database
from shared.serving import furnish, register_profiles
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
    settings(tmp_path, clock=tmp_path / "clock")
    with pytest.raises(ValidationError, match="may not be set in production"):
        settings(tmp_path, clock=tmp_path / "clock", environment="production")


@pytest.mark.parametrize("broken", ["master.key", "index.key", "token-keys.json"])
def test_a_secret_that_does_not_read_is_named(tmp_path: Path, broken: str) -> None:
    told = settings(tmp_path)
    (tmp_path / broken).write_text("no secret")
    with pytest.raises(ValueError, match=broken):
        furnish(told)
