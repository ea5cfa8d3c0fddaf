"""Lists as text: UTF-8, with or without its mark, or GB18030; commas, semicolons or tabs."""

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from deploy.imports.errors import FixFirst
from deploy.imports.table import Table, table

DELIMITERS: Final = (",", ";", "\t")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(
    file: Path, raw: bytes, header: int, wanted: Collection[str], delimiter: str | None
) -> Table:
    """Raises FixFirst, naming the byte or line that does not read."""
    text, encoding = decoded(file, raw)
    between = delimiter or _delimiter(text, header, wanted)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    lines: list[Sequence[str]] = []
    try:
        lines.extend([cell.strip() for cell in cells] for cells in reader)
    except csv.Error as wrong:
        raise FixFirst(f"{file}, line {reader.line_num}: {wrong}") from wrong
    return table(file, encoding, lines, header, wanted)


def decoded(file: Path, raw: bytes) -> tuple[str, str]:
    """The text and the name of its encoding. Raises FixFirst: a guess would be taken in as words
    of residents."""
    if raw.startswith(_UTF_16):
        raise FixFirst(f"{file} is UTF-16; save it as CSV UTF-8")
    marked = raw.startswith(codecs.BOM_UTF8)
    failed = []
    for encoding in ("UTF-8",) if marked else ("UTF-8", "GB18030"):
        try:
            return raw.decode(encoding).removeprefix("\ufeff"), encoding
        except UnicodeDecodeError as wrong:
            failed.append(f"no {encoding} from byte {wrong.start} on")
    raise FixFirst(f"{file} is {' and '.join(failed)}; save it as CSV UTF-8")


def _delimiter(text: str, header: int, wanted: Collection[str]) -> str:
    """The one that splits the header into most of the columns that are wanted."""

    def found(delimiter: str) -> int:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            names = next(islice(reader, header - 1, None), [])
        except csv.Error:
            return 0
        return len({name.strip() for name in names} & set(wanted))

    return max(DELIMITERS, key=found)
