"""What a process says of itself to Prometheus: read when it is asked, nothing runs in between.

A number speaks of this process or of what all instances share, never of a story or a person.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared.kafka import INFRASTRUCTURE
from shared.watchdog import Watchdog

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST
READING_SECONDS: Final = 2.0
"""How long a scrape waits for MongoDB and Kafka; it answers without their numbers then."""

Held = Callable[[], Iterable[Metric]]
"""Numbers this process holds."""
Reading = Callable[[], Awaitable[Iterable[Metric]]]
"""Numbers that MongoDB or Kafka must be asked for."""

log = structlog.get_logger(__name__)


class Metrics(Collector):
    """The numbers of one process: what it holds, what it reads elsewhere, what it was asked."""

    def __init__(self, held: Held = tuple, readings: Mapping[str, Reading] | None = None) -> None:
        self._held = [held]
        self._readings = dict(readings or {})
        self._answered: Counter[tuple[str, str, str]] = Counter()
        self._read: list[Metric] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def add(self, held: Held) -> None:
        """More numbers that this process holds."""
        self._held.append(held)

    def answered(self, method: str, path: str, status: int) -> None:
        """Count an answer; `path` is the template, which holds no ids."""
        self._answered[method, path, str(status)] += 1

    async def text(self) -> bytes:
        """Everything as it is now, in Prometheus' text format."""
        read = await asyncio.gather(*(self._one(name) for name in self._readings))
        self._read = [metric for metrics in read if metrics is not None for metric in metrics]
        self._read.append(
            gauges(
                "wishgrid_readable",
                "0 when MongoDB or Kafka did not give the numbers of this reading",
                "reading",
                {
                    name: metrics is not None
                    for name, metrics in zip(self._readings, read, strict=True)
                },
            )
        )
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        for held in self._held:
            yield from held()
        yield from self._read
        requests = CounterMetricFamily(
            "wishgrid_http_requests", "Answers given", labels=("method", "path", "status")
        )
        for labels, count in sorted(self._answered.items()):
            requests.add_metric(labels, count)
        yield requests

    def describe(self) -> Iterable[Metric]:
        return ()

    async def _one(self, name: str) -> list[Metric] | None:
        try:
            return list(await asyncio.wait_for(self._readings[name](), READING_SECONDS))
        except INFRASTRUCTURE as failed:
            log.warning("numbers cannot be read", reading=name, error=type(failed).__name__)
            return None


def gauge(name: str, says: str, value: float) -> Metric:
    """One number that goes up and down."""
    return GaugeMetricFamily(name, says, value=value)


def gauges(name: str, says: str, label: str, values: Mapping[str, float]) -> Metric:
    """One such number per value of `label`."""
    family = GaugeMetricFamily(name, says, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def counter(name: str, says: str, value: float) -> Metric:
    """A number that only grows while the process lives; `_total` is added to its name."""
    return CounterMetricFamily(name, says, value=value)


def frozen(watchdog: Watchdog) -> Held:
    """What it says of the consumers it looks after."""
    return lambda: [
        gauges(
            "wishgrid_consumer_frozen_seconds",
            "How long a consumer has had something to read, and has read nothing",
            "group",
            watchdog.frozen(),
        )
    ]


def faults(checks: Mapping[str, bool]) -> Metric:
    """By the names of /readyz: what stands still until somebody mends something."""
    return gauges("wishgrid_fault", "1 while it stands still until mended", "check", checks)
