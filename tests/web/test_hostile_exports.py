"""What leaves as a file: names of files that are only names, and texts that are no formulas and come back as they went."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.gene_sets import read_gene_sets
from iscan_dash.errors import StorageError
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.pages.export import targets
from tests.web.conftest import asking, services_of, visitor

FORMULAS = {
    "=1+1": "'=1+1",
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1": "+1",
    "-1": "-1",
    "-T": "'-T",
    "@SUM(A1)": "'@SUM(A1)",
    "'=1": "''=1",
    "'-1": "'-1",
    "a,b": "a,b",
    'a"b': 'a"b',
    "# a": "# a",
    "\uff1d1": "'\uff1d1",
    "CD8+": "CD8+",
    "<script>": "<script>",
}
"""Texts, and what stands for them in tables for spreadsheets."""

NAMES = [
    "../../etc/passwd",
    "..",
    "/etc/passwd",
    "a\\b",
    "C:\\x",
    "a/b",
    ".hidden",
    "a:b",
    "x" * 300,
    "*",
    "a?",
    "",
    " ",
]

FILES = {
    "/api/v1/export.csv",
    "/api/v1/gene-sets/export",
    "/api/v1/merged/<int:place>",
    # The tests of their pages have them.
    "/api/v1/results/<annotation_id>/table.csv",
    "/api/v1/enrichments/<result_id>/table.csv",
}
"""Routes that give files to keep."""


@pytest.fixture
def client(app: Dash) -> FlaskClient:
    return visitor(app)


@pytest.fixture
def workspace(app: Dash) -> Workspace:
    own: Workspace = services_of(app).workspace
    return own


def test_every_file_is_known_here(app: Dash) -> None:
    found = {rule.rule for rule in app.server.url_map.iter_rules()}
    assert {rule for rule in found if re.search(r"\.csv|export|merged|download", rule)} == FILES


@pytest.mark.parametrize("text", FORMULAS)
def test_a_label_comes_back_as_it_went(app: Dash, client: FlaskClient, workspace: Workspace, text: str) -> None:
    made = workspace.create_from_existing(text.replace("/", "|"), [], CombineRecipe(text))
    answer = client.get(f"/api/v1/export.csv?annotation={made.id}")
    assert answer.mimetype == "text/csv" and answer.headers["X-Content-Type-Options"] == "nosniff"
    # As spreadsheets read it, and as we do.
    rows = list(csv.reader(line for line in io.StringIO(answer.text) if not line.startswith("# ")))
    assert rows[0][2] == FORMULAS[text].replace("/", "|") and {row[2] for row in rows[1:]} == {FORMULAS[text]}
    token = client.post("/api/v1/import?name=back.csv", data=answer.data, content_type="text/csv").get_json()["token"]
    table = services_of(app).imports.table(token)
    (column,) = [column for column in table.columns if column.name == made.live.name]
    assert set(column.levels) == {text}


@pytest.mark.parametrize(
    "name", ['"; filename=x.exe', "a\r\nX-Bad: 1", "\u202egpj.exe", "../../x", "a;b", "\U0001f469", "=1"]
)
def test_gene_sets_come_back_and_their_file_has_a_plain_name(client: FlaskClient, name: str) -> None:
    sets = "=1+1\t@about\tCD3D\tLYZ-\n+2\t\tNKG7\n"
    made = client.post(
        f"/api/v1/gene-sets/keep?called={name.encode().hex()}", data=sets.encode(), content_type="text/plain"
    ).get_json()["made"]
    body = {"id": made["id"], "name": name, "version": made["version"], "description": "=2"}
    renamed = client.post("/api/v1/gene-sets/rename", json=body)
    for kind in ("gmt", "csv", "json"):
        answer = client.get(f"/api/v1/gene-sets/export?id={made['id']}&kind={kind}")
        assert answer.status_code == 200 and "X-Bad" not in answer.headers
        given = unquote(answer.headers["Content-Disposition"])
        assert re.fullmatch(rf"attachment; filename(\*=UTF-8'')?=?\"?[\w.-]+\.{kind}\"?", given), given
        back = read_gene_sets(answer.data, f"x.{kind}").sets
        assert [(own.name, own.genes, own.negative) for own in back] == [
            ("=1+1", ("CD3D",), ("LYZ",)),
            ("+2", ("NKG7",), ()),
        ]
    assert renamed.status_code in {200, 400}
    assert client.post("/api/v1/gene-sets/delete", json={"id": made["id"]}).status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_merged_files_stay_in_the_folder_of_drafts(app: Dash, name: str) -> None:
    with asking(app), pytest.raises(StorageError, match=r"^Enter a plain file name, without folders\.$"):
        targets(app.server.extensions["iscan"], name)


def test_no_id_is_a_path(client: FlaskClient, app: Dash, tmp_path: Path) -> None:
    """Ids that name files are looked up, not opened."""
    outside = tmp_path / "x.json"
    outside.write_text(json.dumps({"name": "x", "sets": []}))
    for own in ("../x", "..%2Fx", str(outside), str(outside.with_suffix("")), "shipped:../x.gmt", "shared:/etc/passwd"):
        answers: list[Any] = [
            client.get("/api/v1/gene-sets/one", query_string={"id": own}),
            client.get("/api/v1/gene-sets/export", query_string={"id": own}),
            *(
                client.post(f"/api/v1/gene-sets/{what}", json={"id": own, "name": "y"})
                for what in ("delete", "restore", "duplicate")
            ),
            client.get("/api/v1/export.csv", query_string={"annotation": own}),
            client.post("/api/v1/enrichments/restore", json={"id": own}),
            client.get("/api/v1/references/" + own.replace("/", "%2F")),
            client.get(f"/api/v1/jobs/{own.replace('/', '%2F')}/log"),
            client.get(f"/api/v1/results/{own.replace('/', '%2F')}/table.csv"),
            client.get(f"/api/v1/enrichments/{own.replace('/', '%2F')}/table.csv?kind=cluster&key=leiden"),
        ]
        assert {answer.status_code for answer in answers} <= {400, 404}
    assert outside.exists()
