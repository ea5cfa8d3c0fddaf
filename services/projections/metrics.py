"""The numbers of projections: how far it is behind the topic, and what stands still."""

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from services.projections.listeners import Listeners
from services.projections.touching import stuck_alone
from services.projections.upkeep import Upkeep
from shared.metrics import Metrics, counter, faults, gauge


def projections_metrics(upkeep: Upkeep, listeners: Listeners) -> Metrics:
    """Lag, states and parked are those of the read models: the same on each instance."""

    def held() -> list[Metric]:
        at_work = upkeep.projectors.values()
        return [
            faults(
                {
                    "projector": any(each.fault is not None for each in at_work),
                    "understood": any(each.lacks is not None for each in at_work),
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
        database = upkeep.reading.model.database
        records = await database["parked"].count_documents({})
        return [
            gauge(
                "wishgrid_parked_records",
                "Records that wait until somebody mends their story, and stories that do without",
                records + len(await stuck_alone(database)),
            )
        ]

    async def generations() -> list[Metric]:
        there = GaugeMetricFamily(
            "wishgrid_generation",
            "1 for each generation of read models there is",
            labels=("generation", "state"),
        )
        for each in await upkeep.shown():
            there.add_metric((each["_id"], each["state"]), 1)
        return [there]

    async def lag() -> list[Metric]:
        behind = GaugeMetricFamily(
            "wishgrid_projector_lag_records",
            "Records of the partition that are not in the generation",
            labels=("generation", "partition"),
        )
        for each in await upkeep.shown():
            for partition, records in (await upkeep.lag(each["_id"])).items():
                behind.add_metric((each["_id"], str(partition)), records)
        return [behind]

    return Metrics(held, {"parked": parked, "generations": generations, "lag": lag})
