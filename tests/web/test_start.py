"""What a server loads before it answers for the first time: each import here is waited for by everybody."""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.studies import write_study

LATE = ("anndata", "dask", "llvmlite", "matplotlib", "numba", "scipy.special", "scipy.stats")
"""What only jobs, tables and exports need."""

FIRST_PAGE = """
import sys
from pathlib import Path
from iscan_dash.settings import Settings
from iscan_dash.web import app
app._warm_up = lambda *_: None  # which loads the rest meanwhile
own = Path(sys.argv[1])
settings = Settings(
    data=[own / "study.h5ad"], single_user=True, data_dir=own / "data", annotations_dir=own, allowed_hosts=["localhost"]
)
made = app.create_app(settings)
page = made.server.test_client().get("/")
print(*sys.modules, sep="\\n")
print(page.status_code, b"/api/v1/codes" in page.data)
made.server.extensions["iscan"].close()
"""


def run(script: str, *values: str) -> list[str]:
    """Run a script in a process of its own and return what it prints, line by line."""
    done = subprocess.run([sys.executable, "-c", script, *values], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_what_takes_long_is_imported_when_it_is_needed() -> None:
    loaded = run("import sys, iscan_dash.web.app; print(*sys.modules, sep='\\n')")
    assert "iscan_dash.services.prediction" in loaded
    assert [name for name in LATE if name in loaded] == []


def test_the_first_page_of_a_study_with_categories_waits_for_none_of_it(tmp_path: Path) -> None:
    write_study(
        tmp_path / "study.h5ad",
        {"sample": pd.Categorical(["a", "b", "a", "b"]), "leiden": pd.Categorical(["0", "1", "1", "0"])},
    )
    *loaded, answer = run(FIRST_PAGE, str(tmp_path))
    assert answer == "200 True"
    assert [name for name in LATE if name in loaded] == []


def test_a_server_starts_without_collecting_garbage_and_collects_it_then() -> None:
    script = """
import gc
from iscan_dash.starting import without_collecting
with without_collecting():
    print(gc.isenabled())
print(gc.isenabled(), gc.get_freeze_count() > 10_000)
try:
    with without_collecting():
        raise OSError
except OSError:
    print(gc.isenabled())
"""
    assert run(script) == ["False", "True True", "True"]
