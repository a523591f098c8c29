"""What a server logs: one line an event, for people or, with ``ISCAN_LOG_FORMAT=json``, for programs."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

log = logging.getLogger("iscan_dash")


def tell(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event.

    Fields are ids, numbers and words of this program. What users write (labels, names of annotations, ids of cells)
    is not for the log.

    Parameters
    ----------
    event
        What happened, in a few words.
    level
        A level of `logging`.
    fields
        To what, and what else there is to know.
    """
    log.log(level, event, extra={"fields": fields})


def configure(form: Format, level: Level) -> None:
    """Write everything that is logged to the standard error, in one form.

    What other packages log is shown from warnings on.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(form))
    root = logging.getLogger()
    root.handlers = [handler]
    own = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(own, logging.WARNING))
    log.setLevel(own)
    logging.captureWarnings(True)
    # A request that waits a moment for a thread is nothing to tell.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def formatter(form: Format) -> logging.Formatter:
    """Return what makes lines of one form."""
    return JsonLines() if form == "json" else TextLines()


class JsonLines(logging.Formatter):
    r"""One JSON object a line, ASCII only.

    Examples
    --------
    >>> record = logging.makeLogRecord({"msg": "edit", "levelname": "INFO", "name": "root", "created": 0})
    >>> record.fields = {"user": "a\nb"}
    >>> JsonLines().format(record)
    '{"time": "1970-01-01T00:00:00.000+00:00", "level": "info", "logger": "root", "event": "edit", "user": "a\\nb"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        told = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace := _trace(self, record):
            told["exception"] = trace
        return json.dumps(told, default=str)


class TextLines(logging.Formatter):
    r"""A line for people: time, level, event, fields. Only the lines of an exception follow, indented.

    Examples
    --------
    >>> record = logging.makeLogRecord({"msg": "edit", "levelname": "INFO", "name": "iscan_dash", "created": 0})
    >>> record.fields = {"user": "a\nb", "cells": 3}
    >>> TextLines().format(record)
    '1970-01-01T00:00:00.000+00:00 INFO iscan_dash: edit user="a\\nb" cells=3'
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields = "".join(f" {name}={_value(value)}" for name, value in getattr(record, "fields", {}).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {_inert(record.getMessage())}{fields}"
        # What an exception says may come from a file or a request, as a name does.
        return "\n    | ".join([line, *map(_inert, _trace(self, record).splitlines())])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _trace(how: logging.Formatter, record: logging.LogRecord) -> str:
    return how.formatException(record.exc_info) if record.exc_info else ""


def _inert(text: str) -> str:
    """Write out what would begin another line or change how the terminal shows this one."""
    return "".join(own if own.isprintable() else own.encode("unicode_escape").decode() for own in text)


def _value(value: Any) -> str:
    text = str(value)
    is_plain = text.isprintable() and text and not set(text) & set(" =\"'\\")
    return text if is_plain else _inert(json.dumps(text, ensure_ascii=False))
