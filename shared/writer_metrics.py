"""The numbers of a writing service: its store, its relay, its reactions."""

from collections.abc import Callable

from prometheus_client.metrics_core import Metric

from shared.backlog import unpublished_seconds
from shared.group_commit import GroupInsert
from shared.metrics import Metrics, counter, faults, gauge
from shared.mongo import Database
from shared.relay import Relay


def writer_metrics(
    home: Database, group: GroupInsert, relay: Relay, lacks: Callable[[], str | None]
) -> Metrics:
    """`lacks` says what the reactions wait for, if they do."""

    def held() -> list[Metric]:
        return [
            gauge("wishgrid_relay_leading", "1 on the instance that relays", relay.leading),
            counter(
                "wishgrid_relay_records", "Records Kafka acknowledged to here", relay.published
            ),
            counter("wishgrid_store_flushes", "Group commits", group.flushed),
            counter("wishgrid_store_documents", "Documents in these", group.inserted),
            faults({"relay": relay.fault is not None, "understood": lacks() is not None}),
        ]

    async def stored() -> list[Metric]:
        return [
            gauge(
                "wishgrid_relay_unpublished_seconds",
                "Age of the oldest commit that Kafka has not acknowledged, 0 without one",
                await unpublished_seconds(home),
            ),
            gauge(
                "wishgrid_parked_records",
                "Records of the other service that wait until somebody mends their story",
                await home["parked"].count_documents({}),
            ),
            # They stay for ever; counting them one by one would cost more each year.
            gauge(
                "wishgrid_reaction_issues",
                "Reactions that a rule refused, about",
                await home["issues"].estimated_document_count(),
            ),
        ]

    return Metrics(held, {"store": stored})
