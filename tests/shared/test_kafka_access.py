"""How a client gets into Kafka: the protocol follows from what is given; no password is said."""

import ssl
from pathlib import Path

import pytest
from faststream.kafka.security import parse_security

from shared.kafka import broker
from shared.kafka_access import KafkaAccess, access_in, kafka_access

CA = Path(ssl.get_default_verify_paths().openssl_cafile)


@pytest.fixture
def ca_file() -> Path:
    """Some certificates: those of this machine."""
    if not CA.is_file():
        pytest.skip(f"no certificates at {CA}")
    return CA


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "intake.password"
    file.write_text("s3cret\n", encoding="utf-8")
    return file


def test_without_a_user_kafka_is_spoken_to_in_the_clear() -> None:
    access = KafkaAccess("there:1")
    assert access.options() == {"bootstrap_servers": "there:1", "security_protocol": "PLAINTEXT"}
    assert access.security() is None


@pytest.mark.parametrize("with_tls", [False, True])
@pytest.mark.parametrize("user", [None, "intake"])
def test_aiokafka_and_faststream_are_told_the_same(
    user: str | None, with_tls: bool, ca_file: Path
) -> None:
    access = KafkaAccess("there:1", user, user and "s3cret", ca_file if with_tls else None)
    options = access.options()
    assert options.pop("bootstrap_servers") == "there:1"
    said = {"security_protocol": "PLAINTEXT", **parse_security(access.security())}
    for told in (options, said):
        context = told.pop("ssl_context", None)
        assert isinstance(context, ssl.SSLContext) == with_tls
    assert options == said
    sasl, tls = "SASL_" if user else "", "SSL" if with_tls else "PLAINTEXT"
    assert options["security_protocol"] == sasl + tls


def test_a_password_comes_from_its_file_and_is_never_shown(password_file: Path) -> None:
    access = kafka_access("there:1", "intake", password_file)
    assert access.options()["sasl_plain_password"] == "s3cret"
    assert access.options()["sasl_mechanism"] == "SCRAM-SHA-512"
    assert "s3cret" not in f"{access} {access!r}"
    assert str(access) == "there:1"


def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path, password_file: Path) -> None:
    with pytest.raises(ValueError, match="given together"):
        kafka_access("there:1", "intake")
    with pytest.raises(ValueError, match="given together"):
        kafka_access("there:1", None, password_file)
    with pytest.raises(ValueError, match=r"none\.password: the password of Kafka does not read"):
        kafka_access("there:1", "intake", tmp_path / "none.password")
    password_file.write_text(" \n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no password"):
        kafka_access("there:1", "intake", password_file)
    with pytest.raises(ValueError, match="is no file of certificates"):
        kafka_access("there:1", ca_file=tmp_path / "ca.pem")


def test_the_environment_says_it_by_the_names_of_the_settings(password_file: Path) -> None:
    said = {"WISHGRID_KAFKA": "there:1", "WISHGRID_KAFKA_USER": "intake"}
    said["WISHGRID_KAFKA_PASSWORD_FILE"] = str(password_file)
    assert access_in(said) == KafkaAccess("there:1", "intake", "s3cret")
    assert access_in(said, "elsewhere:2") == KafkaAccess("elsewhere:2", "intake", "s3cret")
    assert access_in({"WISHGRID_KAFKA": "there:1", "WISHGRID_KAFKA_USER": ""}) == KafkaAccess(
        "there:1"
    )
    assert access_in({}) is None


def test_a_service_knows_each_of_several_brokers() -> None:
    """FastStream took `a:1,b:2` for one address: no service could join a Kafka of several."""
    joins = broker(KafkaAccess("a:1,b:2"), "wishgrid-test")
    assert joins.specification.url == ["a:1", "b:2"]
