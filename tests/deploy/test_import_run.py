"""A run tells of every line in the order of the list, and stops so that it can be run again."""

import asyncio
import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.imports.account import Account, progress
from deploy.imports.errors import FixFirst
from deploy.imports.lines import Body
from deploy.imports.results import REFUSED, TAKEN_IN, WOULD_BE, Result, results
from deploy.imports.run import Run
from deploy.imports.sending import Intake, Told
from deploy.imports.table import Row
from tests.deploy.test_import_mapping import EXAMPLE, EXAMPLES, MAPPING, PLAIN, with_cells

SHELL = CliRunner()
LIST = EXAMPLES / "west-2025.csv"


def row(number: int, ref: str, **cells: str) -> Row:
    return Row(number, with_cells(PLAIN, 编号=ref, **cells).cells)


class Desk:
    """Takes lines in as intake would, later lines sooner; knows how many are on their way."""

    def __init__(self, *, away_at: str | None = None) -> None:
        self.sent: list[str] = []
        self.most = self.now = 0
        self._away_at = away_at
        self._away = False

    async def send(self, body: Body) -> Told:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(50 - len(self.sent)):
            await asyncio.sleep(0)
        self.now -= 1
        if self._away:
            await asyncio.Event().wait()  # nobody answers any more
        if body["ref"] == self._away_at:
            self._away = True
            raise FixFirst("intake does not answer")
        self.sent.append(body["words"].partition("\n")[0])
        return Told(TAKEN_IN, "story", "position")


async def run(desk: Desk, rows: Sequence[Row]) -> list[Result]:
    told: list[Result] = []
    await Run(MAPPING, desk.send, told.append, at_once=4).over(rows)
    return told


async def test_lines_are_told_of_in_their_order_with_several_on_their_way() -> None:
    desk = Desk()
    told = await run(desk, [row(n, f"{n:03d}") for n in range(3, 23)])
    assert [(result.line, result.ref) for result in told] == [
        (n, f"2025-{n:03d}") for n in range(3, 23)
    ]
    assert desk.most == 4


async def test_of_two_lines_under_one_reference_the_first_is_sent_first() -> None:
    desk = Desk()
    await run(desk, [row(n, "1", 事项=f"第{n}行") for n in range(3, 9)])
    assert desk.sent == [f"第{n}行" for n in range(3, 9)]
    assert desk.most == 1


async def test_what_says_no_matter_or_is_left_out_is_told_and_not_sent() -> None:
    desk = Desk()
    told = await run(desk, [row(3, ""), row(4, "4", 备注="作废"), row(5, "5", 类型="举报")])
    assert [(r.line, r.ref, r.became, r.code, r.field) for r in told] == [
        (3, "", "refused", "no-reference", "ref"),
        (4, "2025-4", "skipped", "", ""),
        (5, "2025-5", "refused", "unknown-word", "kind"),
    ]
    assert told[2].why == "the mapping has no code for '举报'"
    assert desk.sent == []


async def test_when_intake_goes_away_what_was_told_of_is_done_and_nothing_hangs() -> None:
    desk, told = Desk(away_at="2025-006"), list[Result]()
    over = Run(MAPPING, desk.send, told.append, at_once=3).over(
        [row(n, f"{n:03d}") for n in range(3, 30)]
    )
    with pytest.raises(FixFirst):
        await asyncio.wait_for(over, 20)
    assert [result.line for result in told] == [3, 4, 5]
    assert len(asyncio.all_tasks()) == 1


NEW, THERE = "would be taken in", "already there"
REF_TAKEN, END_TAKEN = "ref-taken (ref)", "ref-taken (settled)"
LINES = {
    "open": {"办理结果": "", "办结时间": "", "办理情况": ""},
    "settled": {"办理结果": "已解决"},
    "settled otherwise": {"办理结果": "部分解决"},
    "another": {"事项": "另一件"},
}


@pytest.mark.parametrize(
    ("lines", "become"),
    [
        (("settled", "settled", "open"), [NEW, THERE, THERE]),
        (("settled", "settled otherwise"), [NEW, END_TAKEN]),
        (("open", "open", "settled", "open"), [NEW, THERE, NEW, THERE]),
        (("open", "settled", "settled otherwise"), [NEW, NEW, END_TAKEN]),
        (("open", "settled", "settled"), [NEW, NEW, THERE]),
        (("open", "another", "settled"), [NEW, REF_TAKEN, NEW]),
        (("another", "settled otherwise"), [NEW, REF_TAKEN]),
    ],
)
async def test_a_dry_run_tells_each_line_of_a_reference_what_a_run_would(
    lines: Sequence[str], become: Sequence[str]
) -> None:
    async def send(body: Body) -> Told:
        return Told(WOULD_BE, "story")

    told: list[Result] = []
    rows = [row(n, "1", **LINES[line]) for n, line in enumerate(lines, start=3)]
    await Run(MAPPING, send, told.append, at_once=4, dry_run=True).over(rows)
    assert [f"{r.code} ({r.field})" if r.code else r.became for r in told] == become


def test_results_are_on_disk_line_by_line_and_a_spreadsheet_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    with results(file) as write:
        write(Result(3, "=1+1", REFUSED, code="unknown-kind", field="kind", why='no, "x"\nnever'))
        assert "unknown-kind" in file.read_text(encoding="utf-8")
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    with file.open(encoding="utf-8-sig", newline="") as said:
        (told,) = csv.DictReader(said)
    assert told["ref"] == "'=1+1"
    assert told["why"] == 'no, "x"\nnever'
    with results(file):  # a result file is replaced
        pass
    assert len(file.read_text(encoding="utf-8-sig").splitlines()) == 1


def test_a_file_that_is_no_result_file_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_bytes("编号,事项\n".encode("gb18030"))
    with pytest.raises(FixFirst, match="is no result file"), results(file):
        pass
    assert file.read_bytes() == "编号,事项\n".encode("gb18030")
    with pytest.raises(FixFirst, match="cannot be written"), results(tmp_path / "gone" / "r.csv"):
        pass


def test_the_account_adds_up_and_names_the_first_line_of_each_refusal() -> None:
    account = Account()
    account.total = 5
    for result in (
        Result(3, "a", TAKEN_IN),
        Result(4, "b", REFUSED, code="ref-taken", field="ref"),
        Result(5, "c", REFUSED, code="unknown-kind", field="kind"),
        Result(6, "d", REFUSED, code="unknown-kind", field="kind"),
        Result(7, "e", TAKEN_IN),
    ):
        account.add(result)
    assert list(account.sentences(Path("a/list.csv"), "GB18030")) == [
        "list.csv (GB18030), 5 lines: 2 taken in, 3 refused",
        "  refused: 2 unknown-kind (kind), first in line 5",
        "  refused: 1 ref-taken (ref), first in line 4",
    ]
    assert (account.done, account.refused) == (5, 3)


def test_a_terminal_shows_a_bar_and_a_file_none() -> None:
    for terminal in (True, False):
        console = Console(force_terminal=terminal, record=True, width=80, quiet=False)
        with console.capture() as shown, progress(console, 2) as advance:
            advance()
            advance()
        assert ("2/2" in shown.get()) is terminal


async def test_an_address_that_nobody_answers_at_is_said_after_some_patience() -> None:
    async with Intake("http://127.0.0.1:1", {}, 1, patience=0.2) as nobody:
        with pytest.raises(FixFirst, match=r"127.0.0.1:1/v1/imports does not answer \(ConnectErr"):
            await nobody.send({})


def invoke(tmp_path: Path, *changes: str, token: str = "t") -> tuple[int, str]:
    (tmp_path / "token").write_text(token)
    said = SHELL.invoke(
        app,
        [
            "import",
            str(LIST),
            f"--mapping={EXAMPLE}",
            "--intake=nowhere",
            f"--token-file={tmp_path / 'token'}",
            f"--results={tmp_path / 'r.csv'}",
            *changes,
        ],
    )
    return said.exit_code, said.output


@pytest.mark.parametrize(
    ("changes", "token", "says"),
    [
        ([], "t", "nowhere/v1/imports is no address"),
        ([], "two words", "must hold one token or key and nothing else"),
        ([], "", "must hold one token or key and nothing else"),
        ([], "口令", "holds no token or key"),
        (["--api-key-file=x"], "t", "say who imports: by --token-file or by --api-key-file"),
        (["--mapping=gone.yaml"], "t", "gone.yaml cannot be read"),
        (["--sheet=x"], "t", "is no workbook"),
        ([f"--results={LIST}"], "t", "is no result file; name another one with --results"),
    ],
)
def test_what_is_wrong_before_the_first_line_is_one_sentence_and_exit_1(
    tmp_path: Path, changes: list[str], token: str, says: str
) -> None:
    code, said = invoke(tmp_path, *changes, token=token)
    assert code == 1
    assert says in said.replace("\n", "")
    assert len(said.strip().splitlines()) == 1
