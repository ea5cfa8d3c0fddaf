"""Two ways to do a thing, measured in turn: what disturbs one disturbs the other."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.bench.machine import load


@dataclass(frozen=True)
class Round:
    """One measurement: how often per second, and what it cost."""

    per_second: float
    cpu_seconds: float
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """All rounds of both, and the ratio: the median over the pairs that ran one after the other."""

    ours: list[Round]
    peer: list[Round]
    loads: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(
            ours.per_second / peer.per_second
            for ours, peer in zip(self.ours, self.peer, strict=True)
        )

    def document(self, **more: Any) -> dict[str, Any]:
        """As it is kept."""
        return {
            "ratio": round(self.ratio, 3),
            "ours_per_second": round(statistics.median(r.per_second for r in self.ours), 1),
            "peer_per_second": round(statistics.median(r.per_second for r in self.peer), 1),
            **more,
            "ours": [asdict(each) for each in self.ours],
            "peer": [asdict(each) for each in self.peer],
            "load_average": self.loads,
        }


def alternating(
    ours: Callable[[], Round], peer: Callable[[], Round], rounds: int, what: str
) -> Compared:
    """Measure both in turn, `rounds` times, and say so."""
    compared = Compared([], [], [])
    for n in range(1, rounds + 1):
        compared.loads.append(load())
        compared.ours.append(ours())
        compared.peer.append(peer())
        mine, theirs = compared.ours[-1], compared.peer[-1]
        print(
            f"{what} {n}/{rounds}: ours {mine.per_second:8.0f} /s ({mine.cpu_seconds:.1f} s cpu), "
            f"peer {theirs.per_second:8.0f} /s ({theirs.cpu_seconds:.1f} s cpu), "
            f"ratio {mine.per_second / theirs.per_second:.2f}, load {compared.loads[-1]}",
            flush=True,
        )
    return compared
