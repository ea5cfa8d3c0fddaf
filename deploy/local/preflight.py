"""Says in one sentence, with the Debian package, what this machine lacks to run the servers."""

import re
import shutil
import subprocess
from pathlib import Path

from deploy.local.errors import InstallFirst

JAVA_PACKAGE = "openjdk-17-jre-headless"
MAVEN_PACKAGE = "maven"
OLDEST_JAVA = 17

LIBRARY_PACKAGES = {
    "libcrypto.so.3": "libssl3",
    "libcurl.so.4": "libcurl4",
    "liblber-2.5.so.0": "libldap-2.5-0",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "liblzma.so.5": "liblzma5",
    "libssl.so.3": "libssl3",
}


def tool(name: str, package: str) -> str:
    """The path of a program on PATH; InstallFirst if there is none."""
    found = shutil.which(name)
    if found is None:
        raise InstallFirst(f"{name} is not on PATH: install the Debian package {package}.")
    return found


def java() -> str:
    """The path of a Java that is new enough for Kafka; InstallFirst if there is none."""
    path = tool("java", JAVA_PACKAGE)
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = java_version(said)
    if version < OLDEST_JAVA:
        raise InstallFirst(
            f"{path} is Java {version or 'of an unknown version'}, Kafka needs {OLDEST_JAVA} or "
            f"newer: install the Debian package {JAVA_PACKAGE}."
        )
    return path


def java_version(said: str) -> int:
    """The major version in what `java -version` says, 0 if it says none."""
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def maven() -> str:
    """The path of mvn; InstallFirst if there is none."""
    return tool("mvn", MAVEN_PACKAGE)


def require_libraries(program: Path) -> None:
    """InstallFirst if a shared library of this program is not on the machine."""
    ldd = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    missing = missing_libraries(ldd.stdout)
    if missing:
        raise InstallFirst(missing_sentence(program.name, missing))


def missing_libraries(ldd: str) -> tuple[str, ...]:
    """The libraries that ldd did not find, in its order, each once."""
    return tuple(dict.fromkeys(re.findall(r"^\s*(\S+) => not found", ldd, re.MULTILINE)))


def missing_sentence(program: str, libraries: tuple[str, ...]) -> str:
    """One sentence: what the program lacks and the Debian packages that bring it."""
    packages = dict.fromkeys(LIBRARY_PACKAGES.get(each, f"with {each}") for each in libraries)
    noun = "package" if len(packages) == 1 else "packages"
    return (
        f"{program} lacks {' and '.join(libraries)}: "
        f"install the Debian {noun} {' and '.join(packages)}."
    )
