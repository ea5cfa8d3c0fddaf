"""`wishgrid parked`: what stands still until somebody mends it, and trying it again."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from deploy.cli.options import PREFIX, DatabasePrefix, Mongo

if TYPE_CHECKING:
    from deploy.parked import Outcome, Places, Record, Standstill

app = typer.Typer(
    no_args_is_help=True,
    help="What stands still until somebody mends it: list it, try it again, drop what never reads.",
)


class Service(StrEnum):
    """Where stories can stand still."""

    INTAKE = "intake"
    DISPATCH = "dispatch"
    PROJECTIONS = "projections"


T = TypeVar("T")
Services = Annotated[
    list[Service] | None, typer.Option("--service", help="only there; repeatable (else everywhere)")
]
AsJson = Annotated[bool, typer.Option("--json", help="for machines")]


@app.command("list")
def show(
    mongo: Mongo,
    database_prefix: DatabasePrefix = PREFIX,
    service: Services = None,
    as_json: AsJson = False,
) -> None:
    """Print each story that stands still: where, since when, at which fact and why, and how many
    facts wait behind it."""

    async def standing(places: "Places") -> "list[Standstill]":
        return await places.standstills()

    found = _with_places(mongo, database_prefix, service, standing)
    if as_json:
        print(json.dumps([each.as_json() for each in found], ensure_ascii=False))
    elif not found:
        print("nothing is parked")
    else:
        _print_table(found)


@app.command()
def replay(
    mongo: Mongo,
    database_prefix: DatabasePrefix = PREFIX,
    story: Annotated[str | None, typer.Option(help="id of the story")] = None,
    everything: Annotated[bool, typer.Option("--all", help="every story that is parked")] = False,
    service: Services = None,
    seconds: Annotated[float, typer.Option(help="wait so long for what becomes of it")] = 60,
) -> None:
    """Try what is parked again, once its cause is mended (a new build, a profile that was
    missing): each story in its order. The services must be running, for they do it themselves.
    Exit 1 while anything still waits. To be repeated at will: nothing is done twice."""
    if everything == (story is not None):
        _fail("say which: --story ID, or --all")

    async def tried(places: "Places") -> bool | None:
        found = await places.standstills(story)
        drained = True
        async for outcome in places.replay(found, seconds):
            print(_sentence(outcome, seconds))
            drained = drained and outcome.taken_up and not outcome.left
        return drained if found else None

    drained = _with_places(mongo, database_prefix, service, tried)
    if drained is None and story is not None:
        _fail(f"story {story} is not parked there: `wishgrid parked list` says what is")
    if drained is None:
        print("nothing is parked")
    elif not drained:
        raise typer.Exit(1)


@app.command()
def drop(
    mongo: Mongo,
    story: Annotated[str, typer.Option(help="id of the story")],
    database_prefix: DatabasePrefix = PREFIX,
    service: Services = None,
    yes: Annotated[bool, typer.Option("--yes", help="drop them, not only say which")] = False,
) -> None:
    """Give up the records of a story that do not read and never will: no reader sees them again.
    They are kept as they came in `dropped`, beside `parked`. What reads cannot be dropped: it
    waits until it is mended. Exit 1 without --yes, and when there is nothing to drop."""

    async def found(places: "Places") -> "list[Record]":
        return await places.unreadable(story)

    async def dropped(places: "Places") -> int:
        return await places.drop(story)

    records = _with_places(mongo, database_prefix, service, found)
    if not records:
        _fail(f"story {story} has no record there that does not read: nothing can be dropped")
    for each in records:
        print(f"{each.where}: {each.place}: {each.reason}")
    if not yes:
        _fail("nothing was dropped: say --yes to drop what is named above")
    count = _with_places(mongo, database_prefix, service, dropped)
    print(f"{count} dropped; what waits behind: wishgrid parked replay --story={story}")


def _with_places(
    mongo: str, prefix: str, services: list[Service] | None, ask: "Callable[[Places], Awaitable[T]]"
) -> T:
    from pymongo.errors import PyMongoError

    from deploy.parked import Places
    from shared.mongo import connect

    async def asked() -> T:
        client = connect(mongo)
        try:
            return await ask(Places(client, prefix, services or list(Service)))
        finally:
            client.close()

    try:
        return asyncio.run(asked())
    except PyMongoError as away:
        _fail(f"MongoDB does not answer: {type(away).__name__}")


def _sentence(outcome: "Outcome", seconds: float) -> str:
    what = f"{outcome.where}: story {outcome.story}: "
    if not outcome.taken_up:
        service = outcome.where.split()[0]
        why = outcome.reason or f"no {service} that reads partition {outcome.partition} took it up"
        hint = "" if outcome.reason else f": does {service} run?"
        return f"{what}not done after {seconds:g} s ({why}{hint}); it stays asked for"
    said = f"{what}{outcome.handled} handled, {outcome.left} still wait"
    return f"{said}: {outcome.reason}" if outcome.left else said


def _print_table(found: "list[Standstill]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title="parked")
    for column in ("where", "story", "fact", "since", "why"):
        table.add_column(column, overflow="fold")
    table.add_column("behind it", justify="right")
    for each in found:
        since = "" if each.since is None else f"{each.since:%Y-%m-%d %H:%M} UTC"
        fact = each.fact or ("does not read" if each.waits else "none: a view raises")
        row = (each.where, each.story, fact, since, each.reason, str(each.behind))
        table.add_row(*map(Text, row))
    Console().print(table)
    print(f"{sum(each.behind + 1 for each in found)} records in {len(found)} stories")


def _fail(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(1)
