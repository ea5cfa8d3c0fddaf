"""Reads the model for whoever asks, and notes who read what."""

from typing import Final

from services.projections.reading import Reading
from services.projections.readmodel import ReadModel
from services.projections.scope import StoryArrivals, sees
from services.projections.texts import Opened, Texts
from services.projections.views import Row
from services.projections.wording import Wording, wording
from shared.access import Principal, Role
from shared.access_log import AccessLog
from shared.clock import Clock
from shared.contracts.base import ResidentId, StoryId
from shared.errors import NotYet
from shared.keystore import KeyReader
from shared.mongo import Document
from shared.problems import Hidden
from shared.town import Town, Towns
from shared.waiting import parse_position, wait_for

EVERYBODY: Final = tuple(Role)


class Reader:
    """What every endpoint of the read API needs."""

    def __init__(
        self,
        reading: Reading,
        keys: KeyReader,
        access_log: AccessLog,
        wait_seconds: float,
        *,
        towns: Towns,
        clock: Clock,
    ) -> None:
        self.reading = reading
        self.keys = keys
        self.texts = Texts(keys)
        self.access_log = access_log
        self.wait_seconds = wait_seconds
        self.clock = clock
        self._towns = towns
        self._words = {town: wording(each) for town, each in towns.items()}

    @property
    def model(self) -> ReadModel:
        """What is read: one generation throughout a request."""
        return self.reading.model

    def town(self, who: Principal) -> Town:
        """The town of the principal."""
        return self._towns[who.town]

    def words(self, who: Principal) -> Wording:
        """What that town calls things."""
        return self._words[who.town]

    async def resident(self, who: Principal) -> ResidentId | None:
        """The resident behind a resident's account."""
        if who.account is None:
            return None
        return await self.keys.resident_of_account(who.town, who.account)

    async def wait(
        self,
        who: Principal,
        resident: ResidentId | None,
        at_least: str | None,
        story: StoryId | None = None,
    ) -> None:
        """Wait for `at_least` among what the principal may see. Raises NotYet, or Refused when
        it belongs to another story than the one asked for."""
        if at_least is None:
            return
        position = parse_position(at_least)
        if story is not None:
            position.check_story(story)
        await wait_for(StoryArrivals(self.model, who, resident), position, self.wait_seconds)

    async def story(self, who: Principal, resident: ResidentId | None, name: StoryId) -> Document:
        """The story. Raises Hidden when there is none for this principal."""
        found = await self.model.stories([name])
        if name not in found or not sees(who, resident, dict(found[name])):
            raise Hidden
        return dict(found[name])

    async def case(self, who: Principal, resident: ResidentId | None, name: StoryId) -> Document:
        """The same, once it can be listed."""
        story = await self.story(who, resident, name)
        if "case_list" not in story["wrote"]:
            raise NotYet(f"wish-{name}")
        return story


def line(row: Row, opened: Opened) -> Document:
    """A row as answers carry it, its title opened."""
    story = StoryId(row["_id"])
    return {**row, "story": story, "title": opened.text(story, "title", row)}
