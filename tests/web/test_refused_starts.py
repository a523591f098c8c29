"""A server that cannot start says why in one line, which names the variable, and ends."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.browser.server import plain_environment
from tests.web.host import ROOT

ONE_WAY = "Choose one way to tell users apart: ISCAN_SINGLE_USER (or ISCAN_USER), ISCAN_USERS, or ISCAN_USER_HEADER."


def loaded(tmp_path: Path, settings: Mapping[str, str], module: str = "app") -> "subprocess.CompletedProcess[str]":
    """Load a module of the server as Gunicorn does, in a process of its own."""
    code = f"""import {module}
own = {module}.server.extensions["iscan"]
own.warm_up.join()
print(own.workspaces.study.title)"""
    if module == "gunicorn":
        code = "import runpy; runpy.run_path('gunicorn.conf.py')"
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=plain_environment() | {"ISCAN_DATA_DIR": str(tmp_path), **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ISCAN_DATA": "none.h5ad"}, "ISCAN_DATA: none.h5ad"),
        ({"ISCAN_USERS": "none.txt"}, "Put its name right (ISCAN_USERS), or make it"),
        ({"ISCAN_IDLE_MINUTES": "abc"}, 'ISCAN_IDLE_MINUTES is "abc": Input should be a valid number'),
        ({"PORT": "abc"}, 'PORT is "abc": Input should be a valid integer'),
        ({"ISCAN_URL_PREFIX": "/../"}, 'ISCAN_URL_PREFIX is "/../": "/../" is no path to serve at.'),
        ({"ISCAN_DASK_SCHEDULER": "cells"}, "ISCAN_DASK_SCHEDULER is the address of a Dask scheduler"),
        ({"ISCAN_SINGLE_USER": "1", "ISCAN_USERS": "users.txt"}, ONE_WAY),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    done = loaded(tmp_path, {"ISCAN_LOG_FORMAT": "json", **settings})
    assert done.returncode == 4
    line = json.loads(done.stderr.splitlines()[-1])
    assert (line["level"], line["event"].startswith("iscan-dash cannot start: ")) == ("error", True)
    assert said in line["event"]
    # Only that the demo is served may come before it.
    assert len(done.stderr.splitlines()) == 1 + ("ISCAN_USERS" in settings and len(settings) == 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn needs fork")
def test_gunicorn_ends_before_it_listens(tmp_path: Path) -> None:
    done = loaded(tmp_path, {"ISCAN_PROXIES": "many"}, "gunicorn")
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert 'iscan-dash cannot start: ISCAN_PROXIES is "many": ' in done.stderr


@pytest.mark.parametrize("module", ["app", "iscan_dash.wsgi"])
def test_a_server_that_is_told_nothing_says_that_it_serves_the_demo(tmp_path: Path, module: str) -> None:
    done = loaded(tmp_path, {"ISCAN_DATA": "", "ISCAN_LOG_FORMAT": "", "ISCAN_IDLE_MINUTES": ""}, module)
    assert (done.returncode, done.stdout) == (0, "PBMC 8k demo\n")
    (line,) = done.stderr.splitlines()
    assert line.endswith(" WARNING iscan_dash: ISCAN_DATA is not set: the demo study is served")
