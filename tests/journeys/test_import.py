"""Lists come in on the real thing: killed in the middle and run again, every line is there once."""

import csv
import io
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook
from pymongo import MongoClient
from pymongo.collection import Collection

from deploy.demo.client import Client
from deploy.local.installation import ROOT, Installation
from shared.access import Role
from tests.journeys.conftest import TOWN, until

pytestmark = pytest.mark.stack

MAPPING = ROOT / "deploy" / "imports" / "examples" / "west-2025.mapping.yaml"
HEADER = [
    *("年度", "编号", "受理时间", "来源", "网格", "类型", "类别", "事项", "补充说明", "姓名"),
    *("电话", "地址", "现场办结", "办理结果", "办结时间", "办理情况", "备注"),
]
TITLE = ["西街社区台账（虚构）"]
ZONE = ZoneInfo("Asia/Shanghai")
FAST = timedelta(hours=48)
KINDS = {"诉求": ("物业", "邻里", "环境卫生"), "心愿": ("物品", "陪伴"), "隐患": ("消防", "线路")}
GRIDS = "一二三四五六七八九"


@dataclass(frozen=True)
class Line:
    """One line of a list of a month that nobody else in these tests speaks of."""

    ref: int
    month: datetime
    draw: random.Random

    def cells(self) -> dict[str, str]:
        at = self.month + timedelta(minutes=self.draw.randrange(60 * 24 * 27))
        kind = self.draw.choice(sorted(KINDS))
        said = {
            "年度": f"{self.month:%Y%m}",
            "编号": f"{self.ref:04d}",
            "受理时间": f"{at:%Y-%m-%d %H:%M}",
            "来源": self.draw.choice(["微信", "走访", "窗口"]),
            "网格": f"{self.draw.choice(GRIDS)}网格",
            "类型": kind,
            "类别": self.draw.choice(KINDS[kind]),
            "事项": f'第{self.ref}件，\n有“引号”和"引号"，逗号（虚构）',
            "姓名": f"住户{self.ref % 50}",
            "电话": f"1380000{self.ref % 50:04d}",
        }
        if self.ref % 4:
            end = at + timedelta(minutes=self.draw.randrange(1, 60 * 24 * 5))
            spot = self.ref % 10 == 1
            said |= {"办理结果": "已解决", "办理情况": "已处理，\n已回访"}
            said |= {"现场办结": "是"} if spot else {"办结时间": f"{end:%Y-%m-%d %H:%M}"}
        return said


def lines(count: int, month: str) -> list[dict[str, str]]:
    """The same each time they are asked for."""
    draw = random.Random(month)
    first = datetime.fromisoformat(f"{month}-01T08:00").replace(tzinfo=ZONE)
    return [Line(n, first, draw).cells() for n in range(1, count + 1)]


def as_gb18030(said: Sequence[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(TITLE)
    writer.writerow(HEADER)
    writer.writerows([cells.get(name, "") for name in HEADER] for cells in said)
    return out.getvalue().encode("gb18030")


def as_workbook(said: Sequence[dict[str, str]], file: Path) -> None:
    """Phones as numbers and times as dates, as spreadsheets have them."""
    book = Workbook()
    page = book.active
    assert page is not None
    page.append(TITLE)
    page.append(HEADER)
    for cells in said:
        typed: dict[str, object] = {**cells, "电话": float(cells["电话"])}
        for name in ("受理时间", "办结时间"):
            if name in cells:
                typed[name] = datetime.strptime(cells[name], "%Y-%m-%d %H:%M")  # noqa: DTZ007  # as they have them
        page.append([typed.get(name) for name in HEADER])
    book.save(file)


def expected(said: Sequence[dict[str, str]]) -> dict[str, int]:
    """The report's numbers, counted from the list alone."""
    counted = Counter(received=len(said))
    for cells in said:
        if "办理结果" not in cells:
            counted["open"] += 1
            continue
        counted.update(("resolved", "closed"))
        if "现场办结" in cells:
            counted["on_the_spot"] += 1
            continue
        at, end = (
            datetime.fromisoformat(cells[name].replace(" ", "T")).replace(tzinfo=ZONE)
            for name in ("受理时间", "办结时间")
        )
        counted["fast"] += end - at <= FAST
    return {
        **dict.fromkeys(("open", "resolved", "otherwise", "closed", "on_the_spot", "fast"), 0)
    } | counted


@dataclass
class Importer:
    """Somebody of the community with the command line."""

    place: Installation
    folder: Path

    def command(self, file: Path, *options: str) -> list[str]:
        token = self.folder / "token"
        token.write_text(self.place.secrets.token(Role.COMMUNITY, "lists", TOWN, ["t3/west"]))
        url = self.place.url("intake")
        program = [sys.executable, "-m", "deploy.cli.main", "import", str(file)]
        said = {"mapping": MAPPING, "intake": url, "token-file": token, "results": self.results}
        return [*program, *(f"--{name}={value}" for name, value in said.items()), *options]

    @property
    def results(self) -> Path:
        return self.folder / "results.csv"

    def start(self, file: Path, *options: str) -> "subprocess.Popen[str]":
        self.results.unlink(missing_ok=True)
        return subprocess.Popen(
            self.command(file, *options),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, file: Path, *options: str) -> tuple[int, str]:
        process = self.start(file, *options)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def told(self) -> list[dict[str, str]]:
        """The result file as far as it is written."""
        if not self.results.exists():
            return []
        with self.results.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def became(self) -> Counter[str]:
        return Counter(line["became"] for line in self.told())


@pytest.fixture
def importer(place: Installation, tmp_path: Path) -> Importer:
    return Importer(place, tmp_path)


def month_of(desk: Client, month: str) -> dict[str, int]:
    said = desk.get("/v1/report", area="t3/west", **{"from": f"{month}-01", "to": f"{month}-28"})
    return {name: figure["count"] for name, figure in said["numbers"].items()}


def listed(desk: Client, month: str, **narrowed: str) -> list[dict[str, object]]:
    also = "".join(f"&{name}={value}" for name, value in narrowed.items())
    return desk.rows(f"/v1/cases?area=t3/west&from={month}-01&to={month}-28{also}")


def streams(place: Installation, stories: set[str]) -> Iterator[Counter[int]]:
    """How often each story was begun, in the stores of both services: {1: all of them}."""
    mongo: MongoClient[dict[str, str]]
    with MongoClient(place.servers.mongo) as mongo:
        for database, kind in (("intake", "wish"), ("dispatch", "case")):
            commits: Collection[dict[str, str]] = mongo[f"wishgridjourneys_{database}"]["commits"]
            begun = Counter(commit["stream"] for commit in commits.find({"first": 1}))
            yield Counter(begun[f"{kind}-{story}"] for story in stories)


def test_history_whose_runs_are_killed_is_in_once_with_both_times_and_never_overdue(
    place: Installation, desk: Client, importer: Importer, tmp_path: Path
) -> None:
    month, said = "2025-02", lines(200, "2025-02")
    file = tmp_path / "history.csv"
    file.write_bytes(as_gb18030(said))

    run = importer.start(file, "--at-once=4")
    until(lambda: len(importer.told()) >= 40)
    run.kill()
    run.communicate()
    assert 40 <= len(importer.told()) < len(said)
    assert importer.became().keys() == {"taken in"}

    run = importer.start(file, "--at-once=8")  # and now intake dies under it
    until(lambda: importer.became()["taken in"] >= 40)
    place.services["intake"][0].process.kill()
    assert run.poll() is None
    place.services["intake"][0].restart()
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 0, out
    assert f"history.csv (GB18030), {len(said)} lines" in out
    assert importer.became()["already there"] >= 40
    assert importer.became().keys() == {"taken in", "already there"}

    code, out = importer.run(file)
    assert (code, importer.became()) == (0, Counter({"already there": len(said)})), out
    told = importer.told()
    assert [int(line["line"]) for line in told] == list(range(3, len(said) + 3))
    stories = {line["story"] for line in told}
    assert len(stories) == len(said)

    until(lambda: month_of(desk, month) == expected(said))
    assert {row["story"] for row in listed(desk, month)} == stories
    assert list(streams(place, stories)) == [Counter({1: len(said)})] * 2
    assert_both_times(desk, said[0], told[0])

    assert listed(desk, month, overdue="true") == []
    open_ones = listed(desk, month, state="opened")
    assert len(open_ones) == expected(said)["open"] == 50
    story = str(open_ones[0]["story"])
    accepted = desk.do("accept", story, {}, f"wish-{story}@1")
    case = desk.get(f"/v1/cases/{story}", at_least=accepted["position"])
    assert case["due"] > accepted["recorded"]
    assert listed(desk, month, overdue="true") == []


def assert_both_times(desk: Client, cells: dict[str, str], line: dict[str, str]) -> None:
    """The first line was settled on the spot: both times are when it was submitted."""
    assert cells["现场办结"] == "是"
    story = line["story"]
    case = desk.get(f"/v1/cases/{story}", at_least=line["position"], until="closed")
    at = datetime.fromisoformat(cells["受理时间"]).replace(tzinfo=ZONE)
    assert {datetime.fromisoformat(case[name]) for name in ("submitted", "resolved")} == {at}
    assert (case["reason"], case["rating"], case["rateable"]) == ("settled-elsewhere", None, False)
    assert case["words"] == cells["事项"]
    entries = desk.get(f"/v1/cases/{story}/timeline")
    assert [entry["type"] for entry in entries if not entry["by"].startswith("policy:")] == [
        "wish-submitted.v1",
        "wish-settled-elsewhere.v1",
        "case-resolved.v1",
    ]
    settled = next(e for e in entries if e["type"] == "wish-settled-elsewhere.v1")
    assert settled["texts"] == {"note": cells["办理情况"]}
    assert settled["details"] == {"outcome": "resolved", "on_spot": True}


def test_a_daily_list_is_tried_dry_mended_and_sent_again_as_it_grows(
    place: Installation, desk: Client, importer: Importer, tmp_path: Path
) -> None:
    month, said = "2025-03", lines(50, "2025-03")
    file = tmp_path / "daily.xlsx"
    as_workbook(
        [*said[:40], {**said[40], "网格": "十网格"}, {**said[41], "办结时间": "2024-01-01 08:00"}],
        file,
    )
    code, out = importer.run(file, "--dry-run")
    assert code == 1
    assert "nothing was written" in out
    assert importer.became() == Counter({"would be taken in": 40, "refused": 2})
    wrong = {
        line["line"]: (line["code"], line["field"]) for line in importer.told() if line["code"]
    }
    assert wrong == {
        "43": ("unknown-word", "area"),
        "44": ("occurred-before-submission", "settled.occurred"),
    }
    assert month_of(desk, month)["received"] == 0

    still_open = [
        {
            name: cell
            for name, cell in cells.items()
            if not name.startswith("办") and name != "现场办结"
        }
        for cells in said[:10]
    ]
    as_workbook([*still_open, *said[10:40]], file)
    assert importer.run(file)[0] == 0
    assert importer.became() == Counter({"taken in": 40})
    until(lambda: month_of(desk, month) == expected([*still_open, *said[10:40]]))

    as_workbook(said, file)  # the next day: some are settled now, others are new
    assert importer.run(file)[0] == 0
    settled_since = sum("办理结果" in cells for cells in said[:10])
    assert importer.became() == Counter(
        {"taken in": 10 + settled_since, "already there": 40 - settled_since}
    )
    until(lambda: month_of(desk, month) == expected(said))
    stories = {line["story"] for line in importer.told()}
    assert list(streams(place, stories)) == [Counter({1: len(said)})] * 2
    assert listed(desk, month, overdue="true") == []
