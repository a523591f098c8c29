"""How a server starts, and what it says that cannot, or that starts otherwise than whoever runs it may think."""

import contextlib
import gc
import os
import re
import sys
from collections.abc import Iterator

from pydantic import ValidationError

from iscan_dash import logs
from iscan_dash.errors import DataError, IscanError, SettingsConflict
from iscan_dash.logs import log
from iscan_dash.settings import Settings, wrong_setting

CANNOT_START = 4
"""The code a process ends with; Gunicorn ends then, too, and does not start another worker again and again."""


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """Start without the garbage collector, which finds next to nothing then and takes a seventh of the time.

    What is there in the end stays for good; the collector never looks at it, nor lets requests wait for that.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def plain_refusal() -> Iterator[None]:
    """Log a problem that whoever runs the server can act on as one line, and end the process."""
    try:
        yield
    except IscanError as error:
        # What the variable asks for, even when others make no sense.
        form = os.environ.get("ISCAN_LOG_FORMAT", "").lower()
        logs.configure("json" if form == "json" else "text", "warning")
        variable = "ISCAN_DATA: " if isinstance(error, DataError) else ""
        log.error("iscan-dash cannot start: %s%s", variable, error)
        sys.exit(CANNOT_START)


def read_settings() -> Settings:
    """Return the settings of the environment.

    Raises
    ------
    SettingsConflict
        One makes no sense, or two cannot be had together; the sentence names their variables.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsConflict(wrong_setting(error)) from error
    except SettingsConflict as error:
        raise SettingsConflict(_OPTION.sub(_variable, str(error))) from error


_OPTION = re.compile(r"(?<!\S)\(?--[a-z-]+")


def _variable(option: re.Match[str]) -> str:
    return option[0].replace("--", "ISCAN_").replace("-", "_").upper()


def deployed_settings() -> Settings:
    """Return the settings of a server that has no command line; it serves the demo, and says so, when told nothing.

    Raises
    ------
    SettingsConflict
        See `read_settings`.
    """
    settings = read_settings()
    logs.configure(settings.log_format, settings.log_level)
    if settings.data:
        return settings
    log.warning("ISCAN_DATA is not set: the demo study is served")
    return settings.with_demo()
