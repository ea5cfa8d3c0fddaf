"""What a machine lacks is said in one sentence that names the package."""

import shutil
from pathlib import Path

import pytest

from deploy.local import mongod
from deploy.local.errors import InstallFirst
from deploy.local.preflight import (
    java,
    java_version,
    maven,
    missing_libraries,
    missing_sentence,
    require_libraries,
)

LDD = """\
\tlinux-vdso.so.1 (0x00007fbe16e02000)
\tlibcurl.so.4 => not found
\tlibcrypto.so.3 => /lib/x86_64-linux-gnu/libcrypto.so.3 (0x00007fbe0fe00000)
\tlibldap-2.5.so.0 => not found
\tlibcurl.so.4 => not found
\t/lib64/ld-linux-x86-64.so.2 (0x00007fbe16e04000)
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("path")
def test_a_missing_java_is_named_with_its_package() -> None:
    with pytest.raises(InstallFirst) as missing:
        java()
    assert str(missing.value) == (
        "java is not on PATH: install the Debian package openjdk-17-jre-headless."
    )


@pytest.mark.usefixtures("path")
def test_a_missing_maven_is_named_with_its_package() -> None:
    with pytest.raises(InstallFirst) as missing:
        maven()
    assert str(missing.value) == "mvn is not on PATH: install the Debian package maven."


def test_a_java_that_is_too_old_is_refused_with_what_to_install(path: Path) -> None:
    program(path, "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    with pytest.raises(InstallFirst) as old:
        java()
    assert str(old.value) == (
        f"{path}/java is Java 11, Kafka needs 17 or newer: "
        "install the Debian package openjdk-17-jre-headless."
    )


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_402"', 8),
        ("no such thing", 0),
    ],
)
def test_the_major_version_of_java_is_read_from_what_it_says(said: str, version: int) -> None:
    assert java_version(said) == version


@pytest.mark.usefixtures("path")
def test_a_mongod_that_is_nowhere_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod, "WHEEL", "no-such-wheel-here")
    with pytest.raises(InstallFirst, match=r"^mongod is not on PATH and .* install one of them\.$"):
        mongod.mongod_program()


def test_the_mongod_on_path_comes_before_the_one_in_the_wheel(path: Path) -> None:
    program(path, "mongod", "")
    assert mongod.mongod_program() == path / "mongod"


def test_ldd_tells_each_missing_library_once() -> None:
    assert missing_libraries(LDD) == ("libcurl.so.4", "libldap-2.5.so.0")
    assert missing_libraries("\tstatically linked\n") == ()


def test_missing_libraries_are_named_with_their_packages() -> None:
    assert missing_sentence("mongod", ("libcurl.so.4", "libldap-2.5.so.0", "liblber-2.5.so.0")) == (
        "mongod lacks libcurl.so.4 and libldap-2.5.so.0 and liblber-2.5.so.0: "
        "install the Debian packages libcurl4 and libldap-2.5-0."
    )
    assert missing_sentence("mongod", ("libssl.so.3",)) == (
        "mongod lacks libssl.so.3: install the Debian package libssl3."
    )
    assert missing_sentence("mongod", ("libx.so.1",)) == (
        "mongod lacks libx.so.1: install the Debian package with libx.so.1."
    )


def test_a_program_whose_libraries_are_there_passes() -> None:
    shell = shutil.which("sh")
    assert shell is not None
    require_libraries(Path(shell))
