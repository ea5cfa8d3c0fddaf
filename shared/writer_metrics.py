"""The numbers of a writing service: its store, its relay, its reactions."""

from collections.abc import Callable
from typing import Any

from prometheus_client.metrics_core import Metric

from shared.backlog import unpublished_seconds
from shared.group_commit import GroupInsert
from shared.metrics import Metrics, counter, faults, gauge
from shared.mongo import Database
from shared.reactions import Reactions
from shared.relay import Relay


def writer_metrics(
    home: Database,
    group: GroupInsert,
    relay: Relay,
    reacting: Callable[[], Reactions[Any, Any] | None],
) -> Metrics:
    """`reacting` gives the reactions once there are some."""

    def held() -> list[Metric]:
        reactions = reacting()
        return [
            gauge("wishgrid_relay_leading", "1 on the instance that relays", relay.leading),
            counter(
                "wishgrid_relay_records", "Records Kafka acknowledged to here", relay.published
            ),
            counter("wishgrid_store_flushes", "Group commits", group.flushed),
            counter("wishgrid_store_documents", "Documents in these", group.inserted),
            faults(
                {
                    "relay": relay.fault is not None,
                    "understood": reactions is not None and reactions.lacks is not None,
                    "reactions": reactions is not None and reactions.breaker.fault is not None,
                }
            ),
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
