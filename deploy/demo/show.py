"""What the demo prints: the case list, one timeline, and how to go on by hand."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.scenario import Scenario
from deploy.local.installation import Installation
from shared.access import Role

_WIDE = 132
console = Console(highlight=False, width=None if Console().is_terminal else _WIDE)


def case_list(rows: Sequence[dict[str, Any]]) -> None:
    """The case list as the community desk sees it."""
    table = _table(
        "case list 台账 (all invented)", "submitted", "area", "category", "state", "unit"
    )
    table.add_column("title", no_wrap=True, overflow="ellipsis")
    for row in rows:
        unit, title = row["unit"] or "", row["title"] or ""
        submitted = row["submitted"][11:19]
        table.add_row(submitted, row["area"], row["category"], row["state"], unit, title)
    console.print(table)


def timeline(story: str, entries: Sequence[dict[str, Any]]) -> None:
    """What happened to one story, who did it, and the texts in it."""
    table = _table(f"timeline of {story}", "recorded", "fact", "by")
    table.add_column("said", no_wrap=True, overflow="ellipsis")
    for entry in entries:
        said = entry["texts"].get("words") or entry["texts"].get("note") or ""
        table.add_row(entry["recorded"][11:23], entry["type"], _short(entry["by"]), said)
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    """A table whose columns keep their width; the last one, added later, takes what is left."""
    table = Table(title=title, title_justify="left", box=None)
    for column in columns:
        table.add_column(column, no_wrap=True, min_width=_WIDTHS[column])
    return table


_WIDTHS = {
    "submitted": 9,
    "area": 10,
    "category": 10,
    "state": 10,
    "unit": 18,
    "recorded": 12,
    "fact": 21,
    "by": 24,
}


def go_on(place: Installation, scenario: Scenario, story: str) -> None:
    """Addresses, tokens and lines to copy."""
    say = console.print
    desk = scenario.community
    token = place.secrets.token(Role.COMMUNITY, desk.sub, scenario.town, desk.areas)
    resident = place.secrets.token(Role.RESIDENT, "me", scenario.town)
    say("\nKafka     ", place.servers.kafka, "\nMongoDB   ", place.servers.mongo)
    for service, instances in place.services.items():
        say(f"{service:<10}", *(f"{i.url}/openapi.json" for i in instances))
    lines = [
        f"export DESK={token}",
        f"export RESIDENT={resident}",
        f"curl -s -H \"Authorization: Bearer $DESK\" '{place.url('projections')}/v1/cases?limit=3'",
        f'curl -s -H "Authorization: Bearer $DESK" '
        f"{place.url('projections')}/v1/cases/{story}/timeline",
        f'curl -s -H "Authorization: Bearer $RESIDENT" -H "Content-Type: application/json" '
        f"{place.url('intake')}/v1/wishes -d '"
        '{"kind": "appeal", "category": "repairs", "area": "t3/west/g4", "channel": "wechat", '
        '"words": "（虚构）路灯不亮"}\'',
        f".venv/bin/wishgrid token --secrets {place.secrets.folder} --role unit --sub me "
        f"--town {scenario.town} --unit sanitation-station",
    ]
    for line in lines:
        print(line)


def _short(actor: str) -> str:
    role, _, name = actor.partition(":")
    return f"{role}:{name[:8]}…" if role == "resident" else actor
