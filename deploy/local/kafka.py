"""Real Kafka nodes (KRaft, each broker and controller in one) on free ports of this machine."""

import base64
import subprocess
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local.errors import StartFailed
from deploy.local.jars import CACHE, kafka_jars
from deploy.local.ports import HOST, nth
from deploy.local.preflight import java
from deploy.local.process import Process
from deploy.local.security import PARTNERS, security_settings
from deploy.local.server import Server, started
from deploy.rights.passwords import Passwords
from deploy.topics import in_sync

LOGGING = Path(__file__).with_name("log4j2.properties")
STARTED = "Kafka Server started"
CERTIFICATES = "certificates"
SMALL = ("-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Of several nodes on one machine, and what ends at once: soon up, not fast."""
PORTS = 3
"""Of each node: for services, for controllers, and outside."""


def common_settings(nodes: int) -> dict[str, str]:
    """What is the same on each of so many nodes, by Kafka's names: every record has up to three
    copies, and is acknowledged when a majority has it."""
    copies = min(nodes, 3)
    majority = in_sync(copies)
    return {
        "process.roles": "broker,controller",
        "inter.broker.listener.name": "SERVICES",
        "controller.listener.names": "CONTROLLER",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker may come back only when its old session is over (9 s by default). The
        # interval bounds its registration, too: on a busy machine 500 ms are not enough.
        "broker.heartbeat.interval.ms": "1500",
        "broker.session.timeout.ms": "3500",
        # Ten years: a reaction that was off for a while must find its place again.
        "offsets.retention.minutes": "5256000",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": f"{copies}",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": f"{copies}",
        "transaction.state.log.min.isr": f"{majority}",
        "share.coordinator.state.topic.replication.factor": f"{copies}",
        "share.coordinator.state.topic.min.isr": f"{majority}",
        "min.insync.replicas": f"{majority}",
        # The default of 128 MB is a quarter of this heap.
        "log.cleaner.dedupe.buffer.size": "16777216",
    }


def start_kafka(
    folder: Path, cache: Path = CACHE, *, passwords: Passwords | None = None, nodes: int = 1
) -> tuple[Server, ...]:
    """The running nodes of one Kafka; the address of each is `host:port`. Data, settings and log
    are in `folder`, those of the second node in `folder`-2.

    With `passwords` (the admin's made) it lets nobody in without one, and has addresses outside
    of it for partners.
    """
    java_argv = [
        java(),
        *(("-Xmx512m",) if nodes == 1 else SMALL),
        *([] if passwords is None else [f"-Djava.security.auth.login.config={passwords.jaas}"]),
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-cp",
        f"{kafka_jars(cache)}/*",
    ]
    folders = [nth(folder, n) for n in range(nodes)]

    def build(ports: tuple[int, ...]) -> tuple[Server, ...]:
        each = [ports[n : n + PORTS] for n in range(0, len(ports), PORTS)]
        settings = _settings(folders, each, secure=passwords is not None)
        _format(java_argv, settings)
        return tuple(map(node, settings, each))

    def node(settings: Path, ports: tuple[int, ...]) -> Server:
        home = settings.parent
        argv = [*java_argv, "kafka.Kafka", str(settings)]
        process = Process(home.name, argv, None, home / "kafka.log", home)
        outside = None if passwords is None else f"{HOST}:{ports[2]}"
        return Server(f"{HOST}:{ports[0]}", process, lambda: STARTED in process.said(), outside)

    return started(build, ports=PORTS * nodes)


def _settings(
    folders: Sequence[Path], ports: Sequence[tuple[int, ...]], *, secure: bool
) -> list[Path]:
    """The file of settings of each node."""
    protocol = "SASL_PLAINTEXT" if secure else "PLAINTEXT"
    protocols = {"SERVICES": protocol, "CONTROLLER": protocol}
    more: dict[str, str] = {}
    if secure:
        protocols[PARTNERS] = "SASL_SSL"
        more = security_settings(folders[0] / CERTIFICATES, HOST)
    common = {
        **common_settings(len(folders)),
        "listener.security.protocol.map": ",".join(map(":".join, protocols.items())),
        "controller.quorum.voters": ",".join(
            f"{n}@{HOST}:{own[1]}" for n, own in enumerate(ports, 1)
        ),
        **more,
    }

    def written(node: int, folder: Path, own: tuple[int, ...]) -> Path:
        places = zip(protocols, own, strict=False)
        listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in places)
        settings = {
            **common,
            "node.id": f"{node}",
            "listeners": listeners,
            "advertised.listeners": listeners,
            "log.dirs": f"{(folder / 'data').absolute()}",
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "server.properties"
        lines = (f"{name}={value}\n" for name, value in settings.items())
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return [written(n, *each) for n, each in enumerate(zip(folders, ports, strict=True), 1)]


def _format(java_argv: Sequence[str], settings: Sequence[Path]) -> None:
    """Make the storage of each node, one cluster's, unless it is there from an earlier run."""
    cluster = _cluster_id()

    def one(path: Path) -> None:
        if (path.parent / "data" / "meta.properties").exists():
            return
        tool = [*java_argv, *SMALL, "kafka.tools.StorageTool", "format"]
        argv = [*tool, f"--cluster-id={cluster}", "--config", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise StartFailed(f"Kafka's storage in {path.parent} could not be formatted:\n{last}")

    with ThreadPoolExecutor(len(settings)) as pool:
        list(pool.map(one, settings))


def _cluster_id() -> str:
    # Kafka refuses an id that begins with a dash.
    return "w" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
