"""The gate: what partners publish on Kafka is judged here, and every event gets one answer.

What is decided is answered by the commit that decided it, through the relay; what is refused
before any stream is answered here, before the offset is committed. Each event is claimed first
(see `claims`): one record answers for it, wherever and however often it is published.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import bson
import structlog
from structlog.contextvars import bound_contextvars

from services.intake.api import Wishes
from services.intake.claims import Claim, Claims
from services.intake.commands import WishCommand
from services.intake.inbound import Event, Illegible, read_event
from services.intake.partner_orders import Grants, PartnerOrders, command_of
from services.intake.partner_topics import PartnerTopics
from services.intake.wish import Wish
from shared.contracts.answers import EventAnswer, answer_to_wire, answers_topic
from shared.contracts.base import CommandId, FactId, PartnerId, StreamId, SubjectId
from shared.contracts.recorded import story_of
from shared.crash import reached
from shared.errors import Conflict, KeyMissing, Refused, TooLarge
from shared.handling import Order
from shared.kafka import DEAD, Record
from shared.sealing import InstallationKeys
from shared.store import EventStore

AT_ONCE: Final = 64
"""Keys of one batch that are judged concurrently, so that their appends share a journal."""
KEY_KEPT: Final = 1024
HEADERS_KEPT: Final = 64 * 1024
HEADER_TAKES: Final = 32
"""What BSON adds to each."""
VALUE_KEPT: Final = 512 * 1024
"""Bytes of a record that a dead letter keeps: it must fit on a topic itself."""
_PAUSES_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5)

WishOrder = Order[Wish, WishCommand]

log = structlog.get_logger(__name__)


class Gate:
    """Takes in the events of all partners."""

    def __init__(
        self,
        claims: Claims,
        store: EventStore,
        wishes: Wishes,
        orders: PartnerOrders,
        partners: Mapping[PartnerId, Grants],
        secrets: InstallationKeys,
        topics: PartnerTopics,
        *,
        topic_prefix: str,
    ) -> None:
        self._claims = claims
        self._store = store
        self._wishes = wishes
        self._orders = orders
        self._partners = partners
        self._secrets = secrets
        self._topics = topics
        self._prefix = topic_prefix

    async def on_batch(self, records: Sequence[Record]) -> None:
        """Judge a batch: in order per key, keys side by side. Returns when everything is stored
        or answered."""
        queues: dict[object, list[Record]] = defaultdict(list)
        for record in records:
            queues[record.topic, record.key or record.partition].append(record)
        room = asyncio.Semaphore(AT_ONCE)

        async def work(queue: list[Record]) -> None:
            async with room:
                for record in queue:
                    await self._take(record)
                    reached("batch-half-judged")

        done = await asyncio.gather(*map(work, queues.values()), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result

    async def _take(self, record: Record) -> None:
        topic = record.topic.removeprefix(self._prefix)
        partner = PartnerId(topic.split(".")[2])
        place = f"{topic}:{record.partition}:{record.offset}"
        with bound_contextvars(partner=partner, place=place):
            if partner not in self._partners or not await self._topics.there(
                self._prefix + answers_topic(partner)
            ):
                await self._bury(record, place, "unknown-partner")
                return
            try:
                event: Event | Illegible = read_event(record.value, record.headers)
            except Illegible as wrong:
                await self._bury(record, place, wrong.code)
                event = wrong
            if isinstance(event, Illegible) and not event.named:
                refusal = _refused(event, event, place=place)
                await self._answer(partner, self._claims.digest(place, event.raw), refusal)
                return
            command = command_of(partner, event)
            with bound_contextvars(correlation_id=command.replace("-", "")):
                await self._judge(partner, event, command, place)

    async def _judge(
        self, partner: PartnerId, event: Event | Illegible, command: CommandId, place: str
    ) -> None:
        order = self._order(partner, event)
        mine = Claim(
            command,
            self._claims.digest(event.raw),
            place,
            datetime.now(UTC),
            None if isinstance(order, Refused) else order.stream,
            _refused(event, order) if isinstance(order, Refused) else None,
        )
        claim = await self._claims.make(mine)
        if claim.said == mine.said:
            answer = await self._outcome(claim, mine, event, order)
        else:
            answer = _refused(event, Refused("id-reused", field="id"))
        if answer is not None:
            log.info("event refused", code=answer.code)
            await self._answer(partner, self._claims.digest(command, mine.said), answer)

    async def _outcome(
        self, claim: Claim, mine: Claim, event: Event | Illegible, order: WishOrder | Refused
    ) -> EventAnswer | None:
        """The refusal; None once it is decided in a stream, for the commit that decided it is the
        answer. Raises Conflict while another record of the same event is being judged."""
        for pause in (*_PAUSES_SECONDS, 0.0):
            if claim.answer is not None:
                return claim.answer
            if claim is not mine and await self._decided(claim):
                return None
            if claim.is_for(mine):
                break
            await asyncio.sleep(pause)
            claim = await self._claims.find(claim.command) or mine
        else:
            raise Conflict(claim.command)
        if isinstance(order, Refused):
            return await self._claims.refuse(claim, _refused(event, order))
        refusal = await self._decide(event, order)
        return None if refusal is None else await self._claims.refuse(claim, refusal)

    async def _decided(self, claim: Claim) -> bool:
        if claim.stream is None:
            return False
        return (await self._store.load(claim.stream)).decided_by(claim.command) is not None

    def _order(self, partner: PartnerId, event: Event | Illegible) -> WishOrder | Refused:
        if isinstance(event, Illegible):
            return event
        try:
            return self._orders.order(partner, self._partners[partner], event)
        except Refused as refusal:
            return refusal

    async def _decide(self, event: Event | Illegible, order: WishOrder) -> EventAnswer | None:
        """None once it is decided in a stream, else the refusal."""
        try:
            outcome = await self._wishes.handle(order)
        except Refused as refusal:
            reused = refusal.code == "key-reused"  # an id that is known no more, but to the stream
            return _refused(event, Refused("id-reused", field="id") if reused else refusal)
        except KeyMissing:
            return _refused(event, Refused("erased"))
        except TooLarge:
            return _refused(event, Refused("too-large"))
        if outcome.said == "already-so":
            return _refused(event, Refused("ref-taken", field="ref"), outcome.position)
        log.info("event taken in", position=outcome.position)
        return None

    async def _answer(self, partner: PartnerId, ce_id: str, answer: EventAnswer) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        key, value, headers = answer_to_wire(ce_id, "gate", answer, time)
        topic = self._prefix + answers_topic(partner)
        await self._topics.publish(
            topic, key, value, {name: text.decode() for name, text in headers}
        )

    async def _bury(self, record: Record, place: str, code: str) -> None:
        """Keep what cannot be read, or answered, as a dead letter under the installation's key."""
        log.warning("dead letter", code=code)
        sealed = self._secrets.wrap(SubjectId(f"dead-letter:{place}"), _letter(record))
        headers = {"place": place, "code": code}
        await self._topics.publish(self._prefix + DEAD, place.encode(), sealed, headers)


def _letter(record: Record) -> bytes:
    """The record as BSON: key, headers, value and its whole length. Of one that would not fit on
    a topic again it is the beginning."""
    headers, room = [], HEADERS_KEPT
    for name, text in record.headers:
        room -= len(name.encode()) + len(text or b"") + HEADER_TAKES
        if room < 0:
            break
        headers.append([name, text])
    value = record.value
    return bson.encode(
        {
            "key": (record.key or b"")[:KEY_KEPT],
            "headers": headers,
            "value": None if value is None else value[:VALUE_KEPT],
            "length": len(value or b""),
        }
    )


def _refused(
    event: Event | Illegible, why: Refused, position: FactId | None = None, place: str | None = None
) -> EventAnswer:
    """The answer; `position` is where its reference was taken before."""
    stream, _, version = ("", "", "") if position is None else position.rpartition("@")
    return EventAnswer(
        said="refused",
        source=event.source,
        id=event.id,
        story=story_of(StreamId(stream)) if stream else None,
        version=int(version) if version else None,
        position=position,
        code=why.code,
        field=why.field,
        place=place,
    )
