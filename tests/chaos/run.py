"""`python -m tests.chaos run --seconds 240 --seed 7`: seeded load and faults, then the oracle.

A seed can be run again: the faults, and what everybody wants, come from it alone. How far they
get in that time is the machine's.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.telling import LATEST, keep, told
from tests.chaos.under_fire import run


def main(argv: Sequence[str]) -> int:
    """0 only if nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240, help="length of each run")
    parser.add_argument(
        "--seeds", "--seed", type=_seeds, default=[1, 2, 3, 4, 5], help="one, or more: 1,2,3"
    )
    parser.add_argument("--output", type=Path, default=LATEST, help="file for the results")
    parser.add_argument("--logs", type=Path, help="folder in which logs and data stay")
    given = parser.parse_args(argv)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that Kafka goes away is meant
    runs = []
    for seed in given.seeds:
        logs = None if given.logs is None else given.logs / f"seed-{seed}"
        runs.append(run(seed, given.seconds, logs))
        print("\n".join(told(runs[-1])), flush=True)
        keep(given.output, runs)
    return 1 if any(each["violated"] for each in runs) else 0


def _seeds(text: str) -> list[int]:
    return [int(seed) for seed in text.split(",")]
