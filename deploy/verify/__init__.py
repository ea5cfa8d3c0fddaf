"""`wishgrid verify`: do stores, topic and read model tell the same? One sentence per finding.

It waits for nothing: let an installation come to rest first. It reads stores and read model
story by story, but keeps in memory a digest of about 150 bytes per fact of the topic, the ids of
all stories, and the numbers: about 1 GB for 5 million facts.
"""

from collections.abc import AsyncIterator
from typing import Final

from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError

from deploy.kafka_door import why_not
from deploy.lag import Away, Installation
from deploy.verify.stores import Told, stray_commits, told_stories
from deploy.verify.topic import read_topic
from deploy.verify.views import open_read_model
from shared.mongo import connect
from shared.town import Towns

_AT_ONCE: Final = 500


async def findings(place: Installation, towns: Towns) -> list[str]:
    """What is not as it must be; nothing when all is well. Raises Away."""
    mongo = connect(place.mongo)
    try:
        topic = await read_topic(place.kafka, place.topic_prefix + place.facts)
        model, found = await open_read_model(mongo, place.database_prefix, topic, towns)
        found = [*await stray_commits(mongo, place.database_prefix), *topic.findings, *found]
        async for stories in _some(told_stories(mongo, place.database_prefix)):
            found += [finding for told in stories for finding in told.findings]
            found += [finding for told in stories for finding in topic.compare(told)]
            if model is not None:
                found += await model.compare(stories)
        found += topic.left_over()
        return found if model is None else [*found, *await model.left_over()]
    except KafkaError as away:
        raise Away(await why_not(place.kafka, away)) from away
    except PyMongoError as away:
        raise Away(f"MongoDB does not answer: {type(away).__name__}") from away
    finally:
        mongo.close()


async def _some(stories: AsyncIterator[Told]) -> AsyncIterator[list[Told]]:
    """Some hundred at a time."""
    some: list[Told] = []
    async for told in stories:
        some.append(told)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    yield some
