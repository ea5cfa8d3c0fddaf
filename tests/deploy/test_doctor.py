"""`wishgrid doctor`: each fault is made, and then told by its name; a sound place has none."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.structs import TopicPartition
from bson import Timestamp
from pymongo import MongoClient
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.doctor import Diagnosis, Fault, examine
from deploy.doctor.faults import KNOWN
from deploy.doctor.files import look_at_files
from deploy.local.certificates import ensure_certificates
from deploy.local.compose import read_compose
from deploy.local.mongod import OPTIONS, mongod_program, start_mongod
from deploy.local.ports import free_ports, taken
from deploy.local.process import Process
from deploy.secrets import Secrets
from deploy.topics import Topic, ensure_topics, topics_of
from services.projections.build import Build
from services.projections.roll import KEPT, READING
from services.projections.stories import FOLD_VERSION
from shared.breaker import Breaker
from shared.contracts.recorded import to_wire
from shared.kafka import FACTS
from shared.keystore import check_secrets
from shared.mongo_store import MongoStore, encode
from shared.serving import House, register_profiles
from shared.settings import Settings
from tests.conftest import TOWNS, TOWNS_FOLDER, send, until, wish_commit

stack = pytest.mark.stack
NOWHERE = "127.0.0.1:1"
COMPOSED = "docker compose --file deploy/docker-compose.yml"


@dataclass
class Place:
    """A sound installation nobody has used yet; `folder` holds its towns and secrets."""

    house: House
    folder: Path
    env: pytest.MonkeyPatch

    async def diagnosis(self) -> Diagnosis:
        return await examine()

    async def fault(self, name: str) -> Fault:
        """The fault of this name; there must be no other."""
        found = await examine()
        assert [fault.name for fault in found.faults] == [name]
        return found.faults[0]

    def set(self, name: str, value: object) -> None:
        self.env.setenv(f"WISHGRID_{name}", str(value))


@pytest.fixture
async def place(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    towns = shutil.copytree(TOWNS_FOLDER, tmp_path / "towns")
    for name, value in house.settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"WISHGRID_{name.upper()}", str(value))
    monkeypatch.setenv("WISHGRID_TOWNS", str(towns))
    await ensure_topics(
        house.kafka, prefix=house.settings.topic_prefix, topics=topics_of(house.towns.partners())
    )
    for service in ("intake", "dispatch", "projections"):
        await register_profiles(house.database(service), house.towns)
    await check_secrets(house.database("keys"), house.secrets)
    return Place(house, tmp_path, monkeypatch)


@stack
async def test_a_sound_installation_has_no_fault(place: Place) -> None:
    assert await place.diagnosis() == Diagnosis()


@stack
async def test_what_cannot_be_looked_at_is_said(place: Place) -> None:
    place.set("KAFKA", NOWHERE)
    found = await place.diagnosis()
    assert [fault.name for fault in found.faults] == ["kafka-away"]
    assert found.unseen == ["what Kafka holds", "how far readers and relays are"]


@stack
async def test_a_kafka_that_does_not_let_its_user_in(place: Place) -> None:
    """This one asks nobody who they are, and takes no password either."""
    (password := place.folder / "password").write_text("of another")
    place.set("KAFKA_USER", "wishgrid.intake")
    place.set("KAFKA_PASSWORD_FILE", password)
    fault = await place.fault("kafka-shut")
    assert "does not let wishgrid.intake in" in fault.says
    assert fault.mend.startswith(f"{COMPOSED} run --rm rights   # ")
    assert fault.mend.endswith(f"run --rm --no-deps passwords && {COMPOSED} restart kafka")


@stack
async def test_mongodb_that_does_not_answer(place: Place) -> None:
    place.set("MONGO", f"mongodb://user:secret@{NOWHERE}/?replicaSet=rs0")
    fault = await place.fault("mongo-away")
    assert NOWHERE in fault.says
    assert "secret" not in fault.says + fault.mend


@contextmanager
def bare_mongod(folder: Path, *options: str) -> Iterator[int]:
    """A mongod that nobody has made a replica set; its port."""
    (port,) = free_ports(1)
    plain = [word for word in OPTIONS if word not in ("--replSet", "rs0")]
    argv = [str(mongod_program()), *plain, *options, "--port", str(port), "--dbpath", str(folder)]
    process = Process("mongod", argv, None, folder / "mongod.log")
    process.start()
    try:
        process.wait_until(lambda: taken(port) and "Waiting for connections" in process.said(), 60)
        yield port
    finally:
        process.terminate()


@stack
async def test_a_mongod_that_was_started_without_a_replica_set(
    place: Place, tmp_path: Path
) -> None:
    with bare_mongod(tmp_path) as port:
        place.set("MONGO", f"mongodb://127.0.0.1:{port}/?replicaSet=rs7")
        fault = await place.fault("mongo-alone")
    assert fault.mend.startswith("start each with --replSet rs7 ")
    assert fault.mend.endswith(
        f"\"rs.initiate({{_id: 'rs7', members: [{{_id: 0, host: '127.0.0.1:{port}'}}]}})\""
    )


@stack
async def test_a_replica_set_over_tls_that_was_not_begun_and_the_command_that_begins_it(
    place: Place, tmp_path: Path
) -> None:
    authority, server = ensure_certificates(tmp_path / "tls", "127.0.0.1")
    tls = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(server))
    with bare_mongod(tmp_path, "--replSet", "rs7", *tls) as port:
        said = f"tls=true&tlsCAFile={authority}"
        place.set("MONGO", f"mongodb://127.0.0.1:{port}/?replicaSet=rs7&{said}")
        fault = await place.fault("mongo-not-begun")
        shell = re.fullmatch(r"mongosh '(.+)' --eval \"rs\.initiate\((.+)\)\"", fault.mend)
        assert shell is not None
        with MongoClient[dict[str, Any]](shell[1]) as client:
            client.admin.command("replSetInitiate", yaml.safe_load(shell[2]))

        async def begun() -> bool:
            names = {fault.name for fault in (await place.diagnosis()).faults}
            return not names & {"mongo-not-begun", "mongo-without-primary", "mongo-away"}

        await until(begun, "the replica set has a primary")


@stack
async def test_a_replica_set_without_a_primary(place: Place, tmp_path: Path) -> None:
    server = start_mongod(tmp_path)
    try:
        with MongoClient[dict[str, Any]](server.address) as client:
            client.admin.command("replSetStepDown", 60, force=True)
        place.set("MONGO", server.address)
        assert "has no primary" in (await place.fault("mongo-without-primary")).says
    finally:
        server.stop()


@stack
async def test_topics_that_are_missing(place: Place) -> None:
    prefix = place.house.settings.topic_prefix
    admin = AIOKafkaAdminClient(**place.house.kafka.options())
    await admin.start()
    gone = f"{prefix}wishgrid.dead.v1"
    await admin.delete_topics([gone])

    async def no_more() -> bool:
        return gone not in await admin.list_topics()

    await until(no_more, "the topic is gone")
    await admin.close()
    fault = await place.fault("topics-missing")
    assert f"no topic {gone}" in fault.says
    assert fault.mend == "wishgrid topics"


@stack
async def test_after_a_republish_into_another_topic_that_one_is_looked_at(place: Place) -> None:
    new, prefix = "wishgrid.facts.v2", f"{place.house.settings.topic_prefix}moved."
    place.set("TOPIC_PREFIX", prefix)
    place.set("FACTS_TOPIC", new)
    wanted = topics_of(place.house.towns.partners())
    cut = [Topic(t.name, 4) if t.name == FACTS else t for t in wanted]
    await ensure_topics(place.house.kafka, prefix=prefix, topics=cut)
    assert f"no topic {prefix}{new}:" in (await place.fault("topics-missing")).says
    await ensure_topics(place.house.kafka, prefix=prefix, topics=[Topic(new)])
    assert await place.diagnosis() == Diagnosis()


@stack
async def test_a_topic_with_another_setting_and_one_cut_otherwise(place: Place) -> None:
    place.set("TOPIC_PREFIX", prefix := f"{place.house.settings.topic_prefix}other.")
    wanted = topics_of(place.house.towns.partners())
    short = [Topic(t.name, 4, retention_ms=1000) if t.name == FACTS else t for t in wanted]
    await ensure_topics(place.house.kafka, prefix=prefix, topics=short)
    found = await place.diagnosis()
    says = {fault.name: fault.says for fault in found.faults}
    assert says["topic-cut-wrong"].startswith(f"{prefix}{FACTS}: partitions is 4, wanted 12")
    assert says["topic-differs"] == f"{prefix}{FACTS}: retention.ms is 1000, wanted -1."
    assert len(found.faults) == 2


@stack
async def test_a_topic_cut_otherwise_that_holds_no_facts_is_made_again(place: Place) -> None:
    place.set("TOPIC_PREFIX", prefix := f"{place.house.settings.topic_prefix}cut.")
    wanted = topics_of(place.house.towns.partners())
    cut = [replace(t, partitions=2) if t.name == "wishgrid.dead.v1" else t for t in wanted]
    await ensure_topics(place.house.kafka, prefix=prefix, topics=cut)
    fault = await place.fault("topic-to-make-again")
    assert "partitions is 2, wanted 3" in fault.says
    assert f" --delete --topic {prefix}wishgrid.dead.v1 && {COMPOSED} run --rm topics" in fault.mend


def test_commands_within_the_container_of_kafka_come_in_as_its_health_check_does() -> None:
    kafka = read_compose({"WISHGRID_TOKEN_ISSUER": "x"}).services["kafka"]
    assert kafka.healthcheck is not None
    tool, *as_admin = kafka.healthcheck.test[1:]
    for fault in ("topic-differs", "topic-to-make-again"):
        command = KNOWN[fault][1]
        assert command.startswith(f"{COMPOSED} exec kafka {Path(tool).parent}/kafka-")
        assert f".sh {' '.join(as_admin)} --" in command


@stack
async def test_a_log_that_has_lost_its_head(place: Place, producer: AIOKafkaProducer) -> None:
    topic = place.house.in_kafka(FACTS)
    await send(producer, topic, wish_commit().recorded_facts())
    admin = AIOKafkaAdminClient(**place.house.kafka.options())
    await admin.start()
    everywhere = {TopicPartition(topic, n): RecordsToDelete(before_offset=-1) for n in range(12)}

    async def deleted() -> bool:
        try:
            await admin.delete_records(everywhere)
        except NotLeaderForPartitionError:
            return False
        return True

    await until(deleted, "the records are gone")
    await admin.close()
    assert topic in (await place.fault("log-without-head")).says


@stack
async def test_secrets_of_another_installation(place: Place) -> None:
    others = Secrets(place.folder / "others").ensure().folder
    place.set("MASTER_KEY_FILE", others / "master.key")
    assert "master key is not the one" in (await place.fault("secrets-of-another")).says
    place.set("INDEX_KEY_FILE", others / "index.key")
    assert "index key is not the one" in (await place.fault("secrets-of-another")).says


@stack
async def test_a_secret_that_everybody_can_read(place: Place) -> None:
    file = place.house.settings.master_key_file
    file.chmod(0o644)
    assert (await place.fault("secret-exposed")).mend == f"chmod 400 {file}"


@stack
async def test_a_secret_that_is_not_there(place: Place) -> None:
    place.set("TOKEN_KEYS_FILE", place.folder / "gone.json")
    assert "gone.json: No such file" in (await place.fault("secrets-unreadable")).says


@pytest.mark.parametrize("why", ["Permission denied", "File name too long"])
def test_a_secret_that_may_not_even_be_looked_at(why: str, tmp_path: Path) -> None:
    """As the image's user, for root may look at everything."""
    found = Diagnosis()
    (shut := tmp_path / "shut").mkdir(mode=0o000)
    key = shut / "master.key" if why.startswith("P") else tmp_path / ("k" * 300)
    settings = Settings.model_construct(
        master_key_file=key,
        index_key_file=key,
        token_keys_file=key,
        towns=TOWNS_FOLDER,
        kafka=NOWHERE,
    )
    was = os.geteuid()
    for folder in tmp_path.parents:
        # Each worker has a folder of its own below pytest's.
        if folder.stat().st_uid == was and "pytest-" in str(folder):
            folder.chmod(0o711)
    tmp_path.chmod(0o711)
    if was == 0:
        os.seteuid(10001)
    try:
        look_at_files(settings, found)
    finally:
        os.seteuid(was)
    assert {fault.name for fault in found.faults} == {"secrets-unreadable"}
    assert why in found.faults[0].says


@stack
@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("mongodb://there/?tls=true&tlsCAFile=/gone.pem", "/gone.pem: No such file"),
        ("mongo://me:secret@there", "WISHGRID_MONGO does not read: InvalidURI"),
    ],
)
async def test_a_uri_of_mongodb_that_does_not_read(place: Place, uri: str, says: str) -> None:
    place.set("MONGO", uri)
    found = await place.diagnosis()
    assert [(fault.name, says in fault.says) for fault in found.faults] == [
        ("settings-wrong", True)
    ]
    assert found.unseen == ["what MongoDB and Kafka hold"]


@stack
async def test_a_profile_that_was_edited_and_one_that_is_gone(place: Place) -> None:
    file = place.folder / "towns" / "t3" / "profile-1.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("resolve_within_hours: 24", "resolve_within_hours: 25"))
    found = await place.diagnosis()
    assert {fault.name for fault in found.faults} == {"profile-edited"}
    assert len(found.faults) == 3  # each service knows it
    file.write_text(text.replace("\nn: 1\n", "\nn: 2\n"))
    found = await place.diagnosis()
    assert {fault.name for fault in found.faults} == {"profile-absent"}


@stack
async def test_files_of_towns_that_do_not_read(place: Place) -> None:
    (place.folder / "towns" / "t3" / "units.yaml").write_text("units: [")
    fault = await place.fault("towns-unreadable")
    assert fault.mend == f"wishgrid profile check {place.folder / 'towns'}"


@stack
async def test_a_commit_that_nobody_relays(place: Place) -> None:
    commits = MongoStore(place.house.database("intake")).commits
    document = {**encode(wish_commit()), "ts": Timestamp(1_700_000_000, 1)}
    await commits.insert_one(document)
    fault = await place.fault("relay-behind")
    assert re.fullmatch(r"The oldest commit of intake has waited \d+ s for Kafka: .*", fault.says)
    assert fault.mend.endswith("up --detach intake-1 intake-2")


@stack
async def test_a_group_that_lags_and_has_no_reader(
    place: Place, producer: AIOKafkaProducer
) -> None:
    await send(producer, place.house.in_kafka(FACTS), wish_commit().recorded_facts())
    found = await place.diagnosis()
    assert {fault.name for fault in found.faults} == {"reader-gone"}
    assert "1 records wait for wishgrid.dispatch.reactions" in found.faults[-1].says


@stack
async def test_a_kept_generation_that_nobody_reads_for_is_no_fault(
    place: Place, producer: AIOKafkaProducer
) -> None:
    """So it is after an upgrade whose folds differ: the old one stays until it is dropped."""
    await reads(place, folds=FOLD_VERSION)
    await send(producer, place.house.in_kafka(FACTS), wish_commit().recorded_facts())

    async def waited_for() -> set[str]:
        found = await place.diagnosis()
        assert {fault.name for fault in found.faults} == {"reader-gone"}
        return {word for f in found.faults for word in f.says.split() if word.endswith(".g1,")}

    assert await waited_for() == {"wishgrid.projections.g1,"}
    kept = {"$set": {"state": KEPT}}
    await place.house.database("views")["generations"].update_one({"_id": "g1"}, kept)
    assert await waited_for() == set()


@stack
@pytest.mark.parametrize("where", ["intake", "dispatch", "views_g1"])
async def test_stories_that_are_parked(place: Place, where: str) -> None:
    await reads(place, folds=FOLD_VERSION)
    await place.house.database(where)["parked"].insert_one({"story": "s", "reason": "a bug"})
    fault = await place.fault("stories-parked")
    assert fault.says.startswith("1 records in ")
    assert fault.mend.startswith("wishgrid parked list   # and once ")


@stack
async def test_reactions_that_a_rule_refused(place: Place) -> None:
    issues = place.house.database("dispatch")["issues"]
    now = datetime.now(UTC)

    async def refused(code: str, days_ago: int) -> None:
        noted = now - timedelta(days=days_ago)
        await issues.insert_many(
            [{"code": code, "story": f"{code}-{n}", "noted": noted} for n in range(3)]
        )

    await refused("erased", 8)
    assert await place.diagnosis() == Diagnosis()
    await refused("already-closed", 6)
    fault = await place.fault("reactions-refused")
    assert "refused 3 reactions to facts in the last 7 days (already-closed 3 times)" in fault.says


@stack
async def test_stores_that_were_restored_by_half_or_not_compared_or_apart(place: Place) -> None:
    left = place.house.database("intake")["restore"]
    await left.insert_one({"_id": "restore", "state": "begun"})
    half = await place.fault("store-half-restored")
    assert half.says.endswith("_intake is half restored: no service starts with it.")
    await left.update_one({}, {"$set": {"state": "restored"}})
    assert "intake serves nothing" in (await place.fault("store-behind")).says
    await left.update_one({}, {"$set": {"why": "wish-1@2 is another fact"}})
    apart = await place.fault("store-and-topic-apart")
    assert "cannot be brought together: wish-1@2 is another fact. " in apart.says


@stack
async def test_a_read_model_of_other_folds_and_one_of_another_topic(place: Place) -> None:
    await reads(place, folds=1)
    assert "written by folds 1" in (await place.fault("read-model-outdated")).says
    await reads(place, folds=FOLD_VERSION)
    name = f"{place.house.in_kafka(FACTS)}:3"
    await place.house.database("views_g1")["offsets"].insert_one({"_id": name, "next": 7})
    fault = await place.fault("read-model-elsewhere")
    assert "stands still at 7 of 0 in partition 3" in fault.says
    assert fault.mend == "wishgrid republish --all && wishgrid rebuild"


@stack
async def test_a_read_model_of_a_topic_that_was_made_again_and_is_longer_by_now(
    place: Place, producer: AIOKafkaProducer
) -> None:
    """Where it stands there is a record, but another one than it has read."""
    await reads(place, folds=FOLD_VERSION)
    topic = place.house.in_kafka(FACTS)
    facts = wish_commit().recorded_facts()
    sent = await producer.send_and_wait(topic, *to_wire(facts[0])[1:2], partition=3)
    offsets = place.house.database("views_g1")["offsets"]
    read = {"_id": f"{topic}:3", "next": sent.offset + 1, "last": None}
    await offsets.insert_one(read)
    found = await place.diagnosis()
    assert "read-model-elsewhere" not in {fault.name for fault in found.faults}
    await offsets.update_one({"_id": read["_id"]}, {"$set": {"last": "wish-x@1"}})
    found = await place.diagnosis()
    (fault,) = (f for f in found.faults if f.name == "read-model-elsewhere")
    assert "stands still at 1 of 1 in partition 3" in fault.says


async def reads(place: Place, folds: int) -> None:
    """Let g1 be read, written by these folds."""
    views = place.house.database("views")
    for name, document in (
        ("alias", {"_id": "reading", "generation": "g1"}),
        (
            "generations",
            {"_id": "g1", "state": READING, **Build.of(TOWNS, folds=folds).new_generation()},
        ),
    ):
        await views[name].replace_one({"_id": document["_id"]}, document, upsert=True)


@stack
async def test_a_reader_that_stands_still_so_as_not_to_park_everything(place: Place) -> None:
    """`tests/projections/test_stopped.py` has one that really does."""
    home = place.house.database("dispatch")
    await Breaker(home, "reactions", "dispatch-1").stand("101 would be parked")
    fault = await place.fault("reader-stands-still")
    assert fault.says.startswith("A reader (reactions of dispatch, on dispatch-1) has stood still")
    assert fault.says.endswith("skips nothing. 101 would be parked.")
    assert "WISHGRID_MOST_STORIES_PARKED" in fault.mend


def test_every_fault_there_is_was_made_here() -> None:
    made = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in KNOWN if f'"{name}"' not in made] == []
    assert len(KNOWN) >= 12


def test_settings_that_are_missing_are_told_by_the_command(tmp_path: Path) -> None:
    files = Secrets(tmp_path).ensure().environment
    given = {**files, "WISHGRID_MONGO": "mongodb://x", "WISHGRID_KAFKA": None}  # whatever we have
    said = CliRunner().invoke(app, ["doctor"], env=given)
    assert said.exit_code == 1
    name, says, mend, unseen = said.output.splitlines()
    assert (name, unseen) == ("settings-wrong", "not looked at: everything else")
    assert "WISHGRID_KAFKA: Field required" in says
    assert "deploy/env.example" in mend
