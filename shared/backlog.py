"""How far a relay is behind its store.

Told from the store and the lease alone, so that it holds on every instance, whoever leads, and
also while Kafka is away and while nobody leads at all.
"""

from typing import Final

from bson import Timestamp
from pymongo import ASCENDING

from shared.mongo import Database, Document
from shared.mongo_store import COMMITS

LEASES: Final = "leases"
RELAY: Final = "relay"
"""The lease's name; the leader keeps in it the cluster time up to which all is acknowledged."""


async def unpublished_seconds(home: Database) -> float:
    """The age of the oldest commit that Kafka has not acknowledged, by the server's clock; 0 when
    there is none. Stamps are whole seconds.

    A commit is stamped a moment before it gets its place in the commit order: one that was being
    written at the very moment of the mark can be taken for published until the next one comes.
    """
    lease: Document = await home[LEASES].find_one({"_id": RELAY}, {"cluster_time": 1}) or {}
    mark: Timestamp = lease.get("cluster_time") or Timestamp(0, 0)
    seconds = {"$divide": [{"$subtract": ["$$NOW", {"$toDate": "$ts"}]}, 1000]}
    oldest = home[COMMITS].aggregate(
        [
            {"$match": {"ts": {"$gt": mark}}},
            {"$sort": {"ts": ASCENDING}},
            {"$limit": 1},
            {"$project": {"seconds": seconds}},
        ]
    )
    return max([0.0, *[float(document["seconds"]) async for document in oldest]])
