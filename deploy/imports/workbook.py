"""Lists as workbooks (.xlsx): values, not formulas; dates as dates, numbers as they are read."""

import io
import warnings
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.formula.tokenizer import TokenizerError
from openpyxl.formula.translate import TranslatorError
from openpyxl.utils.exceptions import InvalidFileException

from deploy.imports.errors import FixFirst
from deploy.imports.table import Broken, Cell, Table, table

_UNREADABLE: Final = (
    BadZipFile,
    InvalidFileException,
    ParseError,
    KeyError,
    ValueError,
    TokenizerError,
    TranslatorError,
)
_EXACT: Final = 10**15
"""Spreadsheets keep 15 digits of a number; longer ones were rounded before we saw them."""


def read_workbook(
    file: Path, raw: bytes, header: int, wanted: Collection[str], sheet: str | None
) -> Table:
    """Raises FixFirst, also where several sheets could be meant."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validations, which nobody reads
            book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
            name = _sheet(file, book.sheetnames, sheet)
            formulas = load_workbook(io.BytesIO(raw), read_only=True)
            rows = zip(_rows(book[name]), _rows(formulas[name]), strict=True)
            lines = [[_cell(*both) for both in zip(*row, strict=True)] for row in rows]
            book.close()
            formulas.close()
    except _UNREADABLE as wrong:
        raise FixFirst(f"{file} does not read as a workbook: {wrong}") from wrong
    return table(file, f"sheet {name}", lines, header, wanted)


def _rows(page: Any) -> Iterable[Sequence[Any]]:
    page.reset_dimensions()  # some programs write too few
    rows: Iterable[Sequence[Any]] = page.iter_rows()
    return rows


def _sheet(file: Path, there: list[str], wanted: str | None) -> str:
    if wanted is None and len(there) == 1:
        return there[0]
    if wanted in there:
        return str(wanted)
    lacks = "several sheets" if wanted is None else f"no sheet {wanted!r}"
    raise FixFirst(f"{file} has {lacks}; name one of {', '.join(there)} with --sheet")


def _cell(calculated: Any, formula: Any) -> Cell:
    """A formula that came to an empty text says so (`str`); one never calculated says nothing."""
    if calculated.value is None and formula.data_type == "f" and calculated.data_type != "str":
        return Broken("its formula was never calculated; open and save the list in a spreadsheet")
    return _value(calculated.value)


def _value(value: Any) -> Cell:
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()  # as a spreadsheet shows it
        case str():
            return Broken(f"it holds the error {value}") if value in ERROR_CODES else value.strip()
        case datetime():
            return value
        case date():
            return datetime.combine(value, time.min)
        case int() | float() if abs(value) >= _EXACT:
            return Broken("the spreadsheet has rounded this number; make the column text")
        case float() if value.is_integer():
            return str(int(value))  # a phone number, a year
    return str(value)
