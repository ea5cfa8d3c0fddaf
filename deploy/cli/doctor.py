"""`wishgrid doctor`: what is wrong with an installation, and the command that mends it."""

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="for machines")] = False,
) -> None:
    """Look for the known faults of an installation; exit 1 with each one's name, what it means
    and the command that mends it. Settings are those of a service (WISHGRID_…)."""
    import asyncio
    import json
    import logging
    from dataclasses import asdict

    from deploy.doctor import examine

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it says is said below
    found = asyncio.run(examine())
    if as_json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        for fault in found.faults:
            print(f"{fault.name}\n  {fault.says}\n  mend: {fault.mend}")
        if found.unseen:
            print(f"not looked at: {'; '.join(found.unseen)}")
        if not found.faults and not found.unseen:
            print("no known fault")
    if found.faults or found.unseen:
        raise typer.Exit(1)
