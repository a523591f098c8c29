"""Several users at once, with the server stopped and killed in the middle: nothing that was acknowledged is lost."""

import sys
from pathlib import Path

import pytest

from benchmarks.bench_load import Plan, run
from tests.browser.studies import small_study

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn needs fork")


def test_no_edit_is_lost_or_made_twice(tmp_path: Path) -> None:
    tally, samples = run(small_study(tmp_path / "small.h5ad"), tmp_path, Plan(users=6, seconds=12, pause=0.1))
    assert min(len(tally.seconds[name]) for name in ("lasso", "filter", "edit", "page", "plot", "status")) > 5
    assert len(tally.acknowledged) > 20
    # The server was away twice.
    assert sum(tally.away.values()) > 0 and len(tally.ends) == 2
    assert {sample.life for sample in samples} == {0, 1, 2}
