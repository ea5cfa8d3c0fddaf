"""`wishgrid doctor`: the faults an installation is known to fall into, each by its name.

It changes nothing. What cannot be looked at because of a fault found before is said, not passed
over.
"""

import os

from pydantic import ValidationError
from pymongo.errors import PyMongoError

from deploy.doctor.faults import Diagnosis, Fault
from deploy.doctor.files import look_at_files
from deploy.doctor.kafka import look_at_kafka
from deploy.doctor.mongo import look_at_mongo
from deploy.doctor.progress import look_at_progress
from deploy.lag import Installation
from shared.mongo import Client, connect
from shared.serving import reason
from shared.settings import Settings

__all__ = ["Diagnosis", "Fault", "examine"]


async def examine() -> Diagnosis:
    """What is wrong with the installation that this environment names, as one of its services
    would see it; `WISHGRID_INSTANCE` need not be said."""
    found = Diagnosis()
    settings = _settings(found)
    if settings is None:
        found.unseen.append("everything else")
        return found
    files = look_at_files(settings, found)
    mongo = _client(settings.mongo, found)
    if mongo is None:
        found.unseen.append("what MongoDB and Kafka hold")
        return found
    try:
        held = await look_at_mongo(mongo, settings, files, found)
        if files.kafka is None:
            found.unseen.append("what Kafka holds")
            return found
        names = (settings.mongo, settings.database_prefix, settings.topic_prefix)
        place = Installation(files.kafka, *names, settings.facts_topic)
        if await look_at_kafka(place, files.towns, found) and held:
            await look_at_progress(mongo, place, files.towns, found)
        else:
            found.unseen.append("how far readers and relays are")
    except PyMongoError as gone:
        found.add("mongo-away", where="MongoDB", why=type(gone).__name__)
    finally:
        mongo.close()
    return found


def _client(uri: str, found: Diagnosis) -> Client | None:
    """What it says is not repeated: there may be a password in the URI."""
    try:
        return connect(uri, patience_seconds=3)
    except OSError as wrong:
        found.add("settings-wrong", why=f"WISHGRID_MONGO: {wrong.filename}: {wrong.strerror}")
    except (PyMongoError, ValueError) as wrong:
        found.add("settings-wrong", why=f"WISHGRID_MONGO does not read: {type(wrong).__name__}")
    return None


def _settings(found: Diagnosis) -> Settings | None:
    unnamed = {} if os.environ.get("WISHGRID_INSTANCE") else {"instance": "doctor"}
    try:
        return Settings.model_validate(unnamed)
    except ValidationError as wrong:
        found.add("settings-wrong", why=reason(wrong))
        return None
