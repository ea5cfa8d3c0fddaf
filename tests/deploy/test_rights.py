"""The table of rights, the passwords of its users, and what the commands say without a Kafka."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.rights.passwords import BROKER, CLIENT, JAAS, Passwords
from deploy.rights.table import ADMIN, SERVICES, Right, ours, rights, touches, users
from shared.contracts.base import PartnerId
from shared.kafka import CARE, FACTS

ALPHA, LONGER = PartnerId("alpha"), PartnerId("alpha-2")
SHELL = CliRunner()


def who(operation: str, topic: str) -> set[str]:
    """Who may do this with the topic."""
    return {
        right.user
        for right in rights([ALPHA, LONGER])
        if (right.operation, right.resource) == (operation, "topic")
        and (topic.startswith(right.name) if right.begins else topic == right.name)
    }


def test_only_relays_write_facts_and_care_and_only_the_care_group_reads_care() -> None:
    relays = {"wishgrid.intake-relay", "wishgrid.dispatch-relay"}
    assert who("write", FACTS) == who("write", CARE) == relays
    assert who("read", CARE) == {"wishgrid.care"}
    assert who("read", FACTS) == {"wishgrid.intake", "wishgrid.dispatch", "wishgrid.projections"}


def test_a_partner_writes_its_own_topic_and_reads_its_own_answers_also_when_names_begin_alike() -> (
    None
):
    assert who("write", "wishgrid.inbound.alpha.v1") == {"partner.alpha"}
    assert who("read", "wishgrid.answers.alpha.v1") == {"partner.alpha"}
    assert who("read", "wishgrid.inbound.alpha.v1") == {"wishgrid.intake"}
    own = {r for r in rights([ALPHA, LONGER]) if r.user == "partner.alpha"}
    others = "partner.alpha-2.desk"
    assert not [r for r in own if r.begins and others.startswith(r.name)]


def test_nobody_may_make_or_change_anything() -> None:
    assert {right.operation for right in rights([ALPHA])} == {"read", "write"}
    assert {right.resource for right in rights([ALPHA])} == {"topic", "group", "transactional-id"}
    assert ADMIN not in {right.user for right in rights([ALPHA])}


def test_a_prefix_goes_before_every_name_so_that_installations_share_nothing() -> None:
    north = rights([ALPHA], "north.")
    assert all(r.user.startswith("north.") and r.name.startswith("north.") for r in north)
    assert all(touches(right, "north.") and not touches(right) for right in north)
    assert not any(touches(right, "north.") for right in rights([ALPHA]))
    assert users([ALPHA], "north.") == tuple(
        f"north.{name}" for name in (*SERVICES, "partner.alpha")
    )


@pytest.mark.parametrize(
    ("right", "is_about_us"),
    [
        (Right("analyst", "read", "topic", FACTS), True),
        (Right("analyst", "read", "topic", "*"), True),
        (Right("*", "read", "topic", "wish", begins=True), True),
        (Right("analyst", "read", "topic", "reports"), False),
        (Right("analyst", "read", "topic", "wishes", begins=True), False),
        (Right("analyst", "create", "cluster", "kafka-cluster"), False),
        (Right("partner.gone", "create", "cluster", "kafka-cluster"), True),
        (Right("wishgrid.intake", "read", "topic", FACTS, given=False), True),
    ],
)
def test_what_is_about_an_installation_is_told_from_what_is_not(
    right: Right, is_about_us: bool
) -> None:
    assert touches(right) == is_about_us


def test_a_right_is_said_as_a_sentence() -> None:
    assert str(Right("a", "read", "topic", "t")) == "a may read topic t"
    assert str(Right("a", "write", "topic", "t.", begins=True)) == "a may write every topic t.…"
    assert (
        str(Right("a", "read", "group", "g", host="10.0.0.1", given=False))
        == "a may not read group g from 10.0.0.1"
    )


def test_users_of_an_installation_are_told_from_others() -> None:
    assert ours("wishgrid.intake")
    assert ours("partner.alpha")
    assert not ours(ADMIN)
    assert not ours("north.wishgrid.intake")


def test_passwords_are_made_once_each_its_own_and_for_their_owner_alone(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path / "kafka")
    assert passwords.ensure(["a", "b"]) == (ADMIN, "a", "b")
    first = {name: passwords.file(name).read_text() for name in (ADMIN, "a", "b")}
    assert len(set(first.values())) == 3
    assert min(map(len, first.values())) >= 64
    assert passwords.ensure(["a", "b", "c"]) == ("c",)
    assert first == {name: passwords.file(name).read_text() for name in first}
    assert passwords.folder.stat().st_mode & 0o777 == 0o700
    modes = {f.name: f.stat().st_mode & 0o777 for f in passwords.folder.iterdir() if f.is_file()}
    assert set(modes.values()) == {0o600}


def test_the_broker_is_told_the_admins_password_also_when_it_was_changed(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path)
    passwords.ensure(())
    home = tmp_path / BROKER
    for name in (JAAS, CLIENT):
        (home / name).chmod(0o644)
    passwords.file(ADMIN).write_text("another\n", encoding="utf-8")
    passwords.ensure(())
    for name in (JAAS, CLIENT):
        assert 'password="another"' in (home / name).read_text(encoding="utf-8")
        assert (home / name).stat().st_mode & 0o777 == 0o644  # who was let in stays so
    assert 'user_admin="another"' in passwords.jaas.read_text(encoding="utf-8")


def test_rights_without_passwords_are_one_sentence(tmp_path: Path) -> None:
    said = SHELL.invoke(app, ["rights", "--kafka", "127.0.0.1:1", "--passwords", str(tmp_path)])
    assert said.exit_code == 1
    assert "admin.password: the password of Kafka does not read" in said.output
    assert len(said.output.splitlines()) == 1


def test_rights_without_kafka_are_one_sentence(tmp_path: Path) -> None:
    assert SHELL.invoke(app, ["passwords", str(tmp_path)]).exit_code == 0
    said = SHELL.invoke(app, ["rights", "--kafka", "127.0.0.1:1", "--passwords", str(tmp_path)])
    assert said.exit_code == 1
    assert "Kafka at 127.0.0.1:1 does not answer" in said.output


def test_a_command_whose_password_does_not_read_is_one_sentence(tmp_path: Path) -> None:
    given = {"WISHGRID_KAFKA_USER": "admin", "WISHGRID_KAFKA_PASSWORD_FILE": str(tmp_path / "no")}
    said = SHELL.invoke(app, ["topics", "--kafka", "127.0.0.1:1"], env=given)
    assert said.exit_code == 1
    assert "no: the password of Kafka does not read" in said.output
    assert len(said.output.splitlines()) == 1
