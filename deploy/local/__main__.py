"""Runs both servers in the foreground until Ctrl-C: `python -m deploy.local [--folder F]`."""

import argparse
import signal
import sys
from pathlib import Path

from deploy.local.errors import InstallFirst, StartFailed
from deploy.local.servers import Servers, servers

LOOK_SECONDS = 1.0


def main(argv: list[str] | None = None) -> int:
    """Start both, print their addresses as shell exports, end both on Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep data and logs here (default: temporary)")
    folder = parser.parse_args(argv).folder
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with servers(folder) as running:
            print(f"export WISHGRID_KAFKA='{running.kafka}'", flush=True)
            print(f"export WISHGRID_MONGO='{running.mongo}'", flush=True)
            return _watch(running)
    except KeyboardInterrupt:
        return 0
    except (InstallFirst, StartFailed) as problem:
        print(problem, file=sys.stderr)
        return 1


def _watch(running: Servers) -> int:
    owned = [each for each in (running.kafka_server, running.mongo_server) if each]
    while all(each.process.alive() for each in owned):
        signal.sigtimedwait([], LOOK_SECONDS)
    for each in owned:
        if not each.process.alive():
            print(f"{each.process.name} ended by itself, see {each.process.log}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
