"""Every build that is broken on purpose can still be made: the text it changes is there, once."""

from pathlib import Path

import pytest

from tests.bench.machine import ROOT
from tests.chaos.broken import BUILDS, Broken, broken_copy


@pytest.mark.parametrize("name", BUILDS)
def test_the_text_that_breaks_it_is_there_once(name: str) -> None:
    build = BUILDS[name]
    assert (ROOT / build.file).read_text(encoding="utf-8").count(build.before) == 1


@pytest.mark.parametrize("name", BUILDS)
def test_what_is_to_catch_it_is_there(name: str) -> None:
    for command in BUILDS[name].caught_by:
        for argument in command:
            assert not argument.endswith(".py") or (ROOT / argument).is_file()


def test_a_change_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    moved_on = Broken("", "shared/relay.py", "this is nowhere in it", "", ())
    with pytest.raises(ValueError, match=r"relay\.py has 0 times"):
        broken_copy(moved_on, tmp_path / "tree")
