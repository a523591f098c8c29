"""What a user holds has an upper bound, however much they look at."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.studies import write_study
from tests.web.conftest import SAME_ORIGIN, MakeApp

N_CELLS = 600_000
ROOM = 16
"""Megabytes that the user has; what is asked for below would take twice as much."""

N_COLUMNS = 12


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(1)
    columns = {f"n{number}": chance.random(N_CELLS).astype(np.float32) for number in range(N_COLUMNS)}
    labels = {"fate": chance.choice(["B", "NK", "T"], N_CELLS)}
    return write_study(
        tmp_path_factory.mktemp("large") / "large.h5ad",
        columns | labels,
        genes=4,
        obsm={"X_umap": chance.random((N_CELLS, 2)).astype(np.float32)},
    )


def test_what_a_user_holds_is_bounded(make_app: MakeApp, large_file: Path) -> None:
    app = make_app(large_file, single_user=True, user_memory_mb=ROOM, study_memory_mb=64, idle_minutes=0)
    services = app.server.extensions["iscan"]
    client = app.server.test_client()
    client.environ_base |= SAME_ORIGIN

    def ask(path: str, body: object = None) -> None:
        answer = client.get(path) if body is None else client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        answer.close()

    def look(number: int) -> None:
        """Look at something else with each number."""
        column, part = f"n{number % N_COLUMNS}", 1 - number / 50
        ask(f"/api/v1/codes?by=metadata%3A{column}")
        ask(f"/api/v1/codes?by=gene%3AGENE{number % 4}")
        points = [[0, 0], [part, 0], [part, part], [0, part]]
        ask("/api/v1/selection", {"do": "draw", "plot": 1, "axes": "X_umap", "points": points})
        ask("/api/v1/selection")
        where = {f"metadata:{column}": {"is": "range", "low": 0.001 * number, "high": None}}
        view = {"where": where, "sort": [[f"metadata:{column}", bool(number % 2)]], "only_selected": number % 3 == 0}
        ask("/api/v1/edit/rows", {"view": view, "columns": [f"metadata:{column}"], "start": 0, "end": 50})
        form = {"seq": number, "name": "x", "default": f"none {number}", "copy_on": True, "metadata": ["fate"]}
        ask("/api/v1/preview/rows", {"form": form, "start": 0, "end": 50, "sort": [["label", True]]})

    services.warm_up.join()
    look(0)
    with services.at_desk("local", "local") as desk:
        room = desk.workspace.room
    gc.collect()
    tracemalloc.start()
    try:
        services.workspaces.study.room.clear()
        room.clear()
        for number in range(1, 40):
            look(number)
            assert room.held <= ROOM << 20
        gc.collect()
        # What the study keeps is another matter.
        services.workspaces.study.room.clear()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert room.held > (ROOM << 20) / 2
    # Beside it there is what is looked at now: a mask, a preview, the columns that orders are of.
    assert held < (ROOM << 20) + 10 * N_CELLS, f"{held / 2**20:.0f} MB"
