"""`wishgrid republish`: publish from the event stores again."""

import asyncio
import sys
from typing import Annotated, NoReturn

import typer

from deploy.cli.options import PREFIX, DatabasePrefix, FactsTopic, Kafka, Mongo, TopicPrefix
from shared.kafka import FACTS


def republish(
    kafka: Kafka,
    mongo: Mongo,
    database_prefix: DatabasePrefix = PREFIX,
    topic_prefix: TopicPrefix = "",
    facts_topic: FactsTopic = FACTS,
    story: Annotated[str | None, typer.Option(help="id of one story: all its streams")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every story there is")] = False,
    into: Annotated[
        str | None,
        typer.Option(help="another topic, named without the prefix; made if it is missing"),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="what is in --into an interrupted run put there")
    ] = False,
    replication: Annotated[int, typer.Option(help="copies of each partition of --into")] = 1,
) -> None:
    """Publish facts from the event stores again, as they were published before; answers to
    partners are not sent again. Readers drop what they have read, so it may be repeated at will.

    One story (--story): where a reader lacks facts of it ("version 3 is missing").

    The topic has lost its head, or its settings are wrong: stop intake and dispatch, publish --all
    --into a new topic, set WISHGRID_FACTS_TOPIC to it for every service and command, start them.

    The topic was deleted: stop intake and dispatch, `wishgrid topics`, publish --all, start them,
    and rebuild the read models into a new generation, for theirs says the topic has changed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from deploy.lag import Away, Installation
    from deploy.republish import NotRepublished, Wanted
    from deploy.republish import republish as publish
    from shared.contracts.base import StoryId

    if everything == (story is not None):
        _fail("say which: --story ID, or --all")
    place = Installation(kafka, mongo, database_prefix, topic_prefix, facts_topic)
    wanted = Wanted(None if story is None else StoryId(story), into, again, replication)
    columns = (TextColumn("facts"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task("facts", total=None)

    def progress(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=max(total, done))

    try:
        published, topic = asyncio.run(publish(place, wanted, progress))
    except (NotRepublished, Away) as problem:
        _fail(str(problem))
    finally:
        if bar.live.is_started:
            bar.stop()
    print(f"published {published} facts into {topic}")
    if into is not None and everything:
        print(
            f"now set WISHGRID_FACTS_TOPIC={into} for every service and command, and start intake "
            f"and dispatch; read models go on by themselves"
        )


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)
