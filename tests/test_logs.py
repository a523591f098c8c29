"""Lines of the log: whole, one an event, whatever names and exceptions say."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from iscan_dash.logs import Format, formatter, log, tell

HOSTILE = 'ada\n2026-01-01T00:00:00.000+00:00 INFO iscan_dash: edit user=bob\r\x1b[2J\u2028\u202e\x85\ud800" level=x'

apart = logging.Logger("iscan_dash")
"""Of the same name, but nobody else hears it: test runners cannot send each other what some messages say."""


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """What is logged in a form."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(request.param))
    before = log.level
    log.addHandler(handler)
    apart.addHandler(handler)
    log.setLevel(logging.INFO)
    yield stream.getvalue
    log.removeHandler(handler)
    apart.removeHandler(handler)
    log.setLevel(before)


in_text = pytest.mark.parametrize("lines", ["text"], indirect=True)
in_json = pytest.mark.parametrize("lines", ["json"], indirect=True)


@in_text
def test_a_hostile_name_cannot_begin_a_line(lines: Callable[[], str]) -> None:
    tell("edit", user=HOSTILE, cells=3)
    apart.warning("The folder %s is odd.", HOSTILE)

    told, warned = lines().removesuffix("\n").split("\n")
    assert told.splitlines() == [told] and warned.splitlines() == [warned]
    assert told.isprintable() and warned.isprintable()
    # What it would pass off as a field stays within quotes.
    assert told.endswith('\\" level=x" cells=3')


@in_text
def test_what_an_exception_says_cannot_pass_for_an_event(lines: Callable[[], str]) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        apart.error("A callback failed.", exc_info=error)

    first, *others = lines().removesuffix("\n").splitlines()
    assert first.endswith("ERROR iscan_dash: A callback failed.")
    assert len(others) > 2
    assert all(line.startswith("    | ") and line.isprintable() for line in others)


@in_json
def test_json_has_one_object_a_line(lines: Callable[[], str]) -> None:
    tell("edit", user=HOSTILE, cells=3)
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        apart.error("A callback failed.", exc_info=error)

    told, failed = map(json.loads, lines().removesuffix("\n").split("\n"))
    assert (told["event"], told["user"], told["cells"], told["level"]) == ("edit", HOSTILE, 3, "info")
    assert failed["event"] == "A callback failed."
    assert failed["exception"].startswith("Traceback") and failed["exception"].endswith(HOSTILE.rpartition("\n")[2])


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_no_event_of_ours_has_the_same_form(form: Format) -> None:
    record = logging.makeLogRecord({"msg": "Task queue depth is %d", "args": (3,), "name": "x", "levelname": "WARNING"})
    line = formatter(form).format(record)
    assert "Task queue depth is 3" in line
    assert form == "text" or json.loads(line)["logger"] == "x"
