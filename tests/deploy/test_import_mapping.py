"""The mapping says which columns become what; a line that says no matter is refused."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.imports.errors import FixFirst, LineRefused
from deploy.imports.lines import Body, body_of, skipped
from deploy.imports.mapping import Mapping
from deploy.imports.mapping_file import read_mapping
from deploy.imports.reading import read_list
from deploy.imports.table import Broken, Cell, Row
from deploy.local.installation import ROOT
from services.intake.import_orders import ImportBody
from tests.conftest import TOWN, TOWNS

EXAMPLES = ROOT / "deploy" / "imports" / "examples"
EXAMPLE = EXAMPLES / "west-2025.mapping.yaml"
MAPPING = read_mapping(EXAMPLE)
ROWS = read_list(EXAMPLES / "west-2025.csv", MAPPING).rows
PLAIN, OPEN = ROWS[0], ROWS[6]


def naive(text: str) -> datetime:
    """As a workbook has it: without a zone."""
    return datetime.fromisoformat(text)


def with_cells(row: Row, **cells: Cell) -> Row:
    assert cells.keys() <= row.cells.keys()
    return Row(row.number, {**row.cells, **cells})


def body(row: Row, **cells: Cell) -> Body:
    return body_of(MAPPING, with_cells(row, **cells))


def changed(**changes: Any) -> Mapping:
    said = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return Mapping.model_validate({**said, **changes})


def test_a_line_becomes_a_request() -> None:
    assert body(PLAIN) == {
        "source": "/lists/west-2025",
        "ref": "2025-001",
        "kind": "appeal",
        "category": "repairs",
        "area": "t3/west/g4",
        "channel": "window",
        "words": "3号楼二单元楼道灯不亮（虚构）\n老人晚上上楼不便，\n已摔过一次",
        "name": "住户甲",
        "phone": "13800000001",
        "address": "3号楼二单元",
        "occurred": "2025-06-03T10:30:00+08:00",
        "settled": {
            "outcome": "resolved",
            "note": "物业更换灯泡两只，\n楼长已查看",
            "occurred": "2025-06-04T18:00:00+08:00",
        },
    }


def test_the_example_fits_the_town_it_is_for() -> None:
    profile = TOWNS[TOWN].profiles[-1]
    said = [body(row) for row in ROWS if not skipped(MAPPING, row)]
    assert len(said) == len(ROWS) - 1 == 9
    for each in map(ImportBody.model_validate, said):
        assert each.category in profile.kind(each.kind).categories
        profile.check_area(each.area)
        profile.check_code("channel", each.channel, profile.channels)
        assert "虚构" in each.words
        if each.settled is not None:
            profile.check_code("outcome", each.settled.outcome, profile.outcomes)


def test_what_is_not_settled_is_open() -> None:
    assert "settled" not in body(OPEN)
    assert "settled" not in body(PLAIN, 办理结果="", 办结时间="", 办理情况="")


def test_what_was_settled_on_the_spot_was_settled_when_it_was_submitted() -> None:
    settled = body(PLAIN, 办结时间="", 现场办结="是", 办理情况="")["settled"]
    assert settled == {
        "outcome": "resolved",
        "note": "台账未记办理情况",
        "occurred": "2025-06-03T10:30:00+08:00",
        "on_spot": True,
    }


@pytest.mark.parametrize(
    ("cell", "instant"),
    [
        ("2025-06-03 10:30", "2025-06-03T10:30:00+08:00"),
        ("2025/6/3 9:05", "2025-06-03T09:05:00+08:00"),
        ("2025年6月3日", "2025-06-03T09:00:00+08:00"),
        ("２０２５-０６-０３ １０:３０", "2025-06-03T10:30:00+08:00"),
        (naive("2025-06-03T10:30"), "2025-06-03T10:30:00+08:00"),
        (naive("2025-06-03"), "2025-06-03T09:00:00+08:00"),
    ],
)
def test_times_are_the_lists_and_a_day_alone_has_the_hour_of_the_mapping(
    cell: Cell, instant: str
) -> None:
    assert body(OPEN, 受理时间=cell)["occurred"] == instant


@pytest.mark.parametrize(
    ("form", "cell", "instant"),
    [
        ("%Y-%m-%d %H:%M%z", "2025-06-03 02:30Z", "2025-06-03T02:30:00+00:00"),
        ("%Y-%m-%d %H:%M %z", "2025-06-03 03:30 +09:00", "2025-06-03T03:30:00+09:00"),
        ("%Y-%m-%d%z", "2025-06-03+0900", "2025-06-03T09:00:00+09:00"),
        ("%Y-%m-%d %I:%M %p", "2025-06-03 02:30 PM", "2025-06-03T14:30:00+08:00"),
        ("%Y-%m-%d %%H", "2025-06-03 %H", "2025-06-03T09:00:00+08:00"),
    ],
)
def test_a_time_that_tells_its_offset_keeps_it(form: str, cell: str, instant: str) -> None:
    assert body_of(changed(dates=[form]), with_cells(OPEN, 受理时间=cell))["occurred"] == instant


@pytest.mark.parametrize(
    ("cells", "code", "field"),
    [
        ({"编号": ""}, "no-reference", "ref"),
        ({"年度": "\u3000".strip()}, "no-reference", "ref"),
        ({"类型": "举报"}, "unknown-word", "kind"),
        ({"类型": ""}, "missing", "kind"),
        ({"事项": "", "补充说明": ""}, "missing", "words"),
        ({"受理时间": ""}, "missing", "occurred"),
        ({"受理时间": "6月3日"}, "unknown-date", "occurred"),
        ({"受理时间": "2025-02-30"}, "unknown-date", "occurred"),
        ({"办结时间": "昨天"}, "unknown-date", "settled.occurred"),
        ({"办结时间": ""}, "half-settled", "settled.occurred"),
        ({"办理结果": ""}, "half-settled", "settled.outcome"),
        ({"办理结果": "尚可"}, "unknown-word", "settled.outcome"),
        ({"事项": Broken("it holds the error #N/A")}, "broken-cell", "words"),
        ({"编号": Broken("rounded")}, "broken-cell", "ref"),
        ({"受理时间": Broken("rounded")}, "broken-cell", "occurred"),
    ],
)
def test_a_line_that_says_no_matter_is_refused_by_its_field(
    cells: dict[str, Cell], code: str, field: str
) -> None:
    with pytest.raises(LineRefused) as refused:
        body(PLAIN, **cells)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_a_line_with_more_cells_than_headers_is_refused_for_its_quotation_marks() -> None:
    with pytest.raises(LineRefused, match="more cells than headers"):
        body_of(MAPPING, Row(PLAIN.number, PLAIN.cells, ("x",)))


def test_a_reference_that_no_reference_may_be_is_named_by_its_digest() -> None:
    how = changed(ref={"column": ["网格", "编号"], "digest": True})
    refs = {
        body_of(how, with_cells(PLAIN, 编号=n))["ref"] for n in ("1", "2", "2", "Ａ〔3〕", "A〔3〕")
    }
    assert len(refs) == 3
    for ref in refs:
        ImportBody.model_validate({**body(OPEN), "ref": ref})


def test_an_outcome_that_is_the_same_for_all_needs_a_time() -> None:
    settled = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["settled"]
    how = changed(settled={**settled, "outcome": {"value": "resolved"}})
    assert body_of(how, PLAIN)["settled"]["outcome"] == "resolved"
    assert "settled" not in body_of(how, OPEN)


def test_a_list_without_ends_and_of_residents_only_says_so_once() -> None:
    matter = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))["matter"]
    how = changed(settled=None, matter={**matter, "on_behalf_of_resident": True})
    assert body_of(how, PLAIN)["on_behalf_of_resident"] is True
    assert "settled" not in body_of(how, PLAIN)


GOOD = EXAMPLE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("source: /lists/west-2025", "source: 两个 词", "line 2, source: String should match"),
        ("Asia/Shanghai", "Asia/Jingchuan", "line 3, time_zone: no time zone"),
        ('"%Y-%m-%d"]', '"%Y-%m-%d %X"]', "line 4, dates.3: %X is not exact; write out %Y, %m"),
        ('"%Y-%m-%d"]', '"%c"]', "dates.3: %c is not exact"),
        ('"%Y-%m-%d"]', '"%x"]', "dates.3: %x is not exact"),
        ('"%Y-%m-%d"]', '"%Y-%m-%d %H:%M %Z"]', "dates.3: %Z is not exact"),
        ('"%Y-%m-%d"]', '"%Y-%m-%d %I:%M"]', "dates.3: %I and %p tell an hour only together"),
        ('"%Y-%m-%d"]', '"%Y-%m-%d %H:%M %p"]', "dates.3: %I and %p tell an hour only together"),
        ("header: 2", "header: 0", "line 5, header: Input should be greater than or equal to 1"),
        (
            "物业: property",
            "物业: 3",
            "line 16, matter.category.codes.物业: Input should be a valid",
        ),
        ("    column: 类型\n", "", "line 10, matter.kind: say either column or value"),
        ('at: "18:00"', "at: 18:00", "settled.occurred.at: expected an hour in quot"),
        ("is: [是]", "is: []", "line 57, settled.on_spot.is: Tuple should have at least 1 item"),
        ("  phone: 电话", "  telephone: 电话", "matter.telephone: Extra inputs are not permitted"),
        ("  words: {", "  word: {", "line 9, matter.words: Field required .and 1 more"),
        (
            "ref: {column: [年度, 编号]}",
            "ref: {column: []}",
            "line 8, ref.column: Value should have at least 1 item",
        ),
        ("skip:", "skip: [", "is not YAML"),
        ("skip:", "dates: []\nskip:", "dates: it is said twice"),
    ],
)
def test_a_mapping_that_is_wrong_is_said_in_one_sentence_with_its_line(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    file = tmp_path / "mapping.yaml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(FixFirst, match=says) as wrong:
        read_mapping(file)
    assert str(wrong.value).startswith(str(file))
    assert "\n" not in str(wrong.value)


def test_a_mapping_that_is_not_there_or_no_text_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FixFirst, match="cannot be read: No such file"):
        read_mapping(tmp_path / "gone.yaml")
    (tmp_path / "gb.yaml").write_bytes("来源: x".encode("gb18030"))
    with pytest.raises(FixFirst, match="line 1 is not YAML: the file is not UTF-8"):
        read_mapping(tmp_path / "gb.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(FixFirst, match="line 1, the mapping: Input should be a valid dictionary"):
        read_mapping(tmp_path / "empty.yaml")
