"""The compose file: it reads, it is complete, and what it names is there."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.compose import (
    CLUSTER,
    COMPOSE,
    Compose,
    Service,
    Unusable,
    interpolated,
    read_compose,
)
from deploy.local.installation import SERVICES, argv_and_environment
from deploy.local.kafka import common_settings
from deploy.local.mongod import ELECTION
from deploy.rights.passwords import CLIENT, JAAS, Passwords
from deploy.rights.table import ADMIN, users
from shared.http_server import END_SECONDS
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
GIVEN = {"WISHGRID_TOKEN_ISSUER": "https://id.example.org"}
ONLY_IN_DEVELOPMENT = {"WISHGRID_CLOCK", "WISHGRID_CRASH_POINT"}
DOORS = {"WISHGRID_KAFKA_USER", "WISHGRID_KAFKA_PASSWORD_FILE"}
ONLY_WITH_TLS = {"WISHGRID_KAFKA_CA_FILE"}
ONLY_FOR_A_RELAY = {"WISHGRID_KAFKA_RELAY_USER", "WISHGRID_KAFKA_RELAY_PASSWORD_FILE"}
JOBS = ["rights", "topics"]
BY_HAND = ["passwords", "tools"]
OURS = [f"{service}-{n}" for service in SERVICES for n in (1, 2)]


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read_compose(GIVEN)


def settings() -> dict[str, bool]:
    """Per setting, as the environment names it, whether it must be given."""
    return {
        f"WISHGRID_{name.upper()}": field.is_required()
        for name, field in Settings.model_fields.items()
    }


def documented() -> set[str]:
    text = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    return set(re.findall(r"^(?:# )?(WISHGRID_[A-Z_]+)=", text, re.MULTILINE))


def changed(tmp_path: Path, before: str, after: str) -> Path:
    """The compose file with one thing written differently."""
    text = COMPOSE.read_text(encoding="utf-8")
    assert before in text
    file = tmp_path / "docker-compose.yml"
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    return file


def instructions(word: str) -> list[str]:
    text = DOCKERFILE.read_text(encoding="utf-8")
    return re.findall(rf"^{word} (.*)$", text, re.MULTILINE)


def test_there_are_two_instances_of_each_service_and_what_they_need(compose: Compose) -> None:
    assert set(compose.services) == {"kafka", "mongo", *JOBS, *BY_HAND, *OURS}
    assert [name for name, each in compose.services.items() if each.profiles] == BY_HAND


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("    restart: unless-stopped", "    restrat: unless-stopped", "kafka.restrat"),
        ("  start_period: 60s", "  start_time: 60s", "healthcheck.start_time"),
        ('WISHGRID_PORT: "8000"', "WISHGRID_PORT: 8000", "environment.WISHGRID_PORT"),
        ("condition: service_healthy", "condition: healthy", "condition"),
        ("volumes:\n  kafka:", "volume:\n  kafka:", "volume"),
    ],
)
def test_a_typo_fails_and_is_named(tmp_path: Path, before: str, after: str, place: str) -> None:
    with pytest.raises(Unusable, match=re.escape(place)):
        read_compose(GIVEN, changed(tmp_path, before, after))


def test_what_is_no_yaml_fails(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"^docker-compose\.yml: "):
        read_compose(GIVEN, changed(tmp_path, "name: wishgrid", "name: [wishgrid"))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${A}", "a"),
        ("${A:-b}/${EMPTY:-b}/${NONE:-b}", "a/b/b"),
        ("${EMPTY-b}|${NONE-b}", "|b"),
        ("${NONE}${NONE:-}", ""),
        ("${A:?say it}", "a"),
        ("$$A costs 5 $$", "$A costs 5 $"),
    ],
)
def test_variables_are_filled_in_as_compose_does(text: str, filled: str) -> None:
    assert interpolated(text, {"A": "a", "EMPTY": ""}) == filled


@pytest.mark.parametrize("text", ["${NONE:?say it}", "${EMPTY:?say it}", "${NONE?say it}"])
def test_a_value_that_must_be_given_is_asked_for(text: str) -> None:
    with pytest.raises(Unusable, match="is missing: say it"):
        interpolated(text, {"EMPTY": ""})


@pytest.mark.parametrize("text", ["$A", "a $", "${A", "${A:+b}", "${A:-${B}}"])
def test_a_dollar_that_means_nothing_here_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="write it twice"):
        interpolated(text, {"A": "a"})


def test_nobody_starts_without_saying_who_signs_tokens() -> None:
    with pytest.raises(Unusable, match="WISHGRID_TOKEN_ISSUER is missing"):
        read_compose({})


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert documented() == set(settings())


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_told_every_setting_and_nothing_else(compose: Compose, name: str) -> None:
    given = compose.services[name].environment
    left_out = ONLY_IN_DEVELOPMENT | ONLY_WITH_TLS
    if name.startswith("projections"):
        left_out |= ONLY_FOR_A_RELAY
    assert set(given) == set(settings()) - left_out
    assert {each for each, required in settings().items() if required} <= set(given)
    assert given["WISHGRID_INSTANCE"] == name
    assert given["WISHGRID_ENVIRONMENT"] == "production"


def test_the_defaults_said_here_are_those_of_the_settings(compose: Compose) -> None:
    given = compose.services["intake-1"].environment
    for name in ("wait_seconds", "lease_seconds", "session_timeout_seconds"):
        default = Settings.model_fields[name].default
        assert float(given[f"WISHGRID_{name.upper()}"]) == default
    for name in ("database_prefix", "topic_prefix", "log_level", "environment"):
        assert given[f"WISHGRID_{name.upper()}"] == Settings.model_fields[name].default


def test_no_image_floats(compose: Compose) -> None:
    bases = [line.split()[0] for line in instructions("FROM")]
    for image in [*bases, *(service.image for service in compose.services.values())]:
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+\.\d+(-[a-z-]+)?", image), image


def test_every_server_and_service_says_how_it_is_known_to_be_well(compose: Compose) -> None:
    for name, service in compose.services.items():
        if name in (*JOBS, *BY_HAND):
            continue
        assert service.healthcheck is not None, name
        assert service.healthcheck.test[0] == "CMD"
        assert ("/readyz" in service.healthcheck.test[-1]) == (name in OURS)


@pytest.mark.parametrize("name", OURS)
def test_a_service_waits_for_what_it_needs(compose: Compose, name: str) -> None:
    after = compose.services[name].depends_on
    assert {each: when.condition for each, when in after.items()} == {
        "kafka": "service_healthy",
        "mongo": "service_healthy",
        "topics": "service_completed_successfully",
    }


@pytest.mark.parametrize("name", OURS)
def test_secrets_are_files_and_towns_cannot_be_written(compose: Compose, name: str) -> None:
    service = compose.services[name]
    files = {f"/run/secrets/{secret}" for secret in service.secrets}
    assert set(service.secrets) <= set(compose.secrets)
    assert {v for k, v in service.environment.items() if k.endswith("_FILE")} == files
    assert [volume.split(":")[1:] for volume in service.volumes] == [["/towns", "ro"]]
    assert service.environment["WISHGRID_TOWNS"] == "/towns"


def test_the_servers_are_set_up_as_the_services_must_have_them(compose: Compose) -> None:
    kafka = compose.services["kafka"].environment
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert int(kafka["KAFKA_OFFSETS_RETENTION_MINUTES"]) > 5 * 365 * 24 * 60
    mongo = compose.services["mongo"].command
    assert mongo[mongo.index("--replSet") + 1] == "rs0"
    assert "transactionLifetimeLimitSeconds=20" in mongo
    assert not compose.services["kafka"].ports
    assert not compose.services["mongo"].ports


def test_no_two_services_publish_the_same_port(compose: Compose) -> None:
    ports = [port.rsplit(":", 1)[0] for s in compose.services.values() for port in s.ports]
    assert len(ports) == len(set(ports)) == len(OURS)
    assert all(port.startswith("127.0.0.1:") for port in ports)  # unless an operator opens them


@pytest.mark.parametrize("name", OURS)
def test_the_command_of_a_service_can_be_imported(compose: Compose, name: str) -> None:
    python, flag, module = compose.services[name].command
    assert (python, flag) == ("python", "-m")
    assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("name", [*JOBS, "passwords"])
def test_a_job_is_a_command_that_hears_what_it_needs(compose: Compose, name: str) -> None:
    job = compose.services[name]
    program, command, *_ = job.command
    assert (program, command) == ("wishgrid", name)
    help_ = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"})
    assert help_.exit_code == 0
    known = {*re.findall(r"WISHGRID_[A-Z_]+", help_.output), *DOORS}
    assert set(job.environment) <= known
    services = compose.services["intake-1"].environment
    assert known & services.keys() - DOORS <= job.environment.keys()
    shared = job.environment.keys() & services.keys() - DOORS
    assert {key: job.environment[key] for key in shared} == {key: services[key] for key in shared}


def test_topics_are_made_by_the_admin_once_it_is_known_to_kafka(compose: Compose) -> None:
    assert compose.services["topics"].environment["WISHGRID_KAFKA_USER"] == ADMIN
    assert compose.services["topics"].depends_on.keys() == {"rights"}
    assert compose.services["rights"].depends_on["kafka"].condition == "service_healthy"


def test_kafka_lets_nobody_in_without_a_name_or_beyond_a_right(compose: Compose) -> None:
    kafka = compose.services["kafka"].environment
    listeners = kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    assert {each.split(":")[1] for each in listeners} <= {"SASL_PLAINTEXT", "SASL_SSL"}
    assert kafka["KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND"] == "false"
    assert kafka["KAFKA_AUTHORIZER_CLASS_NAME"].endswith(".StandardAuthorizer")
    assert kafka["KAFKA_SUPER_USERS"] == f"User:{ADMIN}"
    controller = [each for each in kafka["KAFKA_LISTENERS"].split(",") if "CONTROLLER" in each]
    assert controller == ["CONTROLLER://localhost:9093"]  # for this container alone


@pytest.mark.parametrize("prefix", ["", "north."])
def test_every_service_comes_as_a_user_of_its_own_whose_password_is_handed_to_it(
    prefix: str,
) -> None:
    compose = read_compose({**GIVEN, "WISHGRID_TOPIC_PREFIX": prefix})
    known = users([], prefix)
    for name in OURS:
        said = compose.services[name].environment
        for who in ("WISHGRID_KAFKA_", "WISHGRID_KAFKA_RELAY_"):
            if f"{who}USER" not in said:
                continue
            user, secret = said[f"{who}USER"], Path(said[f"{who}PASSWORD_FILE"]).name
            assert user in known
            assert secret in compose.services[name].secrets
            assert compose.secrets[secret].file == f"/etc/wishgrid/kafka/{user}.password"
    named = {said.environment.get("WISHGRID_KAFKA_USER") for said in compose.services.values()}
    assert named - {None, ADMIN} == {
        f"{prefix}wishgrid.{service}" for service in ("intake", "dispatch", "projections")
    }


def test_kafka_starts_with_files_that_the_passwords_command_makes(
    compose: Compose, tmp_path: Path
) -> None:
    Passwords(tmp_path).ensure(())
    kafka = compose.services["kafka"]
    home = "/etc/wishgrid/kafka"
    for secret in kafka.secrets:
        assert (tmp_path / compose.secrets[secret].file.removeprefix(f"{home}/")).is_file()
    assert kafka.environment["KAFKA_OPTS"].partition("=")[2] == f"/run/secrets/{JAAS}"
    assert kafka.healthcheck is not None
    assert kafka.healthcheck.test[-1] == f"/run/secrets/{CLIENT}"
    assert compose.services["rights"].volumes[-1] == f"{home}:/passwords:ro"
    assert compose.services["passwords"].volumes[-1] == f"{home}:/passwords"


def test_the_image_is_not_run_by_root_and_is_made_of_what_is_there() -> None:
    (user,) = instructions("USER")
    assert int(user.split(":")[0]) > 0
    copied = [line for line in instructions("COPY") if not line.startswith("--from=")]
    sources = [source for line in copied for source in line.split()[:-1]]
    assert {"requirements.runtime.lock", "shared", "services", "deploy"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    shown = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    brought = re.findall(r"^!(.*)$", shown, re.MULTILINE)
    assert {source.partition("/")[0] for source in sources} == set(brought)
    (stage,) = [line for line in instructions("FROM") if " AS " in line]
    (pages,) = [line for line in instructions("COPY") if line.startswith("--from=")]
    assert stage.endswith(" AS pages")
    assert pages == "--from=pages /pages/static/vendor services/projections/board/static/vendor"


def test_nothing_gets_into_the_image_without_a_hash() -> None:
    (lock,) = [run for run in instructions("RUN") if "--require-hashes" in run]
    assert lock.endswith("requirements.runtime.lock")
    (package,) = [run for run in instructions("RUN") if "--no-deps" in run]
    assert "--no-build-isolation" in package
    locked = (ROOT / "requirements.runtime.lock").read_text(encoding="utf-8")
    assert re.search(r"^setuptools==", locked, re.MULTILINE)
    assert "://" not in locked


def test_the_third_instance_is_run_as_the_last_one_there_is(compose: Compose) -> None:
    assert compose.instance("intake", 2) is compose.services["intake-2"]
    assert compose.instance("intake", 3) is compose.services["intake-2"]
    with pytest.raises(Unusable, match="no service archive-1"):
        compose.instance("archive", 1)


def test_a_process_without_a_container_is_told_the_same_but_for_where_things_are() -> None:
    said = Service(
        image="wishgrid:0.1.0",
        restart="no",
        command=("python", "-m", "services.intake.app"),
        environment={"WISHGRID_KAFKA": "kafka:9092", "WISHGRID_NEW": "as in the file"},
    )
    argv, environment = argv_and_environment(said, {"WISHGRID_KAFKA": "127.0.0.1:1"})
    assert argv == [sys.executable, "-m", "services.intake.app"]
    assert environment["WISHGRID_KAFKA"] == "127.0.0.1:1"
    assert environment["WISHGRID_NEW"] == "as in the file"


def test_the_file_is_what_yaml_says_it_is(compose: Compose) -> None:
    """What is read here is what compose itself would see: nothing but `x-` is left out."""
    whole = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert {key for key in whole if not key.startswith("x-")} == set(type(compose).model_fields)


@pytest.fixture(scope="module")
def cluster() -> Compose:
    return read_compose(GIVEN, over=CLUSTER)


NODES = {"kafka": ["kafka", "kafka-2", "kafka-3"], "mongo": ["mongo", "mongo-2", "mongo-3"]}


def test_the_cluster_is_the_same_installation_on_three_of_each_server(
    compose: Compose, cluster: Compose
) -> None:
    more = {name for names in NODES.values() for name in names[1:]}
    assert cluster.services.keys() == compose.services.keys() | more
    where = {"WISHGRID_KAFKA", "WISHGRID_MONGO"}
    for name in (*OURS, *JOBS, *BY_HAND):
        one, many = compose.services[name], cluster.services[name]
        differs = {k for k, v in many.environment.items() if one.environment[k] != v}
        assert differs == where & one.environment.keys()
        assert many.secrets == one.secrets
        assert many.image == one.image


@pytest.mark.parametrize("name", OURS)
def test_a_service_knows_all_servers_of_the_cluster_and_waits_for_them(
    cluster: Compose, name: str
) -> None:
    said = cluster.services[name]
    assert said.environment["WISHGRID_KAFKA"].split(",") == [f"{n}:9092" for n in NODES["kafka"]]
    hosts = ",".join(f"{n}:27017" for n in NODES["mongo"])
    assert said.environment["WISHGRID_MONGO"] == f"mongodb://{hosts}/?replicaSet=rs0"
    assert said.depends_on.keys() == {*NODES["kafka"], *NODES["mongo"], "topics"}


def test_each_broker_is_itself_and_keeps_its_own_data(cluster: Compose) -> None:
    brokers = [cluster.services[name] for name in NODES["kafka"]]
    voters = ",".join(f"{n}@{name}:9093" for n, name in enumerate(NODES["kafka"], 1))
    for n, (name, broker) in enumerate(zip(NODES["kafka"], brokers, strict=True), 1):
        said = broker.environment
        assert said["KAFKA_NODE_ID"] == str(n)
        assert said["KAFKA_ADVERTISED_LISTENERS"] == f"SERVICES://{name}:9092"
        assert said["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert said["KAFKA_SUPER_USERS"] == f"User:{ADMIN}"
        assert broker.volumes == (f"{name}:/var/lib/kafka/data",)
    assert len({broker.environment["CLUSTER_ID"] for broker in brokers}) == 1
    volumes = [
        v.split(":")[0]
        for n in (*NODES["kafka"], *NODES["mongo"])
        for v in cluster.services[n].volumes
    ]
    assert sorted(volumes) == sorted(cluster.volumes)


def test_the_cluster_of_this_machine_is_set_up_as_the_one_of_the_file(cluster: Compose) -> None:
    """What is rehearsed is what is told to operators."""
    said = cluster.services["kafka-2"].environment
    here = common_settings(3)
    wanted = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): value
        for key, value in said.items()
        if re.search("REPLICA|_ISR|INSYNC|BROKER_(HEARTBEAT|SESSION)|RETENTION|AUTO_CREATE", key)
    }
    assert len(wanted) == 10
    assert wanted.items() <= here.items()
    assert {here[key] for key in wanted if key.endswith("replication.factor")} == {"3"}
    assert {here[key] for key in wanted if "isr" in key or "insync" in key} == {"2"}
    begins = cluster.services["mongo"].healthcheck
    assert begins is not None
    told = re.search(r"rs\.initiate\((.+)\) }", begins.test[-1])
    assert told is not None
    config = yaml.safe_load(told[1])
    assert config["settings"] == ELECTION
    assert [each["host"] for each in config["members"]] == [f"{n}:27017" for n in NODES["mongo"]]
    assert cluster.services["topics"].command == ("wishgrid", "topics", "--replication", "3")
    assert {cluster.services[name].command for name in NODES["mongo"]} == {
        cluster.services["mongo"].command
    }


def test_what_lies_over_the_file_says_nothing_compose_would_add_to_a_list(
    compose: Compose,
) -> None:
    """Compose appends to some lists; here a list replaces the one below it. Only volumes of a
    service of its own are said again, and those compose replaces too, by where they are mounted."""
    over = yaml.safe_load(CLUSTER.read_text(encoding="utf-8"))
    lists = {
        (name, key)
        for name, said in over["services"].items()
        for key, value in said.items()
        if isinstance(value, list) and key != "command"
    }
    added = [*NODES["kafka"][1:], *NODES["mongo"][1:]]
    assert lists == {(name, "volumes") for name in added}
    for name in added:
        base = compose.services[over["services"][name]["extends"]["service"]]
        mounted = [volume.split(":")[1] for volume in over["services"][name]["volumes"]]
        assert mounted == [volume.split(":")[1] for volume in base.volumes]
        assert over["services"][name]["extends"]["file"] == COMPOSE.name


def test_a_typo_in_what_lies_over_it_fails_too(tmp_path: Path) -> None:
    file = tmp_path / "over.yml"
    file.write_text("services:\n  kafka-2:\n    extends: {service: kafka}\n    volume: []\n")
    with pytest.raises(Unusable, match=r"kafka-2\.volume"):
        read_compose(GIVEN, over=file)


@pytest.mark.parametrize("name", OURS)
def test_a_service_that_ends_is_started_again_and_has_time_to_end_by_itself(
    compose: Compose, name: str
) -> None:
    """`on-failure` would do for status 1; `unless-stopped` is for whatever status."""
    service = compose.services[name]
    assert service.restart == "unless-stopped"
    assert service.stop_grace_period is not None
    assert float(service.stop_grace_period.removesuffix("s")) > END_SECONDS
