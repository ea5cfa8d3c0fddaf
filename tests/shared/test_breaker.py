"""A reader whose build is broken stands still before it parks all; bad data never stop it."""

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from services.dispatch.commands import CaseCommand
from services.dispatch.policies import react
from shared.breaker import MOST, SHARE, STOPS, WARY, Window
from shared.contracts.base import StoryId
from shared.contracts.recorded import Recorded
from shared.errors import TooManyParked
from shared.policy import Reaction
from shared.reactions import Reactions
from shared.replays import REPLAYS
from shared.town import Town
from tests.conftest import send, until
from tests.shared.desk import Desk, wishes
from tests.shared.test_replays import ask

BAD = "LookupError: a rule with a bug"


def test_where_every_story_would_be_parked_it_opens_after_the_most_that_may_be() -> None:
    window = Window().after([BAD] * MOST)
    with pytest.raises(TooManyParked, match=f"101 of the last 101 stories .*: {BAD}"):
        window.after([BAD])


@pytest.mark.parametrize("every", [100, 20, SHARE + 1])
def test_a_backlog_with_some_bad_stories_never_opens_it(every: int) -> None:
    window = Window()
    for _ in range(1_000):
        window = window.after([BAD if n % every == 0 else None for n in range(100)])
    assert len(window.parked) <= MOST * SHARE / every + 1


def test_what_was_parked_long_ago_does_not_count() -> None:
    window = Window().after([BAD] * MOST).after([None] * MOST * SHARE)
    assert len(window.after([BAD] * MOST).parked) == MOST


def test_who_stood_still_before_may_park_a_few_until_it_has_gone_on_for_long() -> None:
    wary = Window(wary=True)
    with pytest.raises(TooManyParked):
        wary.after([BAD] * (MOST // WARY + 1))
    assert len(wary.after([None] * MOST * SHARE).after([BAD] * MOST).parked) == MOST


def raises(recorded: Recorded, town: Town) -> tuple[Reaction[CaseCommand], ...]:
    """The policy of a build that is broken."""
    raise LookupError("a rule with a bug")


async def stands(desk: Desk, reactions: Reactions[Any, Any]) -> dict[str, Any]:
    """The one stop that is noted, once there is one."""
    await until(lambda: reactions.breaker.fault is not None, "it stands still", seconds=60)
    noted: list[dict[str, Any]] = []

    async def there() -> bool:
        noted[:] = await desk.home[STOPS].find().to_list(None)
        return bool(noted)

    await until(there, "the stop is noted")
    return noted[0]


@pytest.mark.stack
async def test_a_build_whose_policy_always_raises_parks_a_hundred_and_a_mended_one_loses_nothing(
    desk: Desk, producer: AIOKafkaProducer
) -> None:
    facts = wishes(300)
    await send(producer, desk.topic, facts)
    parked = desk.home["parked"]
    desk.policy = raises
    for most in (MOST, MOST + MOST // WARY):  # started again as it is, it is wary
        broken = desk.reactions()
        await broken.prepare(desk.home)
        with capture_logs():  # a hundred coloured tracebacks take a minute
            async with desk.consuming(broken.on_batch):
                stop = await stands(desk, broken)
        assert BAD in stop["why"]
        assert await parked.count_documents({}) == most
    desk.policy = react
    mended = desk.reactions()
    await mended.prepare(desk.home)
    async with desk.replaying(reactions=mended):
        await desk.caught_up()
        assert await desk.home[STOPS].count_documents({}) == 0
        await ask(desk, *[StoryId(name) for name in await parked.distinct("story")])

        async def drained() -> bool:
            return await desk.home[REPLAYS].count_documents({"done": False}) == 0

        await until(drained, "what was parked is handled", seconds=60)
    assert await parked.count_documents({}) == 0
    assert mended.breaker.fault is None
    assert await desk.commits() == len(facts)
