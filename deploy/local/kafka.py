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
from deploy.local.server import Server, started

LOGGING = Path(__file__).with_name("log4j2.properties")
STARTED = "Kafka Server started"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
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


def start_kafka(folder: Path, cache: Path = CACHE) -> Server:
    """A running Kafka whose data, settings and log are in `folder`; its address is `host:port`."""
    argv = [
        java(),
        "-Xmx512m",
        f"-Dlog4j2.configurationFile={LOGGING}",
        "-cp",
        f"{kafka_jars(cache)}/*",
    ]
    folder.mkdir(parents=True, exist_ok=True)

    def build(ports: tuple[int, ...]) -> Server:
        settings = _settings(folder, *ports)
        _format(argv, folder, settings)
        run = [*argv, "kafka.Kafka", str(settings)]
        process = Process("kafka", run, None, folder / "kafka.log", folder)
        return Server(f"{HOST}:{ports[0]}", process, lambda: STARTED in process.said())

    return started(build, ports=2)


def _settings(folder: Path, broker: int, controller: int) -> Path:
    path = folder / "server.properties"
    text = PROPERTIES.format(
        host=HOST, broker=broker, controller=controller, data=(folder / "data").absolute()
    )
    path.write_text(text, encoding="utf-8")
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
