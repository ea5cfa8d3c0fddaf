"""Records whose headers have names that are not UTF-8, made readable for aiokafka.

Its consumer raises at such a record, never gets past it, and drops what it has read from other
partitions at that moment; whoever may write to one topic could stop them all (DECISIONS.md 4).
Here a name that does not read has U+FFFD in it, and everything else is as it came.
"""

import dataclasses
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_BEFORE_LENGTH: Final = 8
_BEFORE_BATCH: Final = 12


def read_every_name() -> None:
    """Let all consumers of this process read such records; to be repeated at will."""
    fetcher.MemoryRecords = _Records


class _Records:
    """What a fetch brought of one partition: aiokafka's own, each batch with its bytes."""

    def __init__(self, data: bytes) -> None:
        self._own = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        return int(self._own.size_in_bytes())

    def has_next(self) -> bool:
        return bool(self._own.has_next())

    def next_batch(self) -> Any:
        (length,) = struct.unpack_from(">i", self._data, self._at + _BEFORE_LENGTH)
        raw = self._data[self._at : self._at + _BEFORE_BATCH + length]
        self._at += len(raw)
        batch = self._own.next_batch()
        return batch if batch.is_control_batch else _Batch(batch, raw)


class _Batch:
    """A batch that is read the fast way, and once more the lenient way if that fails: what was
    given out already is known by its offset to whoever asked."""

    def __init__(self, own: Any, raw: memoryview) -> None:
        self._own = own
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._own
        except UnicodeDecodeError:
            lenient = _DefaultRecordBatchPy(self._raw)
            lenient._maybe_uncompress()
            lenient._buffer = _Lenient(lenient._buffer)
            yield from lenient
        except Exception:  # whatever the codec says: nothing of other partitions may be lost
            yield _Unpackable(self._own, self._raw)


class _Unpackable:
    """A batch that cannot be unpacked, as one record that does not read, in the place of its
    last one."""

    key = None
    headers = ()
    timestamp_type = 0
    checksum = None

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self.offset = batch.next_offset - 1
        self.timestamp = 0
        self.value = bytes(raw)


class _Lenient(bytearray):
    """Bytes of which every part decodes."""

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        return _Lenient(part) if isinstance(at, slice) else part

    def decode(self, *_: Any) -> str:
        return super().decode("utf-8", "replace")


async def safe_parser(message: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    """FastStream skips and commits past a record whose headers are not UTF-8: mend them for its
    eyes only. The handler gets the record as it came, to park what does not read."""
    if isinstance(message, tuple):
        parsed = await original(tuple(map(_mended, message)))
    else:
        parsed = await original(_mended(message))
    parsed.raw_message = message
    return parsed


def _mended(record: Any) -> Any:
    for _, value in record.headers:
        try:
            value.decode()
        except (UnicodeDecodeError, AttributeError):
            headers = tuple((k, _text(v)) for k, v in record.headers)
            return dataclasses.replace(record, headers=headers)
    return record


def _text(value: bytes | None) -> bytes:
    return (value or b"").decode("utf-8", "replace").encode()
