"""Runs Kafka and MongoDB in the foreground until Ctrl-C: `python -m deploy.local`; see `--help`."""

import argparse
import signal
import sys
from pathlib import Path

from deploy.local.errors import InstallFirst, StartFailed
from deploy.local.servers import Servers, servers
from deploy.rights.passwords import Passwords
from deploy.rights.table import ADMIN

LOOK_SECONDS = 1.0


def main(argv: list[str] | None = None) -> int:
    """Start them, print their addresses as shell exports, end all on Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keep data and logs here (default: temporary)")
    parser.add_argument("--secure", action="store_true", help="a Kafka with users and rights")
    parser.add_argument(
        "--cluster", action="store_true", help="three brokers, a replica set of three"
    )
    asked = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        nodes = 3 if asked.cluster else 1
        with servers(asked.folder, secure=asked.secure, nodes=nodes) as running:
            print(f"export WISHGRID_KAFKA='{running.kafka}'", flush=True)
            print(f"export WISHGRID_MONGO='{running.mongo}'", flush=True)
            if running.passwords is not None:
                _tell_users(running.passwords)
            return _watch(running)
    except KeyboardInterrupt:
        return 0
    except (InstallFirst, StartFailed) as problem:
        print(problem, file=sys.stderr)
        return 1


def _tell_users(passwords: Passwords) -> None:
    """The admin's way in, and what makes the others: run it before `wishgrid topics`."""
    print(f"export WISHGRID_KAFKA_USER='{ADMIN}'")
    print(f"export WISHGRID_KAFKA_PASSWORD_FILE='{passwords.file(ADMIN)}'")
    print(f"export WISHGRID_KAFKA_PASSWORDS='{passwords.folder}'")
    print('# then: wishgrid passwords "$WISHGRID_KAFKA_PASSWORDS" && wishgrid rights', flush=True)


def _watch(running: Servers) -> int:
    owned = (*running.kafka_servers, *running.mongo_servers)
    while all(each.process.alive() for each in owned):
        signal.sigtimedwait([], LOOK_SECONDS)
    for each in owned:
        if not each.process.alive():
            print(f"{each.process.name} ended by itself, see {each.process.log}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
