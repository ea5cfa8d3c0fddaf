"""The numbers of projections: how far it is behind the topic, and what stands still."""

from prometheus_client.metrics_core import Metric

from services.projections.listeners import Listeners
from services.projections.projector import Projector
from shared.metrics import Metrics, counter, faults, gauge, gauges
from shared.mongo import Database


def projections_metrics(
    generation: Database, projector: Projector, listeners: Listeners
) -> Metrics:
    """Lag and parked are those of the read model: the same on each instance."""

    def held() -> list[Metric]:
        return [
            faults(
                {
                    "projector": projector.fault is not None,
                    "understood": projector.lacks is not None,
                }
            ),
            gauge("wishgrid_listeners", "Streams of changes that are open", len(listeners)),
            counter(
                "wishgrid_listeners_slow",
                "Streams of changes that ended because nobody read them",
                listeners.slow,
            ),
        ]

    async def parked() -> list[Metric]:
        return [
            gauge(
                "wishgrid_parked_records",
                "Records that wait until somebody mends their story",
                await generation["parked"].count_documents({}),
            )
        ]

    async def lag() -> list[Metric]:
        behind = {str(partition): float(n) for partition, n in (await projector.lag()).items()}
        return [
            gauges(
                "wishgrid_projector_lag_records",
                "Records of the partition that are not in the read model",
                "partition",
                behind,
            )
        ]

    return Metrics(held, {"parked": parked, "lag": lag})
