"""What a restore leaves in each database it wrote: is it whole, and was the topic asked since?

`restore`: one document `{_id: "restore", state, backup, at, why}`. `begun`: half of it may be
there, nobody may serve it. `restored`: it is as old as its backup; before a writing service
serves it, it takes in what the topic holds beyond it, and its readers read again. Without the
document neither is the case. `why`: what keeps store and topic apart, if they tell two things.
"""

from datetime import UTC, datetime
from typing import Final

from shared.mongo import Database, Document

RESTORE: Final = "restore"
BEGUN: Final = "begun"
RESTORED: Final = "restored"
ONE: Final[Document] = {"_id": "restore"}


async def check_whole(home: Database) -> None:
    """Raise ValueError where a restore was begun and has not ended."""
    found = await home[RESTORE].find_one(ONE)
    if found is not None and found["state"] == BEGUN:
        raise ValueError(
            f"{home.name} is half restored: run `wishgrid restore` with the same backup and "
            f"--again to its end"
        )


async def is_restored(home: Database) -> bool:
    """Whether the store may lack what the topic holds, and nobody has asked it to the end."""
    return await home[RESTORE].find_one(ONE) is not None


async def note_restored(home: Database, why: str | None = None) -> None:
    """The store lacks what it once had, however that came: remember it until it is mended."""
    now: Document = {"state": RESTORED, "why": why}
    at = {"$setOnInsert": {"at": datetime.now(UTC)}}
    await home[RESTORE].update_one(ONE, {"$set": now, **at}, upsert=True)


async def forget_restored(home: Database) -> None:
    """It has all that the topic holds."""
    await home[RESTORE].delete_one({**ONE, "state": RESTORED})
