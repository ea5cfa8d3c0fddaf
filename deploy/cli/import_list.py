"""`wishgrid import`: a list of another system, or of the past, comes in line by line."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.imports.run import Run
    from deploy.imports.sending import Intake
    from deploy.imports.table import Table


def import_list(
    file: Annotated[Path, typer.Argument(help="the list: CSV (UTF-8 or GB18030) or .xlsx")],
    mapping: Annotated[Path, typer.Option(help="which columns become which fields, as YAML")],
    intake: Annotated[str, typer.Option(envvar="WISHGRID_INTAKE", help="its address, http://…")],
    token_file: Annotated[Path | None, typer.Option(help="holds the token of a person")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="holds the key of a system")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="ask about every line, take none in")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="what became of each line (else FILE.results.csv)")
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="which one of a workbook")] = None,
    at_once: Annotated[int, typer.Option(min=1, max=256, help="lines on their way")] = 32,
) -> None:
    """Take in the lines of a list. Run it again whenever you like: what is in stays in, once.

    Exit 0 when every line was taken in or was there, 1 when some were refused or it stopped.
    """
    from rich.console import Console

    from deploy.imports.account import Account, progress
    from deploy.imports.errors import FixFirst
    from deploy.imports.mapping_file import read_mapping
    from deploy.imports.reading import read_list
    from deploy.imports.results import Result
    from deploy.imports.results import results as result_file
    from deploy.imports.run import Run
    from deploy.imports.sending import Intake

    written = results or file.with_name(f"{file.stem}.results.csv")
    account = Account()
    try:
        to = Intake(intake, _credentials(token_file, api_key_file), at_once, dry_run=dry_run)
        how = read_mapping(mapping)
        table = read_list(file, how, sheet)
        account.total = len(table.rows)
        with (
            result_file(written) as write,
            progress(Console(stderr=True), account.total) as advance,
        ):

            def tell(result: Result) -> None:
                write(result)
                account.add(result)
                advance()

            asyncio.run(_send(Run(how, to.send, tell, at_once, dry_run), to, table))
    except (FixFirst, KeyboardInterrupt) as why:
        said = str(why) or "interrupted"
        if account.done:
            said += f"; {account.done} of {account.total} lines are done: run it again"
        print(said, file=sys.stderr)
        raise typer.Exit(1) from why
    for sentence in account.sentences(file, table.form):
        print(sentence)
    print(f"{'nothing was written; ' if dry_run else ''}line by line: {written}")
    raise typer.Exit(1 if account.refused else 0)


async def _send(run: "Run", to: "Intake", table: "Table") -> None:
    async with to:
        await run.over(table.rows)


def _credentials(token_file: Path | None, api_key_file: Path | None) -> Mapping[str, str]:
    """The header that says who imports. Raises FixFirst."""
    from deploy.imports.errors import FixFirst

    match token_file, api_key_file:
        case Path() as file, None:
            name, before = "Authorization", "Bearer "
        case None, Path() as file:
            name, before = "X-API-Key", ""
        case _:
            raise FixFirst("say who imports: by --token-file or by --api-key-file, not both")
    try:
        said = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as wrong:
        raise FixFirst(f"{file} holds no token or key: {wrong}") from wrong
    if not said or len(said.split()) > 1:
        raise FixFirst(f"{file} must hold one token or key and nothing else")
    return {name: before + said}
