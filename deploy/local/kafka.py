"""One real Kafka node (KRaft, broker and controller in one) on free ports of this machine."""

import base64
import subprocess
import uuid
from pathlib import Path

from deploy.local.errors import StartFailed
from deploy.local.jars import CACHE, kafka_jars
from deploy.local.ports import HOST
from deploy.local.preflight import java
from deploy.local.process import Process
from deploy.local.security import PARTNERS, security_settings
from deploy.local.server import Server, started
from deploy.rights.passwords import Passwords

LOGGING = Path(__file__).with_name("log4j2.properties")
STARTED = "Kafka Server started"
CERTIFICATES = "certificates"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners={listeners}
advertised.listeners={listeners}
listener.security.protocol.map={protocols}
inter.broker.listener.name=SERVICES
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller}
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
# A killed broker may come back only when its old session is over (9 s by default).
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
# Ten years: a reaction that was off for a while must find its place again.
offsets.retention.minutes=5256000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# The default of 128 MB is a quarter of this heap.
log.cleaner.dedupe.buffer.size=16777216
"""


def start_kafka(folder: Path, cache: Path = CACHE, *, passwords: Passwords | None = None) -> Server:
    """A running Kafka whose data, settings and log are in `folder`; its address is `host:port`.

    With `passwords` (the admin's made) it lets nobody in without one, and has an address outside
    of it for partners.
    """
    argv = [
        java(),
        "-Xmx512m",
        *([] if passwords is None else [f"-Djava.security.auth.login.config={passwords.jaas}"]),
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-cp",
        f"{kafka_jars(cache)}/*",
    ]
    folder.mkdir(parents=True, exist_ok=True)

    def build(ports: tuple[int, ...]) -> Server:
        settings = _settings(folder, *ports, secure=passwords is not None)
        _format(argv, folder, settings)
        run = [*argv, "kafka.Kafka", str(settings)]
        process = Process("kafka", run, None, folder / "kafka.log", folder)
        outside = None if passwords is None else f"{HOST}:{ports[2]}"
        return Server(f"{HOST}:{ports[0]}", process, lambda: STARTED in process.said(), outside)

    return started(build, ports=3)


def _settings(folder: Path, *ports: int, secure: bool) -> Path:
    path = folder / "server.properties"
    protocol = "SASL_PLAINTEXT" if secure else "PLAINTEXT"
    protocols = {"SERVICES": protocol, "CONTROLLER": protocol}
    more: dict[str, str] = {}
    if secure:
        protocols[PARTNERS] = "SASL_SSL"
        more = security_settings(folder / CERTIFICATES, HOST)
    places = zip(protocols, ports, strict=False)
    text = PROPERTIES.format(
        host=HOST,
        controller=ports[1],
        data=(folder / "data").absolute(),
        listeners=",".join(f"{name}://{HOST}:{port}" for name, port in places),
        protocols=",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
    )
    lines = [f"{name}={value}\n" for name, value in more.items()]
    path.write_text(text + "".join(lines), encoding="utf-8")
    return path


def _format(java_argv: list[str], folder: Path, settings: Path) -> None:
    if (folder / "data" / "meta.properties").exists():
        return
    tool = [*java_argv, "kafka.tools.StorageTool", "format", "--standalone"]
    argv = [*tool, f"--cluster-id={_cluster_id()}", "--config", str(settings)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise StartFailed(f"Kafka's storage in {folder} could not be formatted:\n{last}")


def _cluster_id() -> str:
    # Kafka refuses an id that begins with a dash.
    return "w" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
