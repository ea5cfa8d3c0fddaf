"""One real Kafka node (KRaft, broker and controller in one) on free ports of this machine."""

import base64
import os
import subprocess
import uuid
from pathlib import Path

from deploy.local.compose import read_compose
from deploy.local.errors import StartFailed
from deploy.local.jars import CACHE, kafka_jars
from deploy.local.ports import HOST
from deploy.local.preflight import java
from deploy.local.process import Process
from deploy.local.server import Server, started
from deploy.rights.passwords import Passwords

LOGGING = Path(__file__).with_name("log4j2.properties")
STARTED = "Kafka Server started"
SECURITY = ("KAFKA_SASL_", "KAFKA_AUTHORIZER_", "KAFKA_SUPER_", "KAFKA_ALLOW_")
"""So begin the settings of the compose file's Kafka that let in and keep out."""

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=SERVICES://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=SERVICES://{host}:{broker},CONTROLLER://{host}:{controller}
listener.security.protocol.map=SERVICES:{protocol},CONTROLLER:{protocol}
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

    With `passwords` (the admin's made) it lets nobody in without one, by the same settings as the
    compose file's.
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
        return Server(f"{HOST}:{ports[0]}", process, lambda: STARTED in process.said())

    return started(build, ports=2)


def _settings(folder: Path, broker: int, controller: int, *, secure: bool) -> Path:
    path = folder / "server.properties"
    text = PROPERTIES.format(
        host=HOST,
        broker=broker,
        controller=controller,
        data=(folder / "data").absolute(),
        protocol="SASL_PLAINTEXT" if secure else "PLAINTEXT",
    )
    path.write_text(text + (_security() if secure else ""), encoding="utf-8")
    return path


def _security() -> str:
    """The compose file's lines, under the names its image gives them."""
    said = read_compose({"WISHGRID_TOKEN_ISSUER": "nobody", **os.environ}).services["kafka"]
    lines = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in said.environment.items()
        if name.startswith(SECURITY)
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


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
