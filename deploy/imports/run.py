"""One run over a list: lines go out several at a time and are told of in the order of the list."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field

from deploy.imports.errors import LineRefused
from deploy.imports.lines import Body, body_of, reference, skipped
from deploy.imports.mapping import Mapping
from deploy.imports.results import (
    ALREADY_THERE,
    REFUSED,
    SKIPPED,
    WOULD_BE,
    Result,
)
from deploy.imports.sending import Told
from deploy.imports.table import Row

Send = Callable[[Body], Awaitable[Told]]
Tell = Callable[[Result], None]


@dataclass(slots=True)
class Line:
    """A line on its way: what it says, and what will be told of it."""

    number: int
    ref: str
    body: Body | None
    told: "asyncio.Future[Told]"


@dataclass(slots=True)
class Run:
    """Sends the lines of a list and tells of each, `at_once` of them on their way.

    Lines under one reference go one after the other, so that the first of them is the one that
    comes in. On a dry run none comes in, and the second is told here what it would be told.
    """

    mapping: Mapping
    send: Send
    tell: Tell
    at_once: int
    dry_run: bool = False
    _last: dict[str, "asyncio.Future[Told]"] = field(init=False, default_factory=dict)
    _rehearsed: dict[str, Body] = field(init=False, default_factory=dict)

    async def over(self, rows: Sequence[Row]) -> None:
        """Raises what stops the run; the lines that were told of are done."""
        under_way: deque[Line] = deque()
        try:
            for row in rows:
                under_way.append(self._begin(row))
                if len(under_way) >= self.at_once:
                    await self._finish(under_way)
            while under_way:
                await self._finish(under_way)
        finally:
            for line in under_way:
                line.told.cancel()
            await asyncio.gather(*(line.told for line in under_way), return_exceptions=True)

    def _begin(self, row: Row) -> Line:
        ref = _shown(self.mapping, row)
        told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        try:
            if not skipped(self.mapping, row):
                body = body_of(self.mapping, row)
                told = asyncio.ensure_future(self._send_after(self._last.get(ref), body))
                self._last[ref] = told
                return Line(row.number, ref, body, told)
            told.set_result(Told(SKIPPED))
        except LineRefused as refused:
            told.set_result(Told(REFUSED, code=refused.code, field=refused.field, why=str(refused)))
        return Line(row.number, ref, None, told)

    async def _send_after(self, earlier: "asyncio.Future[Told] | None", body: Body) -> Told:
        if earlier is not None:
            await asyncio.wait([earlier])
        return await self.send(body)

    async def _finish(self, under_way: deque[Line]) -> None:
        line = under_way[0]
        told = await line.told
        under_way.popleft()
        if self._last.get(line.ref) is line.told:
            del self._last[line.ref]
        if line.body is not None and self.dry_run and told.became == WOULD_BE:
            told = self._rehearse(line.body, told)
        self.tell(Result(line.number, line.ref, **asdict(told)))

    def _rehearse(self, body: Body, told: Told) -> Told:
        earlier = self._rehearsed.setdefault(body["ref"], body)
        if earlier is body:
            return told
        if _without_end(earlier) != _without_end(body):
            return _taken("ref", "something else")
        ends = earlier.get("settled"), body.get("settled")
        if ends[1] is None or ends[0] == ends[1]:
            return Told(ALREADY_THERE, story=told.story)
        if ends[0] is not None:
            return _taken("settled", "another end")
        self._rehearsed[body["ref"]] = body
        return told


def _taken(field: str, what: str) -> Told:
    why = f"another line of this list has this reference and says {what}"
    return Told(REFUSED, code="ref-taken", field=field, why=why)


def _shown(mapping: Mapping, row: Row) -> str:
    """The reference, also of a line that is refused for something else."""
    try:
        return reference(mapping.ref, row)
    except LineRefused:
        return ""


def _without_end(body: Body) -> Body:
    return {**body, "settled": None}
