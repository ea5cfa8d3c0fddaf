"""The roll of generations: which there are, in what state, and which one is read.

`<prefix>_views` holds `generations`, `{_id: g<n>, state, since, folds, views, filling, touching,
profiles}`, and `alias`, `{_id: "reading", generation}`. A name is never used twice.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Final

from pymongo.errors import DuplicateKeyError

from services.projections.build import Build
from shared.crash import reached
from shared.mongo import Database, Document, Session, transaction

BUILDING: Final = "building"
READING: Final = "reading"
KEPT: Final = "kept"
DROPPED: Final = "dropped"

_ALIAS: Final = {"_id": "reading"}


class Roll:
    """Reads and writes the roll."""

    def __init__(self, views: Database) -> None:
        self._views = views

    def database(self, name: str) -> Database:
        """Where a generation's read models are."""
        return self._views.client.get_database(
            f"{self._views.name}_{name}",
            self._views.codec_options,
            read_concern=self._views.read_concern,
            write_concern=self._views.write_concern,
        )

    @property
    def views(self) -> Database:
        """Where the roll is, and what else is about several generations."""
        return self._views

    async def all(self) -> list[Document]:
        """All there ever were, oldest first."""
        return sorted(await self._views["generations"].find().to_list(None), key=number)

    async def there(self) -> list[Document]:
        """Those that were not dropped, oldest first."""
        return [each for each in await self.all() if each.get("state") != DROPPED]

    async def one(self, name: str, session: Session | None = None) -> Document | None:
        """A generation that was not dropped."""
        wanted = {"_id": name, "state": {"$ne": DROPPED}}
        found: Document | None = await self._views["generations"].find_one(wanted, session=session)
        return found

    async def reading(self) -> str | None:
        """The name of the one that is read."""
        alias = await self._views["alias"].find_one(_ALIAS)
        return None if alias is None else str(alias["generation"])

    async def begin(self, build: Build, after: Sequence[Document], name: str | None = None) -> str:
        """Begin the next one after all these. Raises DuplicateKeyError when somebody else did."""
        name = name or f"g{max(map(number, after), default=0) + 1}"
        document = {"_id": name, "state": BUILDING, **build.new_generation()}
        await self._views["generations"].insert_one(document)
        return name

    async def read_first(self, name: str) -> None:
        """Read this one if none is read yet. Whoever finds one read ends what a process that
        died here may have left half done."""
        with contextlib.suppress(DuplicateKeyError):
            await self._views["alias"].insert_one({**_ALIAS, "generation": name})
        if (read := await self.reading()) is not None:
            await self._state(read, READING, of=(BUILDING,))

    async def flip(self, expected: str, to: str) -> bool:
        """Read `to` from now on, and keep `expected`; False when that is not what is read, or
        `to` is not there any more, or is read already."""
        if expected == to:
            return False
        async with transaction(self._views.client) as session:
            moved = await self._views["alias"].update_one(
                {**_ALIAS, "generation": expected}, {"$set": {"generation": to}}, session=session
            )
            if not moved.matched_count or not await self._state(to, READING, session=session):
                await session.abort_transaction()
                return False
            await self._state(expected, KEPT, session=session)
            reached("generation-flip")
        return True

    async def drop(self, name: str) -> bool:
        """Let nobody write to it any more; False when the alias names it, or it is not there. Its
        database is left to the caller."""
        async with transaction(self._views.client) as session:
            alias = await self._views["alias"].find_one(_ALIAS, session=session)
            if alias is not None and alias["generation"] == name:
                return False
            return await self._state(name, DROPPED, session=session)

    async def learn(self, name: str, profiles: Iterable[Document]) -> None:
        """Remember more profiles; those it knows stay as they are."""
        for each in profiles:
            await self._views["generations"].update_one(
                {"_id": name, "profiles.profile": {"$ne": each["profile"]}},
                {"$push": {"profiles": each}},
            )

    async def fill(self, name: str, views: Iterable[str]) -> None:
        """From now on it has these views, which are not complete: who does not write them may
        not write to it, and every story is to be touched."""
        for view in views:
            await self._views["generations"].update_one(
                {"_id": name, "views": {"$ne": view}},
                {"$push": {"views": view, "filling": view}, "$set": {"touching": True}},
            )

    async def touched(self, generation: Document) -> None:
        """Every story was touched for what is being filled."""
        await self._settle(generation, {"touching": False})

    async def filled(self, generation: Document) -> None:
        """What was being filled is complete."""
        await self._settle(generation, {"filling": []})

    async def _settle(self, generation: Document, fields: Document) -> None:
        """Unless something else is being filled by now."""
        still = {field: generation[field] for field in ("_id", "filling", "touching")}
        await self._views["generations"].update_one(still, {"$set": fields})

    async def _state(
        self, name: str, state: str, *, of: Sequence[str] = (), session: Session | None = None
    ) -> bool:
        before = {"$in": list(of)} if of else {"$ne": DROPPED}
        moved = await self._views["generations"].update_one(
            {"_id": name, "state": before},
            [{"$set": {"state": state, "since": "$$NOW"}}],
            session=session,
        )
        return bool(moved.matched_count)


def number(generation: Document) -> int:
    """2 of `g2`."""
    return int(str(generation["_id"]).removeprefix("g"))
