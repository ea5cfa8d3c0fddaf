"""The demo: a whole installation, a scenario played through it, and the check of what is read."""

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from deploy.demo import show
from deploy.demo.check import differences, read_expected
from deploy.demo.scenario import community, play, read_scenario
from deploy.local.installation import installation
from deploy.local.servers import servers

HERE = Path(__file__).parent


def run(
    *,
    once: bool,
    folder: Path | None,
    kafka: str | None,
    mongo: str | None,
    scenario_file: Path = HERE / "loop.yaml",
    expected_file: Path = HERE / "loop.expected.yaml",
) -> int:
    """Play; 0 when what is read is what was sent. Unless `once`, stay up until Ctrl-C.

    Each run is an installation of its own, also on servers that are given and kept.
    """
    say = show.console.print
    scenario, expected = read_scenario(scenario_file), read_expected(expected_file)
    with _home(folder) as home:
        say("starting Kafka, MongoDB and two instances of each service …")
        with (
            servers(home / "servers", kafka=kafka, mongo=mongo) as running,
            installation(running, home, name=f"demo{token_hex(3)}", instances=2) as place,
        ):
            say(f"playing {len(scenario.wishes)} wishes; every one of them is invented\n")
            played = play(place, scenario, lambda line: say("  " + line, soft_wrap=True))
            desk = community(place, scenario)
            wrong = differences(desk, played, expected)
            say()
            show.case_list(desk.cases())
            say()
            first = played[0].story
            show.timeline(first, desk.get(f"/v1/cases/{first}/timeline"))
            desk.close()
            for line in wrong:
                say(f"[red]not as it must be[/red]  {line}")
            if not wrong:
                say(f"\nwhat is read is what was sent: {len(played)} cases, as expected")
            if not once:
                show.go_on(place, scenario, first)
                say("\nCtrl-C ends everything.")
                _until_ended()
    return 1 if wrong else 0


@contextmanager
def _home(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="wishgrid-demo-") as temporary:
        yield Path(temporary)


def _until_ended() -> None:
    ended = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: ended.set())
    ended.wait()
