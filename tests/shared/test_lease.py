"""One holder at a time, by the database's own clock."""

import asyncio

import pytest

from shared.lease import Lease, Lost
from shared.mongo import Collection, Database
from tests.conftest import until

pytestmark = pytest.mark.stack


@pytest.fixture
def leases(home: Database) -> Collection:
    return home["leases"]


async def test_of_two_one_holds_it(leases: Collection) -> None:
    ours, theirs = Lease(leases, "relay", "a", 60), Lease(leases, "relay", "b", 60)
    taken = await asyncio.gather(ours.take(), theirs.take())
    assert sum(document is not None for document in taken) == 1
    document = taken[0] or taken[1]
    assert document is not None
    assert document["epoch"] == 1
    holder, other = (ours, theirs) if taken[0] else (theirs, ours)
    await holder.renew()
    assert await other.take() is None


async def test_of_20_at_once_one_holds_it(leases: Collection) -> None:
    contenders = [Lease(leases, "relay", f"owner-{n}", 60) for n in range(20)]
    taken = await asyncio.gather(*(each.take() for each in contenders))
    assert sum(document is not None for document in taken) == 1


async def test_leases_of_two_names_are_apart(leases: Collection) -> None:
    assert await Lease(leases, "relay", "a", 60).take() is not None
    assert await Lease(leases, "timers", "b", 60).take() is not None


async def test_a_lease_that_ran_out_goes_to_the_next_with_a_larger_epoch(
    leases: Collection,
) -> None:
    former, next_one = Lease(leases, "relay", "a", 0.3), Lease(leases, "relay", "b", 60)
    assert await former.take() is not None
    assert await next_one.take() is None

    async def handed_over() -> bool:
        return await next_one.take() is not None

    await until(handed_over, "the lease runs out")
    assert next_one.epoch > former.epoch
    assert await former.take() is None


async def test_a_holder_that_renews_keeps_it(leases: Collection) -> None:
    holder, other = Lease(leases, "relay", "a", 1), Lease(leases, "relay", "b", 60)
    taken = await holder.take()
    assert taken is not None

    async def past_the_first_term() -> bool:
        await holder.renew()
        assert await other.take() is None
        document = await leases.find_one({"_id": "relay"})
        assert document is not None
        return bool((document["until"] - taken["until"]).total_seconds() > 1.2)

    await until(past_the_first_term, "renewed past its first term")


async def test_a_former_holder_is_told_and_writes_nothing(leases: Collection) -> None:
    former, next_one = Lease(leases, "relay", "a", 0.1), Lease(leases, "relay", "b", 60)
    await former.take()
    await former.renew(token={"_data": "old"})

    async def handed_over() -> bool:
        return await next_one.take() is not None

    await until(handed_over, "the lease runs out")
    await next_one.renew(token={"_data": "new"})
    with pytest.raises(Lost):
        await former.renew(token={"_data": "stale"})
    await former.release()  # a no-op: it is no longer theirs
    document = await leases.find_one({"_id": "relay"})
    assert document is not None
    assert (document["owner"], document["token"]) == ("b", {"_data": "new"})
    assert await former.take() is None


async def test_what_the_holder_keeps_in_it_is_there_for_the_next(leases: Collection) -> None:
    first, second = Lease(leases, "relay", "a", 60), Lease(leases, "relay", "b", 60)
    await first.take()
    await first.renew(token={"_data": "$not an expression"})
    await first.release()
    document = await second.take()
    assert document is not None
    assert document["token"] == {"_data": "$not an expression"}


async def test_a_released_lease_is_free_at_once(leases: Collection) -> None:
    first, second = Lease(leases, "relay", "a", 60), Lease(leases, "relay", "b", 60)
    await first.take()
    await first.release()
    assert await second.take() is not None
    with pytest.raises(Lost):
        await first.renew()


async def test_a_restarted_owner_takes_its_lease_again_at_once(leases: Collection) -> None:
    before, after = Lease(leases, "relay", "a", 60), Lease(leases, "relay", "a", 60)
    await before.take()
    assert await after.take() is not None
    assert after.epoch == before.epoch + 1
    with pytest.raises(Lost):
        await before.renew()  # the process it was before
