"""The clock of the town goes forward only, and for all at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from shared.clock import ShiftedClock, SystemClock, begin, clock_from, shift

MONTH = timedelta(days=30)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A clock that was not moved yet."""
    file = tmp_path / "clock"
    shift(file, timedelta(0))
    return file


def test_the_real_clock_is_utc_to_the_millisecond() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = clock_from(None).now()
    assert isinstance(clock_from(None), SystemClock)
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0


def test_a_shifted_clock_shows_real_time_until_it_is_moved(file: Path) -> None:
    assert abs(clock_from(file).now() - SystemClock().now()) < timedelta(seconds=10)


def test_shifts_add_up_for_everybody_who_shares_the_file(file: Path) -> None:
    one, other = ShiftedClock(file), ShiftedClock(file)
    shift(file, MONTH)
    shift(file, timedelta(hours=1))
    for clock in (one, other):
        ahead = clock.now() - SystemClock().now()
        assert abs(ahead - MONTH - timedelta(hours=1)) < timedelta(seconds=10)


def test_a_clock_never_goes_back(file: Path) -> None:
    shift(file, MONTH)
    with pytest.raises(ValueError, match="only goes forward"):
        shift(file, timedelta(seconds=-1))
    assert float(file.read_text()) == MONTH.total_seconds()


def test_a_clock_may_begin_months_ago_and_from_there_only_goes_on(tmp_path: Path) -> None:
    file, real = tmp_path / "clock", SystemClock().now()
    begin(file, real - timedelta(days=200))
    assert timedelta(0) <= ShiftedClock(file).now() - (real - timedelta(days=200))
    begin(file, real - timedelta(days=100))
    with pytest.raises(ValueError, match="only goes forward"):
        begin(file, real - timedelta(days=101))
    assert ShiftedClock(file).now() < real


def test_who_reads_while_the_clock_is_moved_sees_it_before_or_after(file: Path) -> None:
    clock = ShiftedClock(file)

    def move() -> None:
        for _ in range(200):
            shift(file, timedelta(days=1))

    mover = Thread(target=move)
    mover.start()
    seen = [clock.now()]
    while mover.is_alive():
        seen.append(clock.now())
    mover.join()
    assert seen == sorted(seen)
    assert [each.name for each in file.parent.iterdir()] == ["clock"]


def test_a_clock_whose_file_is_gone_does_not_pretend(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ShiftedClock(tmp_path / "gone").now()
