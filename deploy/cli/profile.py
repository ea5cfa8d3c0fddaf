"""`wishgrid profile …`: about the files that say what a town is like."""

from pathlib import Path
from typing import Annotated

import typer

profile = typer.Typer(no_args_is_help=True, help="About the files that say what a town is like.")


@profile.command()
def check(
    folder: Annotated[Path, typer.Argument(envvar="WISHGRID_TOWNS", help="folder of towns")] = Path(
        "deploy/towns"
    ),
) -> None:
    """Read the files of all towns as a service would; exit 1 with every mistake by its line."""
    from deploy.profiles.check import check as look

    try:
        towns, mistakes = look(folder)
    except OSError as wrong:
        print(f"{folder} cannot be read: {wrong.strerror}")
        raise typer.Exit(1) from None
    for mistake in mistakes:
        print(mistake)
    if towns is None:
        print(f"{len(mistakes)} to mend" if len(mistakes) > 1 else "one to mend")
        raise typer.Exit(1)
    for town in towns.values():
        print(
            f"{town.id} {town.profiles[-1].name}: "
            f"profile {', '.join(each.version for each in town.profiles)}, "
            f"{len(town.units)} units, {len(town.partners)} partners"
        )
