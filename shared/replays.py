"""Parked stories tried again, by the service that owns them, when an operator asks.

`replays: {_id: story, asked, done, handled, left, reason, waits}`: who asks inserts it with
`done: false`; the instance that reads the story's partition does it, holding the gate of its
consumer, so that no fact of the story is handled meanwhile. Killed in the middle, it is done
again: what was handled is known by its command ids.
"""

import asyncio
from typing import Any, Final

import structlog

from shared.contracts.base import StoryId
from shared.kafka import INFRASTRUCTURE, Gate
from shared.mongo import Database, Document, told
from shared.reactions import Reactions

REPLAYS: Final = "replays"
AT_A_TIME: Final = 50
"""So many facts are handled before the consumer gets its turn."""
_LOOK_AGAIN_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Replays:
    """Carries out the replays asked of one service for stories whose facts come by `gate`."""

    def __init__(self, database: Database, reactions: Reactions[Any, Any], gate: Gate) -> None:
        self._asked = database[REPLAYS]
        self._reactions = reactions
        self._gate = gate

    async def run(self) -> None:
        """Look for what is asked until cancelled."""
        while True:
            try:
                for asked in await self._asked.find({"done": False}).to_list(None):
                    await self._replay(StoryId(asked["_id"]))
            except INFRASTRUCTURE as failed:
                log.warning("replays wait", why=told(failed))
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _replay(self, story: StoryId) -> None:
        """Until nothing is left, or something still fails; not at all when it is not ours."""
        going_on = True
        while going_on:
            async with self._gate.lock:
                going_on = await self._go_on(story)

    async def _go_on(self, story: StoryId) -> bool:
        waiting = await self._reactions.waiting(story)
        if waiting and not self._gate.holds(waiting[-1].partition):
            return False  # another instance reads them
        try:
            handled, reason = await self._reactions.on_parked(waiting[:AT_A_TIME])
        except INFRASTRUCTURE as failed:
            log.warning("a replay waits", story=story, why=told(failed))
            await self._asked.update_one({"_id": story}, {"$set": {"waits": told(failed)}})
            return False
        left = len(waiting) - handled
        done = reason is not None or not left
        now: Document = {"done": done, "left": left, "reason": reason, "waits": None}
        await self._asked.update_one({"_id": story}, {"$set": now, "$inc": {"handled": handled}})
        log.info("replayed", story=story, handled=handled, left=left)
        return not done
