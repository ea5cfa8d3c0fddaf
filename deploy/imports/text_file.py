"""Lists as text: UTF-8 with or without its mark, GB18030, or what the mapping says; commas,
semicolons or tabs."""

import codecs
import csv
import io
import re
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from deploy.imports.errors import FixFirst
from deploy.imports.mapping import Encoding, Mapping
from deploy.imports.table import Table, table

DELIMITERS: Final = (",", ";", "\t")
_GUESSED: Final[tuple[Encoding, ...]] = ("UTF-8", "GB18030")
_CODECS: Final = {"Big5": "cp950", "Shift_JIS": "cp932", "EUC-KR": "cp949"}
"""As spreadsheets write them: with the additions of Windows."""
_NOBODYS: Final = re.compile("[\ue000-\uf8ff]")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(file: Path, raw: bytes, mapping: Mapping) -> Table:
    """Raises FixFirst, naming the byte or line that does not read."""
    text, encoding = decoded(file, raw, mapping.encoding)
    header, wanted = mapping.header, mapping.columns
    between = mapping.delimiter or _delimiter(text, header, wanted)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=between, strict=True)
    lines: list[Sequence[str]] = []
    try:
        lines.extend([cell.strip() for cell in cells] for cells in reader)
    except csv.Error as wrong:
        raise FixFirst(f"{file}, line {reader.line_num}: {wrong}") from wrong
    return table(file, encoding, lines, header, wanted)


def decoded(file: Path, raw: bytes, said: Encoding | None) -> tuple[str, str]:
    """The text and the name of its encoding. Raises FixFirst: a guess would be taken in as words
    of residents. Without a word of the mapping what has signs of nobody's is no GB18030: so Big5
    looks, read as that."""
    if raw.startswith(_UTF_16):
        raise FixFirst(f"{file} is UTF-16; save it as CSV UTF-8")
    if raw.startswith(codecs.BOM_UTF8):
        said = "UTF-8"
    failed = []
    for encoding in _GUESSED if said is None else (said,):
        try:
            text = raw.decode(_CODECS.get(encoding, encoding)).removeprefix("\ufeff")
        except UnicodeDecodeError as wrong:
            failed.append(f"no {encoding} from byte {wrong.start} on")
            continue
        strange = _NOBODYS.search(text) if said is None and encoding != "UTF-8" else None
        if strange is None:
            return text, encoding
        line = text.count("\n", 0, strange.start()) + 1
        failed.append(f"hardly {encoding} in line {line} (U+{ord(strange[0]):04X})")
    how = "save it as CSV UTF-8, or say its encoding in the mapping"
    raise FixFirst(f"{file} is {' and '.join(failed)}; {how}")


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
