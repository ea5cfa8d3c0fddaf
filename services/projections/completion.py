"""What brings a generation to where it can be read: indexes, everything in it, new views filled."""

from collections import Counter
from typing import Final

import structlog

from services.projections.generations import Generation
from services.projections.projector import Projector
from services.projections.roll import Roll, number
from services.projections.touching import STUCK
from shared.mongo import Document

NEARLY: Final = 1_000
"""Records it may lack when it gets the indexes of readers."""
FEW: Final = 100
"""Records it may lack when it is to be read …"""
LOOKS: Final = 3
"""… at so many looks in a row."""

log = structlog.get_logger(__name__)


class Completion:
    """Goes one step at each look; all processes of a build may do so at the same time."""

    def __init__(self, roll: Roll) -> None:
        self._roll = roll
        self._good_looks: Counter[str] = Counter()
        self._indexed: set[str] = set()

    async def read(self, generation: Generation, projector: Projector, before: str) -> None:
        """Let it be read instead of `before` once it has everything: few records are missing, at
        some looks in a row, its projector stands before nothing, and nothing waits in it that does
        not wait in what is read now (so every stream began with its first fact). Nor may it have
        fewer facts: a topic that was made again lacks them without a trace. Raises KafkaError."""
        name = generation.name
        if not projector.joined or not await self._may_follow(generation, before):
            return
        lacks = sum((await projector.lag()).values())
        if lacks <= NEARLY and name not in self._indexed:
            await generation.make_indexes()
            self._indexed.add(name)
            return
        stands = projector.fault or projector.lacks
        if stands or lacks > FEW or await self._waits(name, before):
            self._good_looks[name] = 0
            return
        self._good_looks[name] += 1
        if self._good_looks[name] < LOOKS or await self._lacks_facts(name, before, lacks):
            return
        if await self._roll.flip(before, name):
            log.info("another generation is to be read", before=before, generation=name)

    async def fill(self, generation: Generation, document: Document) -> None:
        """Go one step further with views of the build that the generation lacks."""
        name = generation.name
        if lacking := generation.build.lacking(document):
            await self._roll.fill(name, lacking)
            log.info("views are being filled", generation=name, views=lacking)
        elif document["touching"]:
            await generation.make_collections()
            await generation.touch_all(document["filling"])
            await self._roll.touched(document)
        elif not await self._unfilled(generation):
            await generation.make_indexes()
            await self._roll.filled(document)
            log.info("views are filled", generation=name, views=document["filling"])

    async def _may_follow(self, generation: Generation, before: str) -> bool:
        """Whether it may be read after `before`, which may be of a later build by now, and has no
        view that is being filled."""
        here, there = await self._roll.one(generation.name), await self._roll.one(before)
        if here is None or there is None or here["filling"]:
            return False
        return number(here) > number(there) and not generation.build.outdone_by(there)

    async def _unfilled(self, generation: Generation) -> bool:
        """Whether a story lacks what is being filled: it is still to be folded, or, and these are
        looked at afterwards, a view raised over it."""
        if await generation.database["touched"].find_one():
            return True
        return bool(await generation.database["stories"].find_one(STUCK, {"_id": 1}))

    async def _lacks_facts(self, name: str, before: str, most: int) -> bool:
        """Whether it lacks more facts than there are records before it. What is read is counted
        first: whatever that has by then, the other has read, or is about to."""
        known = await self._roll.database(before)["timeline"].count_documents({})
        facts = await self._roll.database(name)["timeline"].count_documents({})
        if known - facts <= most:
            return False
        log.warning(
            "it lacks facts that are read: republish the stores",
            generation=name,
            facts=known - facts,
        )
        self._good_looks[name] = 0
        return True

    async def _waits(self, name: str, before: str) -> bool:
        """Whether something is parked in it that is not parked in what is read, nor was there
        until an operator dropped it."""
        parked = self._roll.database(name)["parked"].find({}, {"_id": 1})
        ids = [document["_id"] async for document in parked]
        read = self._roll.database(before)
        known = {
            each["_id"]
            for collection in ("parked", "dropped")
            async for each in read[collection].find({"_id": {"$in": ids}}, {"_id": 1})
        }
        return not known.issuperset(ids)
