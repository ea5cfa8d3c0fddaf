"""`wishgrid rebuild`: the read models made anew from the facts, while the old ones are read."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.options import (
    PREFIX,
    TOWNS,
    DatabasePrefix,
    FactsTopic,
    Kafka,
    Mongo,
    TopicPrefix,
    TownsFolder,
)
from shared.kafka import FACTS

if TYPE_CHECKING:
    from deploy.lag import Installation

_HINT_SECONDS = 30.0


def rebuild(
    kafka: Kafka,
    mongo: Mongo,
    database_prefix: DatabasePrefix = PREFIX,
    topic_prefix: TopicPrefix = "",
    facts_topic: FactsTopic = FACTS,
    towns: TownsFolder = TOWNS,
    back_to: Annotated[
        str | None, typer.Option(metavar="GENERATION", help="read a kept one again instead")
    ] = None,
    drop: Annotated[
        str | None, typer.Option(metavar="GENERATION", help="remove one that is not read instead")
    ] = None,
) -> None:
    """Build all read models anew beside those being read, and read them once they are complete.

    The running projections do it; this begins it and shows how far they are. Ctrl-C ends the
    showing, not the building.
    """
    from deploy import rebuild as generations
    from deploy.lag import Away, Installation
    from services.projections.build import Build
    from shared.town import load_towns

    place = Installation(kafka, mongo, database_prefix, topic_prefix, facts_topic)
    try:
        if drop is not None:
            asyncio.run(generations.drop(place, drop))
            print(f"{drop} is removed")
        elif back_to is not None:
            before = asyncio.run(generations.back_to(place, back_to))
            print(f"{back_to} is read now; {_kept(before)}")
        else:
            name = asyncio.run(generations.begin(place, Build.of(load_towns(towns))))
            _show(place, name)
    except (generations.NotNow, Away, ValueError, OSError) as why:
        print(why, file=sys.stderr)
        raise typer.Exit(1) from None


def _show(place: "Installation", name: str) -> None:
    """Show how far it is until it is read."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from deploy.rebuild import progress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("facts{task.fields[waiting]}"),
        TimeElapsedColumn(),
    )
    console, started, hinted = Console(), time.monotonic(), False
    console.print(f"{name} is being built from all facts; what is read now is read on meanwhile")
    with Bar(*columns, console=console) as bar:
        shown = bar.add_task(name, total=None, waiting="")
        while not (now := asyncio.run(progress(place, name))).read:
            waiting = f", {now.waiting} records wait" if now.waiting else ""
            bar.update(shown, completed=now.done, total=now.to_do or None, waiting=waiting)
            if not hinted and not now.done and time.monotonic() - started > _HINT_SECONDS:
                hinted = True
                console.print("nobody builds it yet: does a projections of this build run?")
            time.sleep(0.5)
        bar.update(shown, completed=now.done, total=now.to_do or None, waiting="")
    console.print(f"{name} is read now; {_kept('the one before')}", soft_wrap=True)


def _kept(before: str) -> str:
    return (
        f"{before} is kept, and kept current while its build runs: `wishgrid rebuild --back-to` "
        f"goes back to it, `wishgrid rebuild --drop` removes it"
    )
