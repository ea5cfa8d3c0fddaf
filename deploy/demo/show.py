"""What the demo prints: how far it is, the place report, a desk, a timeline, how to go on."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.demo.plan import Plan, Step
from deploy.demo.scenario import Scenario
from deploy.local.installation import Installation
from shared.access import Role

_WIDE = 132
_ROWS = 8
console = Console(highlight=False, width=None if Console().is_terminal else _WIDE)

_NUMBERS = {
    "received": "received\n收到",
    "open": "open\n未办结",
    "resolved": "resolved\n办结",
    "on_the_spot": "on the spot\n现场",
    "fast": "fast\n快速",
    "closed": "closed\n结案",
}
_PUBLISHED_AND_INVENTED = (
    "总数与六类诉求出自公开报告；每一件案例、人物、文字、时间均为虚构，各项细分亦为虚构。\n"
    "The totals and the six categories of appeals are published; every case, person, text and "
    "time, and every finer split, is invented."
)


@contextmanager
def progress(plan: Plan, scenario: Scenario) -> Iterator[Callable[[Step], None]]:
    """Told of each step: a bar with the town's date on a terminal, else a line a month."""
    if not console.is_terminal:
        yield _lines(plan, scenario)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=len(plan.steps))

        def tell(step: Step) -> None:
            day = step.at.astimezone(scenario.zone).date()
            bar.update(task, advance=1, description=f"{day} {step.verb:<9}")

        yield tell


def report(found: dict[str, Any]) -> None:
    """The place report: per kind and category in which something was received."""
    title = f"place report 片区报表 {found['name']} {found['from']} – {found['to']}"
    table = _table(title, "matter")
    for name in _NUMBERS.values():
        table.add_column(name, justify="right", no_wrap=True)
    for kind in found["kinds"]:
        if not kind["numbers"]["received"]["count"]:
            continue
        table.add_row(f"{kind['kind']} {kind['name']}", *_counts(kind), style="bold")
        for each in kind["categories"]:
            if each["numbers"]["received"]["count"]:
                table.add_row(f"  {each['category']} {each['name']}", *_counts(each))
    console.print(table)


def desk(unit: str, rows: Sequence[dict[str, Any]], zone: ZoneInfo) -> None:
    """What a unit has still to do, soonest due first, in the town's time."""
    table = _table(f"desk 待办 of {unit}: {len(rows)}", "due", "area", "category", "stand")
    table.add_column("title", no_wrap=True, overflow="ellipsis")
    for row in rows[:_ROWS]:
        mine = row["mine"]
        table.add_row(
            _minute(row["due"], zone),
            row["area"],
            row["category"],
            mine["stand"],
            row["title"] or "",
        )
    console.print(table)


def timeline(story: str, entries: Sequence[dict[str, Any]], zone: ZoneInfo) -> None:
    """What happened to one story in the town's time, who did it, and the texts in it."""
    table = _table(f"timeline 全程 of {story}", "recorded", "fact", "by")
    table.add_column("said", no_wrap=True, overflow="ellipsis")
    for entry in entries:
        said = entry["texts"].get("words") or entry["texts"].get("note") or ""
        table.add_row(_minute(entry["recorded"], zone), entry["type"], _short(entry["by"]), said)
    console.print(table)


def origins(found: dict[str, Any]) -> None:
    """What of all this is published, what is invented, and which thresholds are ours."""
    say = console.print
    say(_PUBLISHED_AND_INVENTED, soft_wrap=True)
    for remark in found["remarks"]:
        say(f"阈值为我们自定 · ours: {remark}", soft_wrap=True)
    say(f"fast_within_hours: {found['fast_within_hours']}")
    say(
        "报表未说明、由我们补充的 · not in any report, ours:",
        "; ".join(found["invented"]),
        soft_wrap=True,
    )


def go_on(place: Installation, scenario: Scenario, story: str) -> None:
    """Addresses, tokens and lines to copy."""
    say = console.print
    token = place.secrets.token(Role.COMMUNITY, scenario.desk, scenario.town, [scenario.community])
    resident = place.secrets.token(Role.RESIDENT, "me", scenario.town)
    say(f"\nThe town's clock stands at {scenario.ends:%Y-%m-%d %H:%M} and goes on from there.")
    say("Kafka     ", str(place.servers.kafka), "\nMongoDB   ", place.servers.mongo)
    for service, instances in place.services.items():
        say(f"{service:<10}", *(f"{i.url}/openapi.json" for i in instances))
    reading = place.url("projections")
    matter = _some_matter(scenario)
    publisher = "deploy/contract/publishers/publish.py"
    say("board     ", f"{reading}/board", " in a browser; sign in with the token DESK, below")
    period = f"from={scenario.starts.date()}&to={scenario.ends.date()}"
    unit = next(iter(next(iter(scenario.texts.values())).values())).unit
    bearer = 'curl -s -H "Authorization: Bearer'
    lines = [
        f"export DESK={token}",
        f"export RESIDENT={resident}",
        f"{bearer} $DESK\" '{reading}/v1/report?area={scenario.community}&{period}'",
        f"{bearer} $DESK\" '{reading}/v1/cases?number=open&limit=3'",
        f'{bearer} $DESK" {reading}/v1/cases/{story}/timeline',
        f'{bearer} $RESIDENT" -H "Content-Type: application/json" '
        f"{place.url('intake')}/v1/wishes -d '{json.dumps(matter, ensure_ascii=False)}'",
        f".venv/bin/wishgrid token --secrets {place.secrets.folder} --role unit --sub me "
        f"--town {scenario.town} --unit {unit}",
        f"export WISHGRID_TOPIC_PREFIX={place.environment['WISHGRID_TOPIC_PREFIX']}",
        f"echo '{json.dumps({'ref': 'mine-1', **matter}, ensure_ascii=False)}' | .venv/bin/python "
        f"{publisher} {place.servers.kafka} {scenario.partner.id} {scenario.partner.source}",
    ]
    for line in lines:
        print(line)


def _some_matter(scenario: Scenario) -> dict[str, str]:
    """What a resident could hand in, in the words of the town."""
    group = next(group for group in scenario.groups if group.by == "resident")
    return {
        "kind": group.kind,
        "category": next(iter(group.count)),
        "area": scenario.areas[0],
        "channel": group.channel,
        "words": "（虚构）请帮个忙。",
    }


def _lines(plan: Plan, scenario: Scenario) -> Callable[[Step], None]:
    done = 0
    before: datetime | None = None

    def tell(step: Step) -> None:
        nonlocal done, before
        at = step.at.astimezone(scenario.zone)
        if before is None or before.month != at.month:
            console.print(f"  {at:%Y-%m-%d}  {done} of {len(plan.steps)} steps")
        done, before = done + 1, at
        if done == len(plan.steps):
            console.print(f"  {at:%Y-%m-%d}  {done} of {len(plan.steps)} steps")

    return tell


def _counts(row: dict[str, Any]) -> list[str]:
    return [str(row["numbers"][number]["count"]) for number in _NUMBERS]


def _table(title: str, *columns: str) -> Table:
    """A table whose columns keep their width; those added later take what is left."""
    table = Table(title=title, title_justify="left", box=None)
    for column in columns:
        table.add_column(column, no_wrap=True, min_width=_WIDTHS[column])
    return table


_WIDTHS = {
    "matter": 22,
    "category": 12,
    "due": 16,
    "area": 10,
    "stand": 9,
    "recorded": 16,
    "fact": 27,
    "by": 24,
}


def _minute(instant: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(instant).astimezone(zone):%Y-%m-%d %H:%M}"


def _short(actor: str) -> str:
    role, _, name = actor.partition(":")
    return f"{role}:{name[:8]}…" if role == "resident" else actor
