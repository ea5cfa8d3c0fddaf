"""Reactions that a rule refused: kept, shown to operators, and not judged again.

One refusal is judged again when its fact comes again: that what it is about has not arrived yet. In
a topic that lacked a fact for a while, what followed on it was refused so.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from shared.contracts.base import CommandId, StoryId
from shared.contracts.recorded import Recorded
from shared.errors import Refused
from shared.mongo import Database
from shared.policy import Reaction

ISSUES: Final = "issues"
NOT_YET: Final = "not-yet"

log = structlog.get_logger(__name__)


class Issues:
    """Those of one service, by the id of the command that was refused."""

    def __init__(self, database: Database) -> None:
        self._issues = database[ISSUES]
        self._early: set[str] = set()

    async def judged(self, stories: Iterable[StoryId]) -> set[str]:
        """The commands of these stories that are not to be judged again."""
        found = self._issues.find({"story": {"$in": list(stories)}}, {"code": 1})
        codes = {str(issue["_id"]): issue["code"] for issue in await found.to_list(None)}
        self._early |= {name for name, code in codes.items() if code == NOT_YET}
        return {name for name, code in codes.items() if code != NOT_YET}

    async def note(
        self, recorded: Recorded, reaction: Reaction[Any], name: CommandId, refusal: Refused
    ) -> None:
        """Keep a refusal; the first one of a command stays."""
        log.warning("reaction refused", policy=reaction.policy, code=refusal.code)
        issue = {
            "story": recorded.story,
            "fact": recorded.id,
            "policy": reaction.policy,
            "stream": reaction.stream,
            "code": refusal.code,
            "correlation": recorded.correlation,
            "noted": datetime.now(UTC),
        }
        await self._issues.update_one({"_id": name}, {"$setOnInsert": issue}, upsert=True)

    async def decided(self, name: CommandId) -> None:
        """What came too early was decided now."""
        if name in self._early:
            await self._issues.delete_one({"_id": name})
            self._early.discard(name)
