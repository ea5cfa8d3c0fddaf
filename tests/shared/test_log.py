"""A log holds ids, never what a resident wrote."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from shared import log
from shared.log import Seldom

SECRET = "3号楼的王阿姨"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def listen(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], Lines]]:
    """Begins to log as a service does; gives what was said since."""
    handlers, level = logging.root.handlers, logging.root.level

    def begin() -> Lines:
        log.configure("intake", "intake-1")
        return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    yield begin
    structlog.reset_defaults()
    logging.root.handlers = handlers
    logging.root.setLevel(level)


def open_letter() -> None:
    words = SECRET
    raise ValueError(f"a letter of {len(words)} characters")


def test_an_exception_is_logged_without_local_variables(listen: Callable[[], Lines]) -> None:
    lines = listen()
    try:
        open_letter()
    except ValueError:
        structlog.get_logger("of.ours").exception("a policy raised")
    (line,) = lines()
    assert SECRET not in json.dumps(line, ensure_ascii=False)
    (raised,) = line["exception"]
    assert raised["exc_type"] == "ValueError"
    assert raised["frames"][-1]["name"] == "open_letter"
    assert all("locals" not in frame for frame in raised["frames"])


def test_an_exception_of_a_library_is_logged_without_local_variables_too(
    listen: Callable[[], Lines],
) -> None:
    lines = listen()
    try:
        open_letter()
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    (line,) = lines()
    assert line["event"] == "Exception in ASGI application"
    assert SECRET not in json.dumps(line, ensure_ascii=False)
    assert line["exception"][0]["exc_value"] == "a letter of 7 characters"


def test_a_line_tells_the_service_the_instance_and_the_conversation(
    listen: Callable[[], Lines],
) -> None:
    lines = listen()
    with bound_contextvars(correlation_id="conversation-1"):
        structlog.get_logger("of.ours").info("decided", story="s-1")
        logging.getLogger("a.library").warning("late by %d s", 3)
    ours, theirs = lines()
    for line in (ours, theirs):
        assert line["correlation_id"] == "conversation-1"
        assert (line["service"], line["instance"]) == ("intake", "intake-1")
        assert line["timestamp"].endswith("Z")
    assert (ours["event"], ours["level"], ours["story"]) == ("decided", "info", "s-1")
    assert (theirs["event"], theirs["level"]) == ("late by 3 s", "warning")


def test_what_no_json_can_say_is_said_as_text(listen: Callable[[], Lines]) -> None:
    lines = listen()
    structlog.get_logger("of.ours").info("odd", story={"a"}, path=ValueError("x"))
    (line,) = lines()
    assert (line["story"], line["path"]) == ("{'a'}", "x")


def test_the_chatter_of_libraries_is_left_out(listen: Callable[[], Lines]) -> None:
    lines = listen()
    for name in ("uvicorn.access", "aiokafka.consumer", "faststream", "pymongo.topology"):
        logging.getLogger(name).info("one line per request")
    logging.getLogger("of.ours").debug("too much")
    assert lines() == []


def test_a_library_that_repeats_itself_is_heard_once_in_ten_seconds() -> None:
    filtered = Seldom("aiokafka", seconds=600)

    def heard(name: str, message: str) -> bool:
        return filtered.filter(logging.LogRecord(name, logging.ERROR, "", 0, message, (), None))

    assert [heard("aiokafka.conn", "cannot connect to %s") for _ in range(3)] == [
        True,
        False,
        False,
    ]
    assert heard("aiokafka.conn", "something else")
    assert all(heard("shared.relay", "relay starts over") for _ in range(3))
