"""What the tests of the language and glue share."""

from collections.abc import AsyncIterator

import pytest

from deploy.local.servers import Servers
from shared.mongo import Database
from tests.shared.desk import Desk
from tests.shared.line import Line


@pytest.fixture
async def line(stack_servers: Servers, home: Database, topic: str) -> AsyncIterator[Line]:
    line = Line(stack_servers.kafka, home, topic)
    await line.store.prepare()
    yield line
    await line.store.close()


@pytest.fixture
async def desk(stack_servers: Servers, home: Database, topic: str) -> AsyncIterator[Desk]:
    desk = Desk(stack_servers.kafka, home, topic)
    await desk.store.prepare()
    await desk.reactions().prepare(home)
    yield desk
    await desk.store.close()
