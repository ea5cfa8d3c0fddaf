"""The key store: races agree on one resident and one key, and an erased key stays erased."""

import asyncio
from datetime import UTC, datetime

import bson
import pytest

from shared import keystore, remembered
from shared.contracts.base import SubjectId, TownId
from shared.errors import KeyMissing
from shared.keystore import KeyReader, KeyWriter
from shared.mongo import Database
from shared.sealing import InstallationKeys, normalised_phone
from tests.conftest import new_story

pytestmark = pytest.mark.stack

INSTALLATION = InstallationKeys(master=bytes(range(32)), index=bytes(range(1, 33)))
TOWN = TownId("t3")
ACCOUNT, PHONE = "ling.mei@example.org", "+86 139 1234 5678"


@pytest.fixture
def instances(home: Database) -> list[KeyWriter]:
    """Two instances of intake on one key store."""
    return [KeyWriter(home, INSTALLATION), KeyWriter(home, INSTALLATION)]


async def test_50_calls_at_once_for_one_account_give_one_resident(
    instances: list[KeyWriter], home: Database
) -> None:
    index = INSTALLATION.blind(TOWN, "account", ACCOUNT)
    calls = [instances[n % 2].resident(index) for n in range(50)]
    residents = set(await asyncio.gather(*calls))
    assert len(residents) == 1
    assert await home["residents"].count_documents({}) == 1
    assert await instances[0].resident_of_account(TOWN, ACCOUNT) in residents


async def test_two_towns_do_not_share_a_resident(instances: list[KeyWriter]) -> None:
    writer = instances[0]
    here = await writer.resident(INSTALLATION.blind(TOWN, "account", ACCOUNT))
    there = await writer.resident(INSTALLATION.blind(TownId("t9"), "account", ACCOUNT))
    assert here != there
    assert await writer.resident_of_account(TownId("t8"), ACCOUNT) is None


async def test_what_any_of_racing_writers_sealed_any_other_opens(
    instances: list[KeyWriter], home: Database
) -> None:
    story, subject = new_story(), SubjectId("r-1")
    sealers = await asyncio.gather(*(instances[n % 2].ensure(subject) for n in range(50)))
    boxes = [sealer.seal(story, "words", f"text {n}") for n, sealer in enumerate(sealers)]
    for n, sealed in enumerate(boxes):
        opener = sealers[(n + 25) % 50]
        assert opener.open(story, "words", sealed) == f"text {n}"
    assert await home["keys"].count_documents({}) == 1
    stored = await KeyReader(home, INSTALLATION).sealer(subject)  # as another service finds it
    assert stored.open(story, "words", boxes[0]) == "text 0"


async def test_races_for_many_keys_agree_on_each(instances: list[KeyWriter]) -> None:
    subjects = [SubjectId(f"r-{n}") for n in range(100)]
    ours, theirs = await asyncio.gather(
        *(asyncio.gather(*(writer.ensure(s) for s in subjects)) for writer in instances)
    )
    assert [sealer.key for sealer in ours] == [sealer.key for sealer in theirs]
    assert len({sealer.key for sealer in ours}) == 100


async def test_an_erased_subject_gets_no_new_key(
    instances: list[KeyWriter], home: Database
) -> None:
    subject, writer = SubjectId("r-1"), instances[0]
    await home["keys"].insert_one({"_id": subject, "erased_at": datetime.now(UTC)})
    with pytest.raises(KeyMissing):
        await writer.ensure(subject)
    with pytest.raises(KeyMissing):
        await writer.sealer(subject)
    assert await writer.sealers([subject]) == {}
    (kept,) = await home["keys"].find().to_list(None)
    assert kept.keys() == {"_id", "erased_at"}


async def test_an_unknown_subject_has_no_key(home: Database) -> None:
    reader = KeyReader(home, INSTALLATION)
    with pytest.raises(KeyMissing):
        await reader.sealer(SubjectId("r-unknown"))
    assert await reader.resident_of_account(TOWN, ACCOUNT) is None


async def test_another_master_key_opens_nothing(instances: list[KeyWriter], home: Database) -> None:
    await instances[0].ensure(SubjectId("r-1"))
    stranger = KeyReader(home, InstallationKeys(b"x" * 32, INSTALLATION.index))
    with pytest.raises(KeyMissing, match="another master key"):
        await stranger.sealer(SubjectId("r-1"))


async def test_the_database_holds_no_key_phone_or_account(
    instances: list[KeyWriter], home: Database
) -> None:
    writer = instances[0]
    phone = normalised_phone(PHONE)
    by_account = await writer.resident(INSTALLATION.blind(TOWN, "account", ACCOUNT))
    by_phone = await writer.resident(INSTALLATION.blind(TOWN, "phone", phone))
    sealers = [await writer.ensure(SubjectId(r)) for r in (by_account, by_phone)]
    stored = b""
    for collection in await home.list_collection_names():
        stored += b"".join([bson.encode(d) async for d in home[collection].find()])
    assert by_account.encode() in stored  # the search does find what is there
    for secret in (ACCOUNT, "ling.mei", PHONE, phone, phone[-8:]):
        assert secret.encode() not in stored
    for key in (*(sealer.key for sealer in sealers), INSTALLATION.master, INSTALLATION.index):
        assert key not in stored
        assert key.hex().encode() not in stored


async def test_a_key_stays_in_memory_for_a_minute_at_most(
    instances: list[KeyWriter], home: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(remembered, "monotonic", lambda: now)
    subject, writer, reader = SubjectId("r-1"), instances[0], KeyReader(home, INSTALLATION)
    await writer.ensure(subject)
    await reader.sealer(subject)
    await home["keys"].replace_one({"_id": subject}, {"erased_at": datetime.now(UTC)})
    now += 59
    await reader.sealer(subject)
    await writer.ensure(subject)
    now += 2
    with pytest.raises(KeyMissing):
        await reader.sealer(subject)
    with pytest.raises(KeyMissing):
        await writer.ensure(subject)


async def test_who_an_account_belongs_to_is_remembered_for_a_minute_at_most(
    instances: list[KeyWriter], home: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(remembered, "monotonic", lambda: now)
    index, (writer, other) = INSTALLATION.blind(TOWN, "account", ACCOUNT), instances
    first = await writer.resident(index)
    assert await other.resident(index) == first
    await home["residents"].delete_many({})  # erased
    now += 59
    assert await writer.resident(index) == await other.resident(index) == first
    now += 2
    again = await writer.resident(index)
    assert again != first
    assert await other.resident(index) == again


async def test_reading_a_cached_key_does_not_lengthen_its_minute(
    instances: list[KeyWriter], home: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(remembered, "monotonic", lambda: now)
    subject, reader = SubjectId("r-1"), KeyReader(home, INSTALLATION)
    await instances[0].ensure(subject)
    await reader.sealer(subject)
    await home["keys"].delete_many({})
    for _ in range(2):
        now += 29
        await reader.sealer(subject)
    now += 3
    with pytest.raises(KeyMissing):
        await reader.sealer(subject)


async def test_other_secrets_than_the_key_store_was_begun_with_are_refused(home: Database) -> None:
    await keystore.check_secrets(home, INSTALLATION)
    await keystore.check_secrets(home, INSTALLATION)  # the next start
    other = bytes(32)
    with pytest.raises(ValueError, match="the master key is not the one"):
        await keystore.check_secrets(home, InstallationKeys(other, INSTALLATION.index))
    with pytest.raises(ValueError, match="the index key is not the one"):
        await keystore.check_secrets(home, InstallationKeys(INSTALLATION.master, other))
