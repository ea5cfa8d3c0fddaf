"""On a Kafka that asks for names and knows rights: the loop goes round, nobody does what is not
theirs."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import yaml
from aiokafka.errors import KafkaConnectionError
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from deploy.demo.client import Client
from deploy.demo.partner import partner
from deploy.kafka_door import lets_in, why_not
from deploy.lag import Installation as Where
from deploy.lag import measure
from deploy.local.certificates import ensure_certificates
from deploy.local.installation import SERVICES as PROGRAMS
from deploy.local.installation import installation
from deploy.local.servers import Servers, servers
from deploy.rights.broker import Broker, NotDone
from deploy.rights.job import ensure_rights, rights_job
from deploy.rights.table import ADMIN, SERVICES, Right, partner_user, users
from deploy.topics import ensure_topics, topics_of
from shared.access import Role
from shared.contracts.answers import answers_topic, inbound_topic
from shared.contracts.base import PartnerId
from shared.kafka import CARE, DEAD, FACTS, fact_producer
from shared.kafka_access import KafkaAccess
from tests.conftest import TOWNS_FOLDER, until
from tests.journeys.conftest import TOWN, WISH, log_of
from tests.kafka_acts import Forbidden, make_topic, read, write, write_in_transaction
from tests.partner import PARTNER, SOURCE, UNIT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120, func_only=True)]

PREFIX: Final = "table."
ALPHA, BETA = PartnerId("alpha"), PartnerId("beta")
EVERYBODY: Final = (ADMIN, *SERVICES, partner_user(ALPHA), partner_user(BETA))
RELAYS: Final = {"wishgrid.intake-relay", "wishgrid.dispatch-relay"}
READERS: Final = {"wishgrid.intake", "wishgrid.dispatch", "wishgrid.projections"}

Act = Callable[[KafkaAccess], Awaitable[None]]


@pytest.fixture(scope="module")
def secured(stack_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A Kafka that lets nobody in without a name; the mongod is everybody's."""
    folder = tmp_path_factory.mktemp("secured")
    with servers(folder, mongo=stack_servers.mongo, secure=True) as running:
        yield running


@pytest.fixture(scope="module")
def table(secured: Servers) -> Callable[[str], KafkaAccess]:
    """How each user of the table gets in: topics and rights of two partners, one record in each
    topic, and no service."""
    assert secured.passwords is not None
    passwords, partners = secured.passwords, (ALPHA, BETA)
    passwords.ensure(users(partners, PREFIX))
    asyncio.run(ensure_rights(secured.kafka, passwords.folder, partners, PREFIX))
    topics = topics_of(partners)
    asyncio.run(ensure_topics(secured.kafka, prefix=PREFIX, topics=topics))

    async def fill() -> None:
        for topic in topics:
            await write(secured.kafka, PREFIX + topic.name)

    asyncio.run(fill())
    return lambda user: passwords.access(secured.kafka, user if user == ADMIN else PREFIX + user)


def test_a_wish_goes_round_when_every_service_comes_under_its_own_name(
    secured: Servers, tmp_path: Path
) -> None:
    with installation(secured, tmp_path, name="secured") as place, ExitStack() as ending:
        resident, desk, unit = (
            ending.enter_context(closing(Client(place, role, sub, TOWN, areas, unit)))
            for role, sub, areas, unit in (
                (Role.RESIDENT, "wx-secured", (), None),
                (Role.COMMUNITY, "west-desk", ["t3/west"], None),
                (Role.UNIT, "sweeper", (), UNIT),
            )
        )
        said = resident.submit(WISH)
        story = said["story"]
        said = desk.do("accept", story, {}, said["position"])
        said = desk.do("dispatch", story, {"unit": UNIT}, said["position"])
        desk.get(f"/v1/cases/{story}", at_least=said["position"])
        assert place.kafka_of(PARTNER).protocol == "SASL_SSL"
        with partner(place, PARTNER, SOURCE) as system:
            refused = system.tell("e-0", "unit-reported", "A-1", {"ref": "A-1", "unit": UNIT}, None)
            assert (refused.said, refused.code) == ("refused", "unknown-reference")
            answer = system.tell(
                "e-1", "unit-reported", story, {"story": story, "unit": UNIT}, None
            )
        assert (answer.said, answer.story) == ("accepted", story)
        done = {"outcome": "resolved", "note": "已疏通"}
        said = unit.do("resolve", story, done, str(answer.position))
        said = resident.do("rate", story, {"resolved": True, "satisfaction": 5}, said["position"])
        case = resident.get(f"/v1/cases/{story}", at_least=said["position"], until="closed")
        assert (case["state"], case["words"]) == ("closed", WISH["words"])
        where = Where(place.servers.kafka, place.servers.mongo, "wishgridsecured", "secured.")
        consumers = asyncio.run(measure(where)).consumers  # as the admin, as all commands
        assert len(consumers) == 4
        assert "uthorization" not in "".join(log_of(place, service) for service in PROGRAMS)


def own_inbound(kafka: KafkaAccess) -> str:
    """Of a partner, by its user."""
    return PREFIX + inbound_topic(PartnerId(str(kafka.user).rpartition(".")[2]))


ACTS: Final[dict[str, tuple[Act, Iterable[str]]]] = {
    "write facts": (lambda k: write(k, PREFIX + FACTS), RELAYS),
    "write care": (lambda k: write(k, PREFIX + CARE), RELAYS),
    "write dead letters": (lambda k: write(k, PREFIX + DEAD), {"wishgrid.intake"}),
    "write alpha's events": (lambda k: write(k, PREFIX + inbound_topic(ALPHA)), {"partner.alpha"}),
    "write alpha's answers": (
        lambda k: write(k, PREFIX + answers_topic(ALPHA)),
        {*RELAYS, "wishgrid.intake"},
    ),
    "write in alpha's transactions": (
        lambda k: write_in_transaction(
            k, PREFIX + inbound_topic(ALPHA), f"{PREFIX}partner.alpha.{k.user}"
        ),
        {"partner.alpha"},
    ),
    "read facts": (lambda k: read(k, PREFIX + FACTS), READERS),
    "read care": (lambda k: read(k, PREFIX + CARE), {"wishgrid.care"}),
    "read dead letters": (lambda k: read(k, PREFIX + DEAD), set()),
    "read alpha's events": (lambda k: read(k, PREFIX + inbound_topic(ALPHA)), {"wishgrid.intake"}),
    "read alpha's answers": (lambda k: read(k, PREFIX + answers_topic(ALPHA)), {"partner.alpha"}),
    "read alpha's answers in alpha's group": (
        lambda k: read(k, PREFIX + answers_topic(ALPHA), f"{PREFIX}partner.alpha.desk"),
        {"partner.alpha"},
    ),
    "take facts from dispatch's reactions": (
        lambda k: read(k, PREFIX + FACTS, f"{PREFIX}wishgrid.dispatch.reactions"),
        {"wishgrid.dispatch"},
    ),
    "take facts from the read model": (
        lambda k: read(k, PREFIX + FACTS, f"{PREFIX}wishgrid.projections.g7"),
        {"wishgrid.projections"},
    ),
    "read care in care's group": (
        lambda k: read(k, PREFIX + CARE, f"{PREFIX}wishgrid.care.g1"),
        {"wishgrid.care"},
    ),
    "make a topic": (
        lambda k: make_topic(k, f"{PREFIX}wishgrid.inbound.{k.user}.v1"),
        set(),
    ),
}


@pytest.mark.parametrize("what", ACTS)
async def test_nobody_may_but_who_is_meant_to(
    table: Callable[[str], KafkaAccess], what: str
) -> None:
    act, meant = ACTS[what]

    async def may(user: str) -> bool:
        try:
            await act(table(user))
        except Forbidden:
            return False
        return True

    done = await asyncio.gather(*map(may, EVERYBODY))
    allowed = {user for user, may_do in zip(EVERYBODY, done, strict=True) if may_do}
    assert allowed == {ADMIN, *meant}


async def test_a_relays_own_producer_needs_no_other_right_and_a_services_has_too_few(
    table: Callable[[str], KafkaAccess],
) -> None:
    for user, may in (("wishgrid.intake-relay", True), ("wishgrid.intake", False)):
        producer = fact_producer(table(user), "test")
        try:
            await producer.start()
            sent = producer.send_and_wait(PREFIX + FACTS, b"x", key=b"k")
            if may:
                assert (await sent).topic == PREFIX + FACTS
            else:
                with pytest.raises(Exception, match="uthorization"):
                    await sent
        finally:
            await producer.stop()


async def test_in_an_installation_beside_it_the_same_users_may_nothing(
    table: Callable[[str], KafkaAccess], secured: Servers
) -> None:
    beside = "beside."
    await ensure_topics(secured.kafka, prefix=beside, topics=topics_of([ALPHA]))
    for act in (
        read(table("wishgrid.projections"), beside + FACTS),
        write(table("wishgrid.intake-relay"), beside + FACTS),
        write(table("partner.alpha"), beside + inbound_topic(ALPHA)),
    ):
        with pytest.raises(Forbidden):
            await act


async def test_nobody_gives_rights_but_the_admin(table: Callable[[str], KafkaAccess]) -> None:
    right = Right(f"{PREFIX}partner.beta", "read", "topic", f"{PREFIX}{CARE}")
    for user in ("wishgrid.intake", "wishgrid.intake-relay", "partner.beta"):
        with pytest.raises(NotDone, match="cluster authorization failed"):
            await asyncio.to_thread(Broker(table(user)).give, [right])
        with pytest.raises(NotDone, match="cluster authorization failed"):
            await asyncio.to_thread(Broker(table(user)).make_users, {"partner.beta": "mine"})


@pytest.mark.parametrize("as_whom", ["with another password", "unknown", "without a name"])
async def test_who_is_not_known_does_not_come_in(
    table: Callable[[str], KafkaAccess], as_whom: str
) -> None:
    right = table("wishgrid.projections")
    await read(right, PREFIX + FACTS)
    wrong = {
        "with another password": KafkaAccess(right.servers, right.user, "another"),
        "unknown": KafkaAccess(right.servers, "wishgrid.nobody", right.password),
        "without a name": KafkaAccess(right.servers),
    }[as_whom]
    for act in (read(wrong, PREFIX + FACTS), write(wrong, PREFIX + FACTS)):
        with pytest.raises(KafkaConnectionError):
            await act
    assert await lets_in(right)
    assert wrong.user is None or not await lets_in(wrong)
    said = await why_not(wrong, KafkaConnectionError())
    assert ("wants a name" if wrong.user is None else "does not let") in said


def with_partners(folder: Path, *names: str) -> Path:
    """The towns, with such partners beside the one that is in the file."""
    towns = folder / "towns"
    shutil.rmtree(towns, ignore_errors=True)
    shutil.copytree(TOWNS_FOLDER, towns)
    file = towns / TOWN / "partners.yaml"
    (known,) = yaml.safe_load(file.read_text(encoding="utf-8"))["partners"]
    more = [{**known, "id": name, "sources": [f"/{name}"]} for name in names]
    file.write_text(yaml.safe_dump({"partners": [known, *more]}), encoding="utf-8")
    return towns


def test_a_partner_that_is_added_may_and_one_that_is_taken_out_is_named_until_it_is_removed(
    secured: Servers, tmp_path: Path
) -> None:
    passwords, prefix = secured.passwords, "gains."
    assert passwords is not None
    new = f"{prefix}{partner_user(PartnerId('new'))}"

    def told(command: str, towns: Path, *flags: str) -> Result:
        argv = [command, f"--towns={towns}", f"--prefix={prefix}", *flags]
        given = {"WISHGRID_KAFKA_PASSWORDS": str(passwords.folder)}
        return CliRunner().invoke(app, argv, env=given)

    def rights(towns: Path, *flags: str) -> tuple[int, str]:
        said = told("rights", towns, f"--kafka={secured.kafka}", *flags)
        return said.exit_code, said.output

    def may_write() -> None:
        topic = prefix + inbound_topic(PartnerId("new"))
        asyncio.run(write(passwords.access(secured.kafka, new), topic))

    before = with_partners(tmp_path)
    made = told("passwords", before, str(passwords.folder)).output
    assert f"made the password of {prefix}partner.{PARTNER}\n" in made
    code, said = rights(before)
    assert code == 0
    assert f"made user {prefix}wishgrid.intake\n" in said
    everything = (0, "all users and rights are there, and no others\n")
    assert rights(before) == everything == rights(before, "--check")

    after = with_partners(tmp_path, "new")
    code, said = rights(after)
    assert code == 1
    assert f"{new}.password" in said
    assert told("passwords", after, str(passwords.folder)).output == (
        f"made the password of {new}\n"
    )
    code, said = rights(after, "--check")
    assert code == 1
    assert f"missing: user {new}\n" in said
    with pytest.raises(KafkaConnectionError):
        may_write()
    code, said = rights(after)
    assert code == 0
    assert {line.split()[2] for line in said.splitlines()} == {new}
    names = topics_of([PartnerId("new")])
    asyncio.run(ensure_topics(secured.kafka, prefix=prefix, topics=names))
    may_write()

    gone = with_partners(tmp_path)
    code, said = rights(gone, "--check")
    assert code == 1
    unwanted = [f"user {new}", f"right: {new} may write topic {prefix}wishgrid.inbound.new.v1"]
    assert {f"not wanted: {each}" for each in unwanted} <= set(said.splitlines())
    code, said = rights(gone)
    assert (code, "was left as it is" in said) == (0, True)
    may_write()
    code, said = rights(gone, "--remove")
    assert (code, {f"removed {each}" for each in unwanted} <= set(said.splitlines())) == (0, True)
    with pytest.raises(KafkaConnectionError):
        may_write()
    assert rights(gone, "--check") == everything


async def test_a_right_somebody_else_was_given_by_hand_is_named(
    table: Callable[[str], KafkaAccess], secured: Servers
) -> None:
    assert secured.passwords is not None
    strays = [
        Right("*", "read", "topic", f"{PREFIX}{FACTS}"),
        Right("analyst", "read", "topic", f"{PREFIX}wish", begins=True),
        Right(f"{PREFIX}wishgrid.intake", "create", "cluster", "kafka-cluster"),
        Right("analyst", "read", "topic", "*"),
    ]
    elsewhere = Right("analyst", "read", "topic", "reports", begins=True)
    broker, folder = Broker(secured.kafka), secured.passwords.folder
    job = await rights_job(secured.kafka, folder, (ALPHA, BETA), PREFIX)
    broker.give([*strays, elsewhere])
    try:
        await until(lambda: {*strays, elsewhere} <= broker.rights(), "the broker has heard of it")
        found = await job.differences()
        assert set(found.stray_rights) == set(strays)
        await job.remove(found)
        assert not list((await job.differences()).unwanted())
        assert elsewhere in broker.rights()
    finally:
        broker.take([*strays, elsewhere])


async def test_a_password_file_that_was_changed_is_the_password_after_the_job(
    table: Callable[[str], KafkaAccess], secured: Servers
) -> None:
    assert secured.passwords is not None
    file = secured.passwords.file(f"{PREFIX}wishgrid.care")
    before = table("wishgrid.care")
    file.write_text("another one", encoding="utf-8")
    job = await rights_job(secured.kafka, file.parent, (ALPHA, BETA), PREFIX)
    found = await job.differences()
    assert (list(found.users), list(found.rights)) == ([before.user], [])
    assert not await lets_in(table("wishgrid.care"))
    await job.make(found)
    assert await lets_in(table("wishgrid.care"))
    assert not await lets_in(before)


async def test_outside_the_house_nobody_speaks_in_the_clear_or_to_a_stranger(
    table: Callable[[str], KafkaAccess], secured: Servers, tmp_path: Path
) -> None:
    assert secured.outside is not None
    alpha, topic = table("partner.alpha"), PREFIX + inbound_topic(ALPHA)
    outside = replace(alpha, servers=secured.outside.servers, ca_file=secured.outside.ca_file)
    await write(outside, topic)
    with pytest.raises(Forbidden):
        await write(outside, PREFIX + inbound_topic(BETA))
    admin = replace(outside, user=ADMIN, password=table(ADMIN).password)
    assert f"{PREFIX}partner.alpha" in await asyncio.to_thread(Broker(admin).users)
    assert [await lets_in(at, "PLAIN") for at in (table(ADMIN), admin)] == [True, False]
    other, _ = ensure_certificates(tmp_path, "127.0.0.1")
    for wrong in (replace(outside, ca_file=None), replace(outside, ca_file=other)):
        with pytest.raises(KafkaConnectionError):
            await write(wrong, topic)
