"""The demo: a whole installation, months of a town played through it, and the check of what is
read against what was published."""

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from deploy.demo import show
from deploy.demo.check import (
    PublishedFigures,
    asked_of,
    differences,
    place_report,
    read_published,
)
from deploy.demo.client import Client
from deploy.demo.plan import Plan, plan
from deploy.demo.player import Stories, community, county, play
from deploy.demo.scenario import Scenario, read_scenario
from deploy.local.installation import installation
from deploy.local.servers import servers
from deploy.local.supervisor import supervised
from shared.clock import begin
from shared.kafka_access import KafkaAccess

HERE = Path(__file__).parent
_SETTINGS = {"WISHGRID_WAIT_SECONDS": "25"}
"""A busy machine is no reason for `not-yet`."""


def run(
    *,
    once: bool,
    folder: Path | None,
    kafka: KafkaAccess | None,
    mongo: str | None,
    seed: int | None = None,
    scenario_file: Path = HERE / "t3.yaml",
    published_file: Path = HERE / "t3.published.yaml",
    alter: Callable[[Plan], Plan] = lambda plan: plan,
) -> int:
    """Play; 0 when the place report says what was published. Unless `once`, stay up until Ctrl-C.

    Each run is an installation of its own, also on servers that are given and kept. `alter` may
    change the plan before it is played. Raises NotPlayed for a step that was not taken.
    """
    say = show.console.print
    scenario, published = read_scenario(scenario_file), read_published(published_file)
    steps = alter(plan(scenario, scenario.seed if seed is None else seed))
    with _home(folder) as home:
        clock = home / "clock"
        begin(clock, scenario.begins)
        settings = {**_SETTINGS, "WISHGRID_CLOCK": str(clock)}
        say("starting Kafka, MongoDB and two instances of each service …")
        with (
            servers(home / "servers", kafka=kafka, mongo=mongo) as running,
            installation(
                running, home, name=f"demo{token_hex(3)}", instances=2, settings=settings
            ) as place,
            supervised(each.process for each in place.instances()),
        ):
            say(f"playing {len(steps.stories)} matters in {scenario.days} days, all invented")
            with show.progress(steps, scenario) as tell:
                stories = play(place, clock, scenario, steps, tell)
            desk = community(place, scenario)
            over_all = county(place, scenario)
            wrong = _show(scenario, steps, stories, desk, over_all, published)
            desk.close()
            over_all.close()
            if not once:
                show.go_on(place, scenario, _longest(steps, stories))
                say("\nCtrl-C ends everything.")
                _until_ended()
    return 1 if wrong else 0


def _show(
    scenario: Scenario,
    steps: Plan,
    stories: Stories,
    desk: Client,
    over_all: Client,
    published: PublishedFigures,
) -> list[str]:
    """Print what can be read, and return what is not as it was published: `over_all` reads that,
    for a desk that sees no other place could not tell whether the place it asks for matters."""
    say = show.console.print
    found = place_report(over_all, asked_of(published.area, scenario))
    say()
    show.report(found)
    say()
    unit = _at_work(steps)
    if unit is not None:
        show.desk(unit, desk.rows(f"/v1/desk?unit={unit}"), scenario.zone)
        say()
    story = _longest(steps, stories)
    show.timeline(story, desk.get(f"/v1/cases/{story}/timeline"), scenario.zone)
    say()
    show.origins(found)
    say()
    wrong = differences(over_all, found, published, scenario)
    for line in wrong:
        say(f"[red]not as published[/red]  {line}", soft_wrap=True)
    if not wrong:
        say(f"what is read is what was published: {len(published.figures)} figures, line by line")
    return wrong


def _at_work(steps: Plan) -> str | None:
    """A unit with something left on its desk."""
    ends = (story[-1] for story in steps.stories.values())
    return next((end.scope for end in ends if end.verb in ("report", "progress")), None)


def _longest(steps: Plan, stories: Stories) -> str:
    """The story with the most steps."""
    return stories[max(steps.stories, key=lambda ref: len(steps.stories[ref]))].story


@contextmanager
def _home(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="wishgrid-demo-") as temporary:
        yield Path(temporary)


def _until_ended() -> None:
    ended = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: ended.set())
    ended.wait()
