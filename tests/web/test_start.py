"""What a server loads before it answers for the first time: each import here is waited for by everybody."""

import subprocess
import sys

LATE = ("anndata", "llvmlite", "matplotlib", "numba", "scipy.stats")
"""What only jobs, tables and exports need."""


def test_what_takes_long_is_imported_when_it_is_needed() -> None:
    script = "import sys, iscan_dash.web.app; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert "iscan_dash.services.prediction" in loaded
    assert [name for name in LATE if name in loaded] == []
