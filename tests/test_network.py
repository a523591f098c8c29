"""No command asks the network for anything."""

import subprocess
import sys
from pathlib import Path

import pytest

from iscan_dash.settings import DEMO_STUDY
from tests.browser.server import plain_environment
from tests.browser.studies import small_study
from tests.network import apart, attempts, without_network


def test_the_guard_sees_and_stops_an_attempt(tmp_path: Path) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://example.org/', timeout=5)"
    environment = plain_environment() | without_network(tmp_path / "record")
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "the network is off: example.org" in ended.stderr
    assert [line.split(" by ")[0] for line in attempts(tmp_path / "record")] == ["socket.getaddrinfo example.org"]


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_study(tmp_path_factory.mktemp("study") / "small.h5ad")


@pytest.mark.parametrize(
    "command",
    [
        "check {small}",
        "references list",
        "import {small} {table} --annotations-dir {folder}",
        "predict {demo} --reference hao_pbmc --out {folder}/labels.csv",
    ],
)
def test_no_command_asks_the_network(tmp_path: Path, small_file: Path, command: str) -> None:
    table = tmp_path / "table.csv"
    table.write_text("id,mine\ncell0,T\n")
    words = command.format(small=small_file, demo=DEMO_STUDY, table=table, folder=tmp_path).split()
    record = tmp_path / "record"
    environment = plain_environment() | without_network(record) | {"ISCAN_DATA_DIR": str(tmp_path / "server")}
    ended = subprocess.run(
        [*apart(), sys.executable, "-m", "iscan_dash", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode in {0, 1}, attempts(record)) == (True, []), ended.stderr + ended.stdout
