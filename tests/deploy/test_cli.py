"""The commands of `wishgrid`, as somebody at a shell meets them."""

from pathlib import Path

from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.secrets import ISSUER, Secrets
from shared.access import Doorkeeper, Role, read_signers
from shared.contracts.base import TownId
from shared.sealing import installation_keys

SHELL = CliRunner()


def test_a_token_for_development_is_admitted_by_the_installation_it_was_made_for(
    tmp_path: Path,
) -> None:
    secrets = Secrets(tmp_path / "secrets").ensure()
    words = "token --role community --sub li --town t3 --area t3/west --secrets"
    said = SHELL.invoke(app, [*words.split(), str(secrets.folder)])
    assert said.exit_code == 0, said.output
    files = secrets.folder
    doorkeeper = Doorkeeper(
        read_signers(files / "token-keys.json"),
        ISSUER,
        (),
        installation_keys(files / "master.key", files / "index.key"),
        {TownId("t3")},
    )
    who = doorkeeper.admit(f"Bearer {said.output.strip()}", None)
    assert (who.role, who.id, who.areas) == (Role.COMMUNITY, "community:li", ("t3/west",))


def test_secrets_are_made_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = {f.name: f.read_bytes() for f in Secrets(tmp_path / "s").ensure().folder.iterdir()}
    again = {f.name: f.read_bytes() for f in Secrets(tmp_path / "s").ensure().folder.iterdir()}
    assert first == again
    assert {f.stat().st_mode & 0o777 for f in (tmp_path / "s").iterdir()} == {0o600}


def test_a_token_without_an_installation_is_one_sentence(tmp_path: Path) -> None:
    said = SHELL.invoke(
        app, ["token", "--role", "unit", "--sub", "x", "--town", "t3", "--secrets", str(tmp_path)]
    )
    assert said.exit_code == 1
    assert "holds no signer.pem" in said.output


def test_topics_without_kafka_are_one_sentence() -> None:
    said = SHELL.invoke(app, ["topics", "--kafka", "127.0.0.1:1"])
    assert said.exit_code == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in said.output


def test_secrets_for_development_are_printed_as_the_settings_that_name_them(tmp_path: Path) -> None:
    said = SHELL.invoke(app, ["secrets", str(tmp_path / "s")])
    settings = dict(line.removeprefix("export ").split("=", 1) for line in said.output.splitlines())
    assert settings.keys() == Secrets(tmp_path / "s").environment.keys()
    assert Path(settings["WISHGRID_MASTER_KEY_FILE"].strip("'")).exists()
