"""The Procfile's own command, as a host runs it."""

import http.client
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser.server import Draft, plain_environment
from tests.browser.studies import small_study, small_values
from tests.services.page_client import PageClient

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn needs fork")

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass
class Host:
    """A server under Gunicorn, and where its drafts go."""

    process: subprocess.Popen[bytes]
    port: int
    drafts: Path

    def status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", path)
        return connection.getresponse().status

    def wait(self) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None
            try:
                if self.status("/readyz") == 200:
                    return
            except ConnectionRefusedError:
                pass
            time.sleep(0.1)
        raise TimeoutError("The server is not ready.")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Gunicorn as the Procfile starts it, but for this machine alone."""
    port, drafts = free_port(), tmp_path / "drafts"
    command = (ROOT / "Procfile").read_text().removeprefix("web: ").replace("0.0.0.0:$PORT", f"127.0.0.1:{port}")
    settings = {
        "ISCAN_DATA": str(small_study(tmp_path / "small.h5ad")),
        "ISCAN_ANNOTATIONS_DIR": str(drafts),
        "ISCAN_DATA_DIR": str(tmp_path / "server"),
        "ISCAN_SINGLE_USER": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)], cwd=ROOT, env=plain_environment() | settings
    )
    try:
        yield Host(process, port, drafts)
    finally:
        process.kill()
        process.wait()


def test_a_worker_that_is_stopped_writes_what_is_unsaved(host: Host) -> None:
    host.wait()
    assert host.status("/healthz") == 200
    form = {"seq": 1, "name": "organ", "default": "none", "copy_on": True, "metadata": ["tissue"]}
    revision, said = PageClient(host.port).edit("new-create.n_clicks", 1, {"new-form": form})
    assert revision is not None, said
    begun = time.monotonic()
    host.process.send_signal(signal.SIGTERM)

    assert host.process.wait(PATIENCE) == 0
    assert time.monotonic() - begun < 20
    (draft,) = host.drafts.glob("*.csv")
    assert Draft.read(draft).columns["organ"] == [value or "none" for value in small_values("tissue")]
