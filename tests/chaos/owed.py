"""What the services still owe: facts of the one to which the other did not react.

Every policy is asked again about every fact, and its command rehearsed on the stream as it is:
what would be decided now was never done. Replaying the whole topic must append nothing.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deploy.lag import Installation
from services.dispatch import policies as of_dispatch
from services.dispatch.case import CASE
from services.intake import policies as of_intake
from services.intake.wish import WISH
from shared.clock import SystemClock
from shared.contracts.base import CommandId, StreamId, SubjectId
from shared.contracts.recorded import Recorded
from shared.decider import Decider
from shared.errors import KeyMissing, Refused
from shared.handling import Handler, Order, Prepared, command_id
from shared.mongo import Client, database
from shared.mongo_store import MongoStore
from shared.policy import Complete, Policy, Reaction
from shared.profile import Profile
from shared.sealing import Sealer
from shared.store import Cause, Commit
from shared.town import Towns


@dataclass(frozen=True)
class _Reacting:
    """How a service reacts, and to whose facts."""

    service: str
    to: str
    decider: Decider[Any, Any, Any]
    policy: Policy[Any]
    complete: Complete[Any, Any] | None = None


_ALL: Final = (
    _Reacting("dispatch", "intake", CASE, of_dispatch.react, of_dispatch.complete),
    _Reacting("intake", "dispatch", WISH, of_intake.react),
)


class _NoKeys:
    """A reaction seals nothing."""

    async def sealer(self, subject: SubjectId) -> Sealer:
        raise KeyMissing(subject)


async def not_reacted_to(
    mongo: Client, place: Installation, towns: Towns, stores: Mapping[str, Sequence[Commit]]
) -> list[str]:
    """One sentence per reaction that a fact has a right to and that was not decided, not refused
    for good, and is not already so."""
    return [
        sentence
        for reacting in _ALL
        async for sentence in _owed(mongo, place, towns, stores, reacting)
    ]


async def _owed(
    mongo: Client,
    place: Installation,
    towns: Towns,
    stores: Mapping[str, Sequence[Commit]],
    reacting: _Reacting,
) -> AsyncIterator[str]:
    home = database(mongo, f"{place.database_prefix}_{reacting.service}")
    handler = Handler(reacting.decider, MongoStore(home), SystemClock(), _NoKeys())
    decided = {(c.stream, c.cause.command_id) for c in stores[reacting.service]}
    refused = set(await home["issues"].distinct("_id"))
    for recorded, reaction, name in _asked(stores[reacting.to], towns, reacting.policy):
        if (reaction.stream, name) in decided or name in refused:
            continue
        try:
            outcome = await handler.rehearse(_order(recorded, reaction, name, towns, reacting))
        except Refused as refusal:
            why = f"is refused ({refusal.code}) and no issue was noted"
        else:
            if outcome.said == "already-so":
                continue
            why = "was never decided"
        yield f"{reaction.policy} of {recorded.id} on {reaction.stream} {why}"


def _asked(
    commits: Sequence[Commit], towns: Towns, policy: Policy[Any]
) -> Iterator[tuple[Recorded, Reaction[Any], CommandId]]:
    for commit in commits:
        for recorded in commit.recorded_facts():
            for reaction in policy(recorded, towns[recorded.town]):
                target: StreamId = reaction.stream
                yield recorded, reaction, command_id(recorded.id, reaction.policy, target)


def _order(
    recorded: Recorded,
    reaction: Reaction[Any],
    name: CommandId,
    towns: Towns,
    reacting: _Reacting,
) -> Order[Any, Any]:
    async def prepare(state: Any, profile: Profile, now: datetime) -> Prepared[Any]:
        if reacting.complete is None:
            return Prepared(reaction.command)
        return Prepared(reacting.complete(state, reaction.command, profile, now))

    cause = Cause(name, recorded.correlation, recorded.id)
    return Order(reaction.stream, towns[recorded.town], cause, prepare, occurred=recorded.occurred)
