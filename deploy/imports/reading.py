"""Which kind of file a list is: told by how it begins, not by its name."""

from pathlib import Path
from typing import Final

from deploy.imports.errors import FixFirst
from deploy.imports.mapping import Mapping
from deploy.imports.table import Table
from deploy.imports.text_file import read_text
from deploy.imports.workbook import read_workbook

_ZIP: Final = b"PK\x03\x04"
_OLD_OFFICE: Final = b"\xd0\xcf\x11\xe0"


def read_list(file: Path, mapping: Mapping, sheet: str | None = None) -> Table:
    """The list as a table with the columns that the mapping names. Raises FixFirst."""
    try:
        raw = file.read_bytes()
    except OSError as wrong:
        raise FixFirst(f"{file} cannot be read: {wrong.strerror}") from wrong
    if raw.startswith(_OLD_OFFICE):
        raise FixFirst(f"{file} is a workbook of the old kind (.xls); save it as .xlsx")
    if raw.startswith(_ZIP):
        return read_workbook(file, raw, mapping.header, mapping.columns, sheet or mapping.sheet)
    if sheet is not None:
        raise FixFirst(f"{file} is no workbook: it has no sheet {sheet!r}")
    return read_text(file, raw, mapping)
