"""Tables that are uploaded: what is refused early, and what is not kept."""

import io
import time
from pathlib import Path

import pytest

from iscan_dash.core.annotations import csv_table
from iscan_dash.errors import DataError
from iscan_dash.web import imports
from iscan_dash.web.imports import TableImports
from tests.web.conftest import MakeApp, services_of, visitor


def test_too_many_different_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "TEXT_LIMIT", 2000)
    body = "index,a,b\n" + "".join(f"{row},{row},-{row}\n" for row in range(10_000))
    with pytest.raises(
        DataError, match=r"^t has more than 2,000 different values. Keep only the columns with labels.$"
    ):
        csv_table.read_csv_table(io.BytesIO(body.encode()), "t")
    # Cells have as many ids as there are cells.
    ids = "index,a\n" + "".join(f"{row},x\n" for row in range(10_000))
    assert csv_table.read_csv_table(io.BytesIO(ids.encode()), "t").n_rows == 10_000


def test_an_idle_table_is_let_go(make_app: MakeApp, small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "IDLE", 0.05)
    tables = TableImports(services_of(make_app(small_file, single_user=True)).workspace)
    token = tables.load(io.BytesIO(b"index,a\n1,x\n"), "t")
    assert tables.table(token).n_rows == 1
    for _ in range(200):
        if tables._loaded is None:
            break
        time.sleep(0.01)
    with pytest.raises(DataError, match="not here any more"):
        tables.table(token)


def test_one_table_is_read_at_a_time(make_app: MakeApp, small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "PATIENCE", 0.01)
    client = visitor(make_app(small_file, single_user=True))
    with imports._READING:
        answer = client.post("/api/v1/import?name=t", data=b"index,a\n1,x\n")
    assert answer.get_json() == {"error": "Other tables are being read. Try again in a moment."}
    assert client.post("/api/v1/import?name=t", data=b"index,a\n1,x\n").status_code == 200
