"""What the pages say: every phrase in both languages, and nothing said outside the catalogue."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest
from starlette.requests import Request

from services.projections.answers import Number, Stand, State, TimelineEntry
from services.projections.board import site as site_module
from services.projections.board.assets import VENDOR, read_assets
from services.projections.board.chart import HEIGHT, WIDTH, trend
from services.projections.board.door import own_page
from services.projections.board.language import Phrases, language_of, read_catalogue
from services.projections.board.telling import Teller, share
from services.projections.board.timeline import steps
from services.projections.figures import figures
from services.projections.overview import DayFigures
from services.projections.wording import wording
from shared.access import Role
from shared.contracts.registry import FACTS
from tests.build import NOW, a_town, profile

BOARD = Path(site_module.__file__).parent
ROOT = BOARD.parents[2]
TEMPLATES = sorted((BOARD / "templates").glob("*.html"))
CODE = [*TEMPLATES, *sorted(BOARD.glob("*.py"))]
CATALOGUE = read_catalogue()
CHINESE = Phrases(CATALOGUE, "zh-CN")
ENGLISH = Phrases(CATALOGUE, "en")
SAID_AS_IT_IS = {"中文", "English"}
"""A language is named in itself."""


def gaps(phrase: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(phrase) if name is not None}


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_phrase_says_something_in_both_languages_and_has_the_same_gaps(key: str) -> None:
    chinese, english = CATALOGUE[key]
    assert chinese.strip()
    assert english.strip()
    assert gaps(chinese) == gaps(english)
    assert re.search("[一-鿿]", english.replace("（虚构）", "")) is None


def keys_asked_for() -> set[str]:
    """Keys written out in templates and code, and the beginnings of those that are put together."""
    asked = set()
    for file in CODE:
        text = file.read_text(encoding="utf-8")
        asked |= set(re.findall(r"""["']([a-z][a-z-]*(?:[._][a-z0-9_.-]+)*\.?)["']""", text))
        asked |= {found + "." for found in re.findall(r"""f["']([a-z]+)\.\{""", text)}
        asked |= {found + "." for found in re.findall(r"""code\(["']([a-z]+)["']""", text)}
        asked |= {found + "." for found in re.findall(r"""name\(["']([a-z]+)["']""", text)}
    return asked


def test_every_phrase_is_used() -> None:
    asked = keys_asked_for()
    by_beginning = {key for key in asked if key.endswith(".")} | {"due.late.", "due.left."}
    unused = {
        key
        for key in CATALOGUE
        if key not in asked and not any(key.startswith(each) for each in by_beginning)
    }
    assert unused == set()


def test_every_phrase_a_template_or_a_module_asks_for_is_there() -> None:
    asked = set()
    for file in CODE:
        text = file.read_text(encoding="utf-8")
        asked |= set(re.findall(r"""\bt\(["']([^"']+)["']\s*[,)]""", text))
    assert len(asked) > 60
    assert asked - CATALOGUE.keys() == set()


class _Texts(HTMLParser):
    """Collects what a reader would see or hear."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        heard = {"alt", "title", "placeholder", "aria-label", "aria-description", "data-label"}
        self.found += [value or "" for name, value in attrs if name in heard]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_a_template_says_nothing_that_is_not_in_the_catalogue(template: Path) -> None:
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", template.read_text("utf-8"), flags=re.S)
    texts = _Texts()
    texts.feed(text)
    said = {each.strip() for each in texts.found if re.search(r"[^\W\d_]", each)}
    assert said - SAID_AS_IT_IS == set()


def test_a_page_has_no_style_or_script_of_its_own() -> None:
    """The policy it is sent with would stop them."""
    for template in TEMPLATES:
        text = template.read_text(encoding="utf-8")
        assert re.findall(r"<style|\sstyle=|<script>|\son[a-z]+=|hx-on|hx-vals=.js", text) == []


def test_every_code_of_ours_has_a_word() -> None:
    wanted = {
        *(f"state.{code}" for code in get_args(State)),
        *(f"stand.{code}" for code in get_args(Stand)),
        *(f"number.{code}" for code in get_args(Number)),
        *(f"role.{role}" for role in Role),
        *(f"fact.{kind.rpartition('.v')[0]}" for kind in FACTS),
        *(
            f"wrong.status.{status}"
            for status in (400, 401, 403, 404, 405, 409, 413, 422, 500, 503)
        ),
    }
    assert wanted - CATALOGUE.keys() == set()


def request(query: str = "", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "path": "/", "query_string": query.encode(), "headers": raw})


@pytest.mark.parametrize(
    ("query", "headers", "language"),
    [
        ("", {}, "zh-CN"),
        ("", {"accept_language": "en-GB,en;q=0.9,zh;q=0.1"}, "en"),
        ("", {"accept_language": "fr, zh-TW;q=0.4, en;q=0.3"}, "zh-CN"),
        ("", {"accept_language": "fr;q=x, , de"}, "zh-CN"),
        ("", {"accept_language": "zh", "cookie": "wishgrid-lang=en"}, "en"),
        ("", {"cookie": "wishgrid-lang=fr"}, "zh-CN"),
        ("lang=zh-CN", {"accept_language": "en", "cookie": "wishgrid-lang=en"}, "zh-CN"),
    ],
)
def test_a_page_speaks_what_was_asked_for_then_chosen_then_preferred(
    query: str, headers: dict[str, str], language: str
) -> None:
    assert language_of(request(query, **headers)) == language


def teller(phrases: Phrases = CHINESE, now: datetime = NOW) -> Teller:
    town = a_town(profile(decline_rules={"in-court": "已进入司法程序"}))
    return Teller(phrases, wording(town), town.profiles[0].zone, now)


@pytest.mark.parametrize(
    ("state", "due", "said", "late"),
    [
        ("accepted", NOW - timedelta(days=3, hours=5), "超期 3 天", True),
        ("underway", NOW - timedelta(hours=2), "超期 2 小时", True),
        ("underway", NOW - timedelta(seconds=1), "刚刚超期", True),
        ("underway", NOW, "不足 1 小时", False),
        ("dispatched", NOW + timedelta(hours=23), "还剩 23 小时", False),
        ("dispatched", NOW + timedelta(days=2), "还剩 2 天", False),
        ("resolved", NOW - timedelta(days=3), "", False),
        ("closed", NOW - timedelta(days=3), "", False),
        ("opened", None, "未定", False),
    ],
)
def test_a_deadline_is_said_in_words_and_late_is_what_the_list_calls_overdue(
    state: str, due: datetime | None, said: str, late: bool
) -> None:
    told = teller().deadline(state, due)
    assert (told.said, told.late) == (said, late)


def test_times_are_the_towns() -> None:
    assert teller().when(datetime(2026, 3, 1, 16, 5, tzinfo=UTC)) == "2026-03-02 00:05"


def test_a_code_stands_beside_its_name_only_where_a_reader_may_not_know_the_name() -> None:
    assert teller().name("area", "t3/west/g4") == ("第四网格", None)
    assert teller(ENGLISH).name("area", "t3/west/g4") == ("第四网格", "g4")
    assert teller(ENGLISH).name("unit", "nobody-knows") == ("nobody-knows", None)
    assert teller().name("category", "sanitation", "appeal").said == "环境卫生"


def test_who_did_it_is_a_role_and_for_staff_an_id() -> None:
    said = [teller().actor(by) for by in ("resident:5d41", "community:west", "policy:open")]
    assert said == ["居民", "社区 west", "规则自动"]


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 0, "–"),
        (0, 9, "0 %"),
        (12, 130, "9 %"),
        (1, 1000, "<1 %"),
        (999, 1000, ">99 %"),
        (3, 3, "100 %"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(part: int, whole: int, said: str) -> None:
    assert share(part, whole) == said


def days(*counts: tuple[int, int]) -> list[DayFigures]:
    return [
        DayFigures(
            day=date(2026, 3, 1) + timedelta(days=n),
            numbers=figures({"received": received, "open": still_open}, {}),
        )
        for n, (received, still_open) in enumerate(counts)
    ]


def test_bars_stand_on_the_ground_one_upon_the_other_and_within_the_picture() -> None:
    told = trend(days((4, 1), (0, 0), (7, 7)))
    assert (told.top, told.most, told.total) == (10, 7, 11)
    first, empty, full = told.bars
    assert first.open_y + first.open_height == HEIGHT
    assert first.done_y + first.done_height == pytest.approx(first.open_y)
    assert (first.open_height, first.done_height) == (HEIGHT / 10, 3 * HEIGHT / 10)
    assert (empty.open_height, empty.done_height, full.done_height) == (0, 0, 0)
    assert full.x + full.width <= WIDTH
    assert [trend(days((n, 0))).top for n in (0, 2, 3, 6, 11, 21, 99)] == [2, 2, 5, 10, 20, 50, 100]


def entry(kind: str, details: Mapping[str, object], texts: dict[str, str]) -> TimelineEntry:
    return TimelineEntry(
        id="case-1@1",
        type=kind,
        by="community:west",
        occurred=NOW - timedelta(hours=2),
        recorded=NOW,
        correlation="c",
        details=dict(details),
        texts=texts,
    )


def told(phrases: Phrases, kind: str, details: Mapping[str, object], **texts: str) -> list[str]:
    (step,) = steps([entry(kind, details, texts)], teller(phrases))
    lines = [f"{label}: {name.said}" for label, name in step.lines]
    said = [f"{label}: {text}" for label, text in step.texts]
    return [step.said, *([step.beside] if step.beside else []), *lines, *said]


def test_a_step_is_told_by_its_term_its_codes_and_its_texts() -> None:
    due = datetime(2026, 3, 7, 8, 0, tzinfo=UTC)
    assert told(CHINESE, "case-accepted.v1", {"due": due}) == ["受理", "期限: 2026-03-07 16:00"]
    assert told(ENGLISH, "case-accepted.v1", {"due": due})[:2] == ["受理", "Case accepted"]
    assert told(CHINESE, "case-declined.v1", {"rule": "in-court"}, reason="已起诉") == [
        "不受理",
        "依据: 已进入司法程序",
        "理由: 已起诉",
    ]
    rated = {"resolved": False, "satisfaction": 2, "case_version": 3}
    assert told(CHINESE, "wish-rated.v1", rated, words="还在漏") == [
        "评单",
        "是否解决: 否",
        "满意度: 2 / 5",
        "评单留言: 还在漏",
    ]
    assert told(CHINESE, "case-renamed.v7", {}) == ["case-renamed"]


def test_a_step_that_was_recorded_later_says_when_it_occurred() -> None:
    (step,) = steps([entry("case-opened.v1", {}, {})], teller())
    assert step.occurred == NOW - timedelta(hours=2)


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/board/cases?state=closed&area=t3/west", "/board/cases?state=closed&area=t3/west"),
        ("/board", "/board"),
        ("//evil.example/board", "/board"),
        ("https://evil.example/board", "/board"),
        ("/boardroom", "/board"),
        ("/board/../v1/cases", "/board"),
        ("/board?x=\r\nSet-Cookie: a", "/board"),
        ("/board\\@evil.example", "/board"),
    ],
)
def test_signing_in_leads_to_a_page_of_the_board_and_nowhere_else(asked: str, led: str) -> None:
    assert own_page(asked) == led


def test_pages_work_without_the_scripts_of_packages_and_it_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "board.css").write_text("body {}")
    assets = read_assets(tmp_path)
    assert assets.live is False
    assert capsys.readouterr().out.count("pages are not live") == 1
    for name in VENDOR:
        (tmp_path / name).write_text("0")
    assert read_assets(tmp_path).live is True


def packaged() -> Iterator[str]:
    """The patterns of files that the package carries beside its modules."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = said["tool"]["setuptools"]["package-data"]
    yield from (*data["*"], *data["services.projections.board"])


def test_whatever_a_page_is_made_of_is_in_the_package() -> None:
    files = [*TEMPLATES, BOARD / "words.yaml", *(BOARD / "static").glob("*.*")]
    names = [str(f.relative_to(BOARD)) for f in files] + [f"static/vendor/{n}" for n in VENDOR]
    patterns = list(packaged())
    missing = {
        name
        for name in names
        if not any(fnmatch(name, p) and name.count("/") == p.count("/") for p in patterns)
    }
    assert missing == set()
