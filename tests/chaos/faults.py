"""What breaks in a run, when and for how long: it follows from the seed and the length alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

Act = Literal["kill", "stop", "end"]
"""`kill`: SIGKILL, down for a while, started again. `stop`: SIGSTOP, later SIGCONT. `end`: SIGTERM,
and started again once it has ended."""

ACTS: Final[tuple[Act, ...]] = ("kill", "stop", "end")
PAIRS: Final = tuple((f"{s}-1", f"{s}-2") for s in ("intake", "dispatch", "projections"))
INSTANCES: Final = tuple(instance for pair in PAIRS for instance in pair)
SERVERS: Final = ("kafka", "mongo")
TARGETS: Final = (*INSTANCES, *SERVERS)

FIRST_AT: Final = 2.0
CALM_SHARE: Final = 0.25
"""At the end of a run nothing breaks any more: how all comes back is part of what is looked at."""
LONGEST_CALM: Final = 30.0
LEASE_AND_SESSION: Final = 6.0
"""The longer of a relay's lease and a consumer's session in a run: who is stopped for longer wakes
up as a zombie, others having taken its place."""
COMES_BACK: Final = {"kafka": 12.0, "mongo": 8.0}
"""So long a target is left alone after a fault, any other for 5 seconds."""
_GAP: Final = (0.5, 4.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` seconds after the start, `act` befalls all `targets` at once, for `seconds`."""

    at: float
    targets: tuple[str, ...]
    act: Act
    seconds: float

    @property
    def healed_at(self) -> float:
        """When the last of it was taken back; what was down then starts."""
        return self.at + self.seconds


def calm_from(seconds: float) -> float:
    """When the last fault of a run of this length is over."""
    return seconds - min(CALM_SHARE * seconds, LONGEST_CALM)


def schedule(seed: int, seconds: float) -> list[Fault]:
    """The faults of a run, in order. None befalls a target that another still holds."""
    return list(_faults(Random(f"faults/{seed}"), calm_from(seconds)))


def _faults(chance: Random, end: float) -> Iterator[Fault]:
    free_at = dict.fromkeys(TARGETS, 0.0)
    at = FIRST_AT
    while at < end:
        fault = Fault(round(at, 2), _targets(chance), *_harm(chance))
        if fault.healed_at <= end and all(free_at[target] <= at for target in fault.targets):
            yield fault
            free_at |= {t: fault.healed_at + COMES_BACK.get(t, 5.0) for t in fault.targets}
        at += chance.uniform(*_GAP)


def _targets(chance: Random) -> tuple[str, ...]:
    """Mostly one process; now and then all there is of a service, or of what it stands on."""
    match chance.choices(("instance", "service", "server", "both"), (50, 15, 28, 7))[0]:
        case "instance":
            return (chance.choice(INSTANCES),)
        case "service":
            return chance.choice(PAIRS)
        case "server":
            return (chance.choice(SERVERS),)
        case _:
            return SERVERS


def _harm(chance: Random) -> tuple[Act, float]:
    act = chance.choices(ACTS, (45, 35, 20))[0]
    match act:
        case "kill":
            seconds = chance.uniform(0.0, 4.0)
        case "stop" if chance.random() < 0.5:
            seconds = chance.uniform(0.3, LEASE_AND_SESSION / 2)
        case "stop":
            seconds = chance.uniform(LEASE_AND_SESSION + 1, 2 * LEASE_AND_SESSION)
        case _:
            seconds = 0.0
    return act, round(seconds, 2)
