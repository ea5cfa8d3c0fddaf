"""`wishgrid profile check`: every mistake in a town's files by its line, with what to write."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from shared.town import load_towns
from tests.conftest import TOWNS_FOLDER

SHELL = CliRunner()
PROFILE = "profile-1.yaml"


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """The folder of one town whose files all read."""
    return shutil.copytree(TOWNS_FOLDER / "t3", tmp_path / "towns" / "t3")


def said(town: Path, *, exit_code: int = 1) -> list[str]:
    """What the command says of the folder, line by line."""
    done = SHELL.invoke(app, ["profile", "check", str(town.parent)])
    assert done.exit_code == exit_code, done.output
    return done.output.splitlines()


def write(file: Path, old: str, new: str) -> int:
    """Put `new` in the place of `old`; the line where that is."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def test_files_without_a_mistake_are_told_with_what_is_in_them(town: Path) -> None:
    (line,) = said(town, exit_code=0)
    assert re.fullmatch(r"t3 \S+: profile 1\.[0-9a-f]{8}, 7 units, 1 partners", line)


@pytest.mark.parametrize(
    ("file", "old", "new", "further", "says"),
    [
        (PROFILE, "resolve_within_hours: 720", "resolve_within_hours: 0", 0, "greater than 0"),
        (PROFILE, "wechat: 微信群", "WeChat: 微信群", 0, "a code is of lower-case letters"),
        (PROFILE, "fast_within_hours: 48", "fast_within_hour: 48", 0, "mean fast_within_hours?"),
        (PROFILE, "time_zone: Asia/Shanghai", "time_zone: Asia/Xian", 0, "no time zone is called"),
        (PROFILE, "t3/west/g2, level: grid", "t3/west/g2, level: gird", 0, "gird is not listed"),
        (PROFILE, "{id: t3/west/g3,", "{id: t3/east/g3,", 0, "its parent is not listed"),
        (PROFILE, "{id: t3/west/g3,", "{id: t3/west/g2,", 0, "area t3/west/g2 is listed twice"),
        (PROFILE, "  hazard:\n", "  appeal:\n", 0, "appeal is said twice here"),
        (PROFILE, "levels:\n", "levels: [\n", 2, "this is no YAML"),
        ("units.yaml", "{id: volunteers,", "{id: police-post,", 0, "police-post is listed twice"),
        ("partners.yaml", "areas: [t3/west]", "areas: [T3/west]", 0, "an area is a path"),
        ("partners.yaml", "areas: [t3/west]", "areas: [t3/wets]", -4, "names t3/wets, which"),
    ],
)
def test_a_mistake_is_told_by_its_line(
    town: Path, file: str, old: str, new: str, further: int, says: str
) -> None:
    """`further`: a text without end is noticed later; a partner is told by where it begins."""
    line = write(town / file, old, new) + further
    mistake, number = said(town)
    assert mistake.startswith(f"{town / file}:{line}: ")
    assert says in mistake
    assert number == "one to mend"


def test_all_mistakes_are_told_at_once(town: Path) -> None:
    write(town / PROFILE, "resolve_within_hours: 720", "resolve_within_hours: soon")
    write(town / PROFILE, "name: 微心愿", "title: 微心愿")
    (town / "keys.yaml").write_text("keys: [{id: x, sha256: '0', town: t3, areas: [t3]}]")
    *mistakes, number = said(town)
    assert number == "4 to mend"
    assert [re.sub(r".*/", "", mistake).split(":")[0] for mistake in mistakes] == [
        "keys.yaml",
        PROFILE,
        PROFILE,
        PROFILE,
    ]


def test_a_file_that_nobody_reads_or_that_is_missing_is_told(town: Path) -> None:
    (town / "units.yaml").rename(town / "unit.yaml")
    stray, missing, _ = said(town)
    assert f"{town / 'unit.yaml'}:1: no service reads a file of this name" in stray
    assert f"{town / 'units.yaml'}:1: the file is missing" in missing


@pytest.mark.parametrize("name", ["partners", "keys", "units"])
def test_a_file_of_another_ending_is_told_for_nobody_reads_it(town: Path, name: str) -> None:
    (town / f"{name}.yml").write_text(f"{name}: []")
    stray, number = said(town)
    assert stray.startswith(f"{town / name}.yml:1: no service reads a file of this name")
    assert (f"{name}.yaml" in stray, number) == (True, "one to mend")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("units:\n  - &x [*x]", 2, "what an anchor names holds itself"),
        ("&x\nunits: *x", 1, "what an anchor names holds itself"),
        ("units: &x\n  <<: *x", 1, "what an anchor names holds itself"),
        ("units: " + "[" * 80 + "]" * 80, 1, "it is nested too deep"),
        ("units: " + "[" * 9000 + "]" * 9000, 1, "it is nested too deep"),
    ],
    ids=["list", "root", "merge", "deep", "deepest"],
)
def test_a_file_that_has_no_bottom_is_no_yaml(town: Path, text: str, line: int, says: str) -> None:
    file = town / "units.yaml"
    file.write_text(text)
    mistake, _ = said(town)
    assert mistake == f"{file}:{line}: this is no YAML: {says}"
    with pytest.raises(ValueError, match="units"):
        load_towns(town.parent)


def test_profiles_are_held_against_each_other(town: Path) -> None:
    second = town / "profile-2.yaml"
    shutil.copy(town / PROFILE, second)
    write(second, "\nn: 1\n", "\nn: 2\n")
    mistake, _ = said(town)
    assert mistake == f"{second}:5: profile 2 must take effect after 1"
    write(second, "effective: 2025-01-01", "effective: 2027-01-01")
    write(second, "  dispute:\n", "  quarrel:\n")
    mistake, _ = said(town)
    assert mistake.endswith("profile 2 drops kind dispute")


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = SHELL.invoke(app, ["profile", "check", str(tmp_path / "none")])
    assert (done.exit_code, "cannot be read: No such file" in done.output) == (1, True)
