"""The rights job: compares a broker with the table of rights, and makes what is missing."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiokafka.errors import KafkaError

from deploy.kafka_door import lets_in, why_not
from deploy.rights.broker import SECONDS, Broker, NotDone
from deploy.rights.passwords import Passwords
from deploy.rights.table import ADMIN, Right, ours, rights, touches, users
from shared.contracts.base import PartnerId
from shared.kafka_access import MECHANISM, KafkaAccess

FIRST_MECHANISM: Final = "PLAIN"
"""How the broker's own list lets the admin in before it is made like all others."""
_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Differences:
    """What a broker lacks of the table, and what it has beside it."""

    users: Sequence[str]
    """Cannot come in with the password in their file: not there, or the file changed."""
    rights: Sequence[Right]
    stray_users: Sequence[str]
    stray_rights: Sequence[Right]

    def missing(self) -> Iterator[str]:
        """One line for each that is missing."""
        yield from (f"user {user}" for user in self.users)
        yield from (f"right: {right}" for right in self.rights)

    def unwanted(self) -> Iterator[str]:
        """One line for each that is there beside the table."""
        yield from (f"user {user}" for user in self.stray_users)
        yield from (f"right: {right}" for right in self.stray_rights)


class RightsJob:
    """A broker and what it must be like: who (`users`) may do what (`rights`). Made by
    `rights_job`."""

    def __init__(
        self,
        broker: Broker,
        users: Mapping[str, KafkaAccess],
        rights: frozenset[Right],
        prefix: str,
    ) -> None:
        self._broker = broker
        self._users = users
        self._rights = rights
        self._prefix = prefix

    async def differences(self) -> Differences:
        """How far the broker is from the table. Raises NotDone."""
        there, given = await asyncio.to_thread(
            lambda: (self._broker.users(), self._broker.rights())
        )
        try:
            shut_out = await self._shut_out(there)
        except (KafkaError, OSError) as away:
            raise NotDone(f"Kafka went away: {type(away).__name__}") from None
        return Differences(
            shut_out,
            sorted(self._rights - given),
            sorted(u for u in there - self._users.keys() if ours(u, self._prefix)),
            sorted(r for r in given - self._rights if touches(r, self._prefix)),
        )

    async def make(self, found: Differences) -> None:
        """Make the users and give the rights that are missing; returns when they count. Raises
        NotDone."""
        self._broker.make_users({u: str(self._users[u].password) for u in found.users})
        self._broker.give(found.rights)
        await self._until(lambda now: not now.users and not now.rights)

    async def remove(self, found: Differences) -> None:
        """Take away what is not wanted; returns when it is gone. Raises NotDone."""
        self._broker.take(found.stray_rights)
        self._broker.remove_users(found.stray_users)
        await self._until(lambda now: not now.stray_users and not now.stray_rights)

    async def _until(self, done: Callable[[Differences], bool]) -> None:
        """The controller has answered; the broker that is asked hears of it a moment later."""
        deadline = time.monotonic() + SECONDS
        while not done(await self.differences()):
            if time.monotonic() > deadline:
                raise NotDone(f"it was done, and is not heard of everywhere after {SECONDS:g} s")
            await asyncio.sleep(0.05)

    async def _shut_out(self, there: frozenset[str]) -> list[str]:
        """Who cannot come in with the password of its file: knocking is the only way to tell."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def knock(user: str, access: KafkaAccess) -> bool:
            async with gate:
                return user in there and await lets_in(access)

        names = sorted(self._users)
        let_in = await asyncio.gather(*(knock(name, self._users[name]) for name in names))
        return [name for name, welcome in zip(names, let_in, strict=True) if not welcome]


async def rights_job(
    kafka: KafkaAccess, folder: Path, partners: Iterable[PartnerId], prefix: str = ""
) -> RightsJob:
    """The job, let in as the user of `kafka`, else as the admin whose password is in `folder`.
    Raises NotDone, and ValueError for a password that is missing."""
    passwords, partners = Passwords(folder), tuple(partners)
    admin = kafka if kafka.user else passwords.access(kafka, ADMIN)
    wanted = {user: passwords.access(kafka, user) for user in users(partners, prefix)}
    wanted[str(admin.user)] = admin
    broker = Broker(admin, await _mechanism(admin))
    return RightsJob(broker, wanted, rights(partners, prefix), prefix)


async def ensure_rights(
    kafka: KafkaAccess, folder: Path, partners: Iterable[PartnerId], prefix: str = ""
) -> None:
    """Make all that is missing. Raises NotDone, and ValueError for a password that is missing."""
    job = await rights_job(kafka, folder, partners, prefix)
    await job.make(await job.differences())


async def _mechanism(admin: KafkaAccess) -> str:
    """By which the broker lets the admin in. Raises NotDone."""
    try:
        for mechanism in (MECHANISM, FIRST_MECHANISM):
            if await lets_in(admin, mechanism):
                return mechanism
    except (KafkaError, OSError) as away:
        raise NotDone(await why_not(admin, away)) from None
    raise NotDone(f"Kafka at {admin} does not let {admin.user} in with this password")
