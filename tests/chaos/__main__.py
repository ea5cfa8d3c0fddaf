"""What is rehearsed against faults: `python -m tests.chaos <what> --help`."""

import sys
from collections.abc import Callable
from typing import Final

from tests.chaos import broken, crash_matrix, poison, run

WHAT: Final[dict[str, Callable[[list[str]], int]]] = {
    "broken": broken.main,
    "crash": crash_matrix.main,
    "poison": poison.main,
    "run": run.main,
}
"""By name what is run with the rest of the command line; it gives the exit status."""


def main(argv: list[str]) -> int:
    """Run what is named first."""
    if not argv or argv[0] not in WHAT:
        print(f"python -m tests.chaos {{{','.join(WHAT)}}} …", file=sys.stderr)
        return 2
    return WHAT[argv[0]](argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
