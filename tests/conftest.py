"""Fixtures that several test packages use."""

import os
from collections.abc import Iterator

import pytest

from deploy.local.servers import Servers, servers


@pytest.fixture(scope="session")
def stack_servers() -> Iterator[Servers]:
    """A real Kafka and mongod for the whole session; WISHGRID_KAFKA and WISHGRID_MONGO are used."""
    kafka, mongo = os.environ.get("WISHGRID_KAFKA"), os.environ.get("WISHGRID_MONGO")
    with servers(kafka=kafka, mongo=mongo) as running:
        yield running
