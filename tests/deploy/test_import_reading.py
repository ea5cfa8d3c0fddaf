"""Lists are read as they are: encodings, quotation marks, workbooks; what is wrong is said."""

import io
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from openpyxl import Workbook

from deploy.imports.errors import FixFirst
from deploy.imports.mapping import Mapping
from deploy.imports.reading import read_list
from deploy.imports.table import Broken, Row, Table

WORDS = "下水道堵了，\n污水流到路上"
LIST = f'编号,事项\r\n1,"{WORDS}"\r\n\r\n2,"他说""急"""\r\n'
NEEDED = {"kind": "appeal", "category": "repairs", "area": "t3", "channel": "window"}


def naive(text: str) -> datetime:
    """As a workbook has it: without a zone."""
    return datetime.fromisoformat(text)


def mapping(*columns: str, **changes: Any) -> Mapping:
    """One that needs these columns."""
    ref, words = columns or ("编号", "事项")
    said = {
        "source": "/lists/x",
        "time_zone": "Asia/Shanghai",
        "dates": ["%Y-%m-%d"],
        "ref": ref,
        "matter": {
            **{name: {"value": value} for name, value in NEEDED.items()},
            "words": words,
            "occurred": {"column": ref},
        },
    }
    return Mapping.model_validate({**said, **changes})


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Table]:
    """Reads these bytes as a list."""

    def reading(raw: bytes, how: Mapping | None = None, sheet: str | None = None) -> Table:
        file = tmp_path / "list"
        file.write_bytes(raw)
        return read_list(file, how or mapping(), sheet)

    return reading


def workbook(*rows: list[Any], sheets: tuple[str, ...] = ("台账",)) -> bytes:
    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]  # a new one has a sheet
    for sheet in sheets:
        page = book.create_sheet(sheet)
        for row in rows:
            page.append(row)
    raw = io.BytesIO()
    book.save(raw)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        (LIST.encode(), "UTF-8"),
        (b"\xef\xbb\xbf" + LIST.encode(), "UTF-8"),
        (LIST.encode("gb18030"), "GB18030"),
        (LIST.replace(",", ";").encode("gb18030"), "GB18030"),
        (LIST.replace(",", "\t").encode(), "UTF-8"),
    ],
    ids=["utf-8", "with-its-mark", "gb18030", "semicolons", "tabs"],
)
def test_every_encoding_and_separator_gives_the_same_lines(
    read: Callable[..., Table], raw: bytes, form: str
) -> None:
    found = read(raw)
    assert found.form == form
    assert found.rows == [
        Row(2, {"编号": "1", "事项": WORDS}),
        Row(4, {"编号": "2", "事项": '他说"急"'}),
    ]


def test_a_character_outside_the_common_plane_survives_gb18030(read: Callable[..., Table]) -> None:
    (row,) = read("编号,事项\n1,𠮷祥里㐂\n".encode("gb18030")).rows
    assert row.cells["事项"] == "𠮷祥里㐂"


FOREIGN = {
    "Big5": "ref,words\n1,照明\n2,下水道堵塞請處理樓道燈不亮多次\n",
    "Shift_JIS": "ref,words\n1,照明\n2,街灯が壊れています\n",
    "EUC-KR": "ref,words\n1,가로등\n2,가로등이 고장났습니다\n",
}
"""Lists whose headers do not tell their encoding."""


@pytest.mark.parametrize("encoding", FOREIGN)
def test_an_encoding_that_the_mapping_says_is_not_guessed(
    read: Callable[..., Table], encoding: str
) -> None:
    text = FOREIGN[encoding]
    found = read(text.encode(encoding), mapping("ref", "words", encoding=encoding))
    assert found.form == encoding
    assert found.rows[1].cells["words"] == text.splitlines()[2].removeprefix("2,")
    cut = text.encode(encoding) + b"\x88"
    with pytest.raises(FixFirst, match=f"is no {encoding} from byte {len(cut) - 1} on; save it"):
        read(cut, mapping("ref", "words", encoding=encoding))


def test_big5_is_not_taken_for_gb18030(read: Callable[..., Table]) -> None:
    says = r"no UTF-8 from byte 12 on and hardly GB18030 in line 2 \(U\+E80B\); save it as CSV"
    with pytest.raises(FixFirst, match=says):
        read(FOREIGN["Big5"].encode("big5"), mapping("ref", "words"))


def test_signs_of_a_towns_own_are_kept_where_the_encoding_is_certain(
    read: Callable[..., Table],
) -> None:
    text = "编号,事项\n1,\ue5fb某\n"
    for raw, how in (
        (text.encode(), mapping()),
        (text.encode("gb18030"), mapping(encoding="GB18030")),
        (b"\xef\xbb\xbf" + text.encode(), mapping(encoding="GB18030")),
    ):
        (row,) = read(raw, how).rows
        assert row.cells["事项"] == "\ue5fb某"


def test_a_title_above_the_header_and_spaces_around_cells_are_left_out(
    read: Callable[..., Table],
) -> None:
    (row,) = read(f"台账,\n 编号 ,事项\n 1\u3000,{'x'}\n".encode(), mapping(header=2)).rows
    assert row == Row(3, {"编号": "1", "事项": "x"})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"\xef\xbb\xbf" + "编号,事项\n1,".encode() + b"\xff", "no UTF-8 from byte 19 on"),
        (
            "编号,事项\n1,堵".encode("gb18030") + b"\xff\xff",
            "no UTF-8 from byte 0 on and no GB18030 from byte 14 on",
        ),
        ("编号,事项".encode("utf-16"), "is UTF-16; save it as CSV UTF-8"),
        (b"\xd0\xcf\x11\xe0old", r"\.xls\); save it as .xlsx"),
        (b"PK\x03\x04nothing", "does not read as a workbook"),
        (b"", r"has no row 1, where the mapping says its header is"),
        (
            "编号,内容\n1,x\n".encode(),
            r"\(UTF-8\) has no column '事项' in row 1; there is 编号, 内容",
        ),
        ("编号,事项,事项\n1,x,y\n".encode(), "has two columns called '事项'"),
        ('编号,事项\n1,"没有完\n2,x\n'.encode(), "line 3: unexpected end of data"),
        ('编号,事项\n1,"a"b\n'.encode(), "line 2: ',' expected after '\"'"),
    ],
)
def test_what_does_not_read_as_a_list_is_said_in_one_sentence(
    read: Callable[..., Table], raw: bytes, says: str
) -> None:
    with pytest.raises(FixFirst, match=says) as wrong:
        read(raw)
    assert "\n" not in str(wrong.value)


def test_a_list_that_is_not_there_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FixFirst, match="cannot be read: No such file"):
        read_list(tmp_path / "gone.csv", mapping())


def test_what_stands_beyond_the_last_header_is_kept_to_be_refused(
    read: Callable[..., Table],
) -> None:
    short, long = read("编号,事项\n1\n2,x,y,\n".encode()).rows
    assert (short.cells["事项"], short.beyond) == ("", ())
    assert long.beyond == ("y",)


def test_cells_of_a_workbook_are_what_they_were_meant_to_be(read: Callable[..., Table]) -> None:
    told = [
        (13800000001.0, "13800000001"),
        (2025, "2025"),
        (0.5, "0.5"),
        (" 堵了\n ", "堵了"),
        (naive("2025-06-03T10:30"), naive("2025-06-03T10:30")),
        (date(2025, 6, 3), naive("2025-06-03")),
        (time(10, 30), "10:30:00"),
        (True, "TRUE"),
        (False, "FALSE"),
        (None, ""),
        ("#N/A", Broken("it holds the error #N/A")),
        (
            110101199001011234.0,
            Broken("the spreadsheet has rounded this number; make the column text"),
        ),
    ]
    found = read(workbook(["编号", "事项"], *(["1", put] for put, _ in told)))
    assert found.form == "sheet 台账"
    assert [row.cells["事项"] for row in found.rows] == [cell for _, cell in told]


def rewritten(raw: bytes, old: bytes, new: bytes) -> bytes:
    """The workbook as another program would have written this part of its sheet."""
    changed = io.BytesIO()
    with ZipFile(io.BytesIO(raw)) as book, ZipFile(changed, "w") as again:
        assert old in book.read("xl/worksheets/sheet1.xml")
        for name in book.namelist():
            again.writestr(name, book.read(name).replace(old, new))
    return changed.getvalue()


def test_a_phone_that_was_written_as_a_power_of_ten_is_its_digits(
    read: Callable[..., Table],
) -> None:
    raw = workbook(["编号", "事项"], ["1", 13800000001])
    (row,) = read(rewritten(raw, b">13800000001<", b">1.3800000001E10<")).rows
    assert row.cells["事项"] == "13800000001"


@pytest.mark.parametrize(
    ("cell", "is_read"),
    [
        (b'<c r="B2"><f>A2</f><v /></c>', Broken),
        (b'<c r="B2"><f>A2</f></c>', Broken),
        (b'<c r="B2"><f>A2</f><v>1</v></c>', "1"),
        (b'<c r="B2" t="str"><f>A2</f><v>\xe5\xa0\xb5</v></c>', "堵"),
        (b'<c r="B2" t="str"><f>A2</f><v></v></c>', ""),
        (b'<c r="B2" t="e"><f>A2</f><v>#REF!</v></c>', Broken),
        (b'<c r="B2"/>', ""),
    ],
)
def test_a_formula_is_what_it_came_to_and_broken_where_nobody_calculated_it(
    read: Callable[..., Table], cell: bytes, is_read: str | type[Broken]
) -> None:
    raw = workbook(["编号", "事项"], ["1", "=A2"])
    (row,) = read(rewritten(raw, b'<c r="B2"><f>A2</f><v /></c>', cell)).rows
    found = row.cells["事项"]
    assert found == is_read if isinstance(is_read, str) else isinstance(found, is_read)


def test_of_several_sheets_one_is_to_be_named(read: Callable[..., Table]) -> None:
    raw = workbook(["编号", "事项"], ["1", "x"], sheets=("一月", "二月"))
    assert read(raw, sheet="二月").form == "sheet 二月"
    assert read(raw, mapping(sheet="一月")).form == "sheet 一月"
    with pytest.raises(FixFirst, match="several sheets; name one of 一月, 二月 with --sheet"):
        read(raw)
    with pytest.raises(FixFirst, match="no sheet '三月'"):
        read(raw, sheet="三月")
    with pytest.raises(FixFirst, match="is no workbook: it has no sheet"):
        read(LIST.encode(), sheet="一月")
