"""Intake as it is, with one endpoint beside: a command that means nothing.

It takes what a submission takes (correlation, log line, principal, key, the whole body read and
checked) and answers at once: what is left is what deciding, sealing and storing cost.
"""

from typing import Annotated

from fastapi import FastAPI

from services.intake import app as intake
from services.intake.api import SubmitBody, story_from
from shared.access import Role
from shared.commands import Answer, Asked, asked
from shared.contracts.recorded import fact_id, stream_id
from shared.serving import House, serve

EMPTY = "/v1/empty"


def create(house: House) -> FastAPI:
    """Intake and the empty command, in one process and behind the same doors."""
    app = intake.create(house)

    @app.post(EMPTY, status_code=201)
    async def empty(
        body: SubmitBody, ask: Annotated[Asked, asked("empty", Role.RESIDENT)]
    ) -> Answer:
        story = story_from(ask.command_id)
        return Answer(story=story, position=fact_id(stream_id("wish", story), 1), said="decided")

    return app


if __name__ == "__main__":
    serve("intake", create)
