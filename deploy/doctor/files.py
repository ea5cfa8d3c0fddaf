"""What can be told from files alone: towns, secrets, keys."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deploy.doctor.faults import Diagnosis
from shared.access import read_api_keys, read_signers
from shared.kafka_access import KafkaAccess
from shared.sealing import InstallationKeys, installation_keys
from shared.settings import Settings
from shared.town import Towns, load_towns

T = TypeVar("T")


@dataclass(frozen=True)
class Files:
    """What a service would read, None for what does not read."""

    towns: Towns | None
    secrets: InstallationKeys | None
    kafka: KafkaAccess | None


def look_at_files(settings: Settings, found: Diagnosis) -> Files:
    """Read all that a service reads before it speaks to anybody."""
    master, index = settings.master_key_file, settings.index_key_file
    for file in (master, index):
        if _exposed(file):
            found.add("secret-exposed", file=file)

    def secret(read: Callable[[], T]) -> T | None:
        return _read(read, "secrets-unreadable", master.parent, found)

    def town(read: Callable[[], T]) -> T | None:
        return _read(read, "towns-unreadable", settings.towns, found)

    secret(lambda: read_signers(settings.token_keys_file))
    towns = town(lambda: load_towns(settings.towns))
    if towns is not None:
        town(lambda: read_api_keys(settings.towns))
    return Files(
        towns, secret(lambda: installation_keys(master, index)), secret(settings.kafka_access)
    )


def _exposed(file: Path) -> bool:
    """Can everybody read it? What cannot be looked at is told by who reads it."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _read(read: Callable[[], T], fault: str, folder: Path, found: Diagnosis) -> T | None:
    try:
        return read()
    except OSError as wrong:
        found.add(fault, why=f"{wrong.filename}: {wrong.strerror}", folder=folder)
    except ValueError as wrong:
        found.add(fault, why=" ".join(str(wrong).split()), folder=folder)
    return None
