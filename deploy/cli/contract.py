"""`wishgrid contract`: what partners and readers may rely on, and whether it still holds."""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer

app = typer.Typer(no_args_is_help=True, help="What partners and readers may rely on.")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="made if it is missing")],
) -> None:
    """Write asyncapi.json, a JSON Schema per type, and the contract as a page to read."""
    from deploy.contract.export import export as write

    try:
        files = write(folder)
    except OSError as wrong:
        _fail(f"{folder} cannot be written: {wrong.strerror}")
    print(f"wrote {len(files)} files; to read: {folder / 'index.html'}")


@app.command()
def check(
    released: Annotated[
        Path | None, typer.Argument(help="an asyncapi.json (else the last released contract)")
    ] = None,
) -> None:
    """Say what this build breaks for programs that hold to a released contract, and exit 1."""
    from deploy.contract.export import last_released
    from deploy.contract.promise import broken

    file = released or last_released()
    try:
        contract = json.loads(file.read_text(encoding="utf-8"))
        found = broken(contract)
    except (OSError, ValueError, LookupError, TypeError) as wrong:
        _fail(f"{file} does not read as a contract of ours: {type(wrong).__name__}: {wrong}")
    for sentence in found:
        print(sentence)
    if found:
        raise typer.Exit(1)
    print(f"all that contract {contract['info']['version']} promised is kept")


def _fail(why: str) -> NoReturn:
    typer.echo(why, err=True)
    raise typer.Exit(1)
