"""The server's secret: random, its owner's only, the same at every start, also when many start at once."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iscan_dash.errors import StorageError
from iscan_dash.services.secret import N_BYTES, load_secret


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_made_once_and_its_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "lab" / "iscan"
    first = load_secret(folder)
    assert len(first) == N_BYTES
    assert (mode(folder), mode(folder / "secret")) == (0o700, 0o600)
    assert load_secret(folder) == first
    assert load_secret(tmp_path / "other") != first
    assert {path.name for path in folder.iterdir()} <= {"secret", ".secret.lock"}


def test_servers_that_start_at_once_share_it(tmp_path: Path) -> None:
    start = tmp_path / "start"
    program = f"""
import pathlib, time
from iscan_dash.services.secret import load_secret
print("ready", flush=True)
while not pathlib.Path({str(start)!r}).exists():
    time.sleep(0.001)
print(load_secret(pathlib.Path({str(tmp_path / "data")!r})).hex())
"""
    servers = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(6)
    ]
    for server in servers:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
    start.touch()
    said = {server.communicate(timeout=30)[0].strip() for server in servers}
    assert said == {load_secret(tmp_path / "data").hex()}


def test_a_secret_that_others_could_read_is_hidden_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = load_secret(tmp_path)
    assert caplog.records == []
    (tmp_path / "secret").chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert load_secret(tmp_path) == secret
    assert mode(tmp_path / "secret") == 0o600
    assert caplog.messages[0].startswith(f"Others could read the server's secret {tmp_path / 'secret'} until now.")


@pytest.mark.parametrize("text", ["", "\n", "abcd\n", "x" * 64, "ab" * 31, "\u00e9" * 40])
def test_a_damaged_secret_is_not_used(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(StorageError, match=f"The server's secret {path} is damaged. Put it back from a backup, or"):
        load_secret(tmp_path)
    # It is left as it is: whoever runs the server decides.
    assert path.read_text() == text


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be read or made: .*\. Name another folder with ISCAN_DATA_DIR\."):
        load_secret(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="Permission denied"):
            load_secret(tmp_path)
    finally:
        tmp_path.chmod(0o700)
