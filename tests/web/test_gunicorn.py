"""The Procfile's own command, as a host runs it."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.server import Draft
from tests.browser.studies import small_study, small_values
from tests.services.page_client import PageClient
from tests.web.host import Host

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn needs fork")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Gunicorn as the Procfile starts it, but for this machine alone."""
    host = Host(small_study(tmp_path / "small.h5ad"), tmp_path, {"ISCAN_SINGLE_USER": "1"})
    try:
        yield host.start()
    finally:
        host.close()


def test_a_worker_that_is_stopped_writes_what_is_unsaved(host: Host) -> None:
    assert host.status("/healthz") == 200
    form = {"seq": 1, "name": "organ", "default": "none", "copy_on": True, "metadata": ["tissue"]}
    revision, said = PageClient(host.port).edit("new-create.n_clicks", 1, {"new-form": form})
    assert revision is not None, said
    begun = time.monotonic()

    assert host.stop() == 0
    assert time.monotonic() - begun < 20
    (draft,) = host.drafts.glob("*.csv")
    assert Draft.read(draft).columns["organ"] == [value or "none" for value in small_values("tissue")]
