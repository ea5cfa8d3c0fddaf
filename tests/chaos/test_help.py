"""Whoever asks a rehearsal what it takes is told."""

import pytest

from tests.chaos.__main__ import WHAT, main


@pytest.mark.parametrize("what", sorted(WHAT))
def test_each_says_what_it_does_and_what_each_option_means(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([what, "--help"])
    assert ended.value.code == 0
    assert f"tests.chaos {what}" in capsys.readouterr().out
