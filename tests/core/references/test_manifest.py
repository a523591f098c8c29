"""Manifests, good and hostile: every problem is a sentence, and nothing but plain text gets through."""

import json
from pathlib import Path
from typing import Any

import pytest

from iscan_dash.core.references.manifest import LARGEST, Manifest, parse_manifest, read_manifest
from iscan_dash.core.references.registry import BUNDLED
from iscan_dash.errors import PredictionRefused
from tests.browser.server import STUDY_FILES

GOOD: dict[str, Any] = {"id": "gut", "name": "Our gut", "organism": "human", "labels": {"main": "label_main"}}


def parse(**changes: Any) -> Manifest:
    return parse_manifest(json.dumps({**GOOD, **changes}).encode())


def refused(content: bytes) -> str:
    with pytest.raises(PredictionRefused) as caught:
        parse_manifest(content)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


def refusal(**changes: Any) -> str:
    return refused(json.dumps({**GOOD, **changes}).encode())


def test_the_least_that_is_needed() -> None:
    manifest = parse()
    assert (manifest.id, manifest.matrix, manifest.checksum) == ("gut", "reference.h5ad", None)
    assert manifest.granularities == ("main",)
    assert manifest.column("main") == "label_main"
    with pytest.raises(PredictionRefused, match=r"^Our gut has no fine labels\. Choose main labels\.$"):
        manifest.column("fine")


def test_there_and_back() -> None:
    manifest = parse(
        checksum="sha256:" + "0" * 64,
        n_profiles=3,
        ontology={"main": {"T cells": "CL:0000084"}},
        celldex={"name": "hpca", "version": "2024-02-26"},
        citation="é, 𝛼",
    )
    assert parse_manifest(manifest.to_json().encode()) == manifest


@pytest.mark.parametrize(
    "name", ["../x.h5ad", "/etc/x.h5ad", "a/b.h5ad", "a\\b.h5ad", "..", "", "x.json", ".h5ad", "..h5ad", "x\0.h5ad", 5]
)
def test_the_matrix_is_a_file_in_the_same_folder(name: Any) -> None:
    assert '"matrix" of reference.json: ' in refusal(matrix=name)


@pytest.mark.parametrize("id_", ["", "Our gut", "../gut", "gut-2", "GUT", "é", "x" * 65, 7, None])
def test_an_id_is_a_slug(id_: Any) -> None:
    assert '"id" of reference.json: ' in refusal(id=id_)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_profiles": 10**30},
        {"n_genes": -1},
        {"n_genes": "many"},
        {"n_genes": 1.5},
        {"n_genes": True},
        {"n_labels": {"main": 0}},
        {"name": ""},
        {"name": ["x"]},
        {"name": "x" * 201},
        {"description": "x" * 10_001},
        {"organism": "dog"},
        {"labels": "label_main"},
        {"labels": {}},
        {"labels": {"main": 3}},
        {"ontology": {"main": {"T cells": ["CL:0000084"]}}},
        {"ontology": []},
        {"checksum": "md5:0"},
        {"checksum": "sha256:" + "z" * 64},
        {"celldex": {"name": "../x", "version": "1"}},
        {"celldex": {"name": "x", "version": "1/../.."}},
        {"name": "bell \x07"},
        {"name": "\x1b[31mred"},
        {"licence": "right to left \u202e"},
    ],
)
def test_wrong_fields_are_named(changes: dict[str, Any]) -> None:
    (field,) = changes
    assert f'"{field}' in refusal(**changes)


def test_all_problems_at_once() -> None:
    assert refused(b'{"id": "gut", "organism": "dog"}') == (
        'reference.json has no field "name". '
        "\"organism\" of reference.json: Input should be 'human', 'mouse' or 'unknown'. "
        'reference.json has no field "labels".'
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"n_genes": ' + b"9" * 10_000 + b"}", b'"text"'],
)
def test_no_manifest_at_all(content: bytes) -> None:
    assert refused(content).startswith("reference.json ")


def test_html_is_text_and_lines_are_joined() -> None:
    manifest = parse(name="<b onclick='x()'>Gut</b>", description="two\nlines\tand  spaces ")
    assert manifest.name == "<b onclick='x()'>Gut</b>"
    assert manifest.description == "two lines and spaces"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PredictionRefused, match=r"reference.json cannot be read: No such file or directory\.$"):
        read_manifest(tmp_path / "reference.json")
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(PredictionRefused, match=r"large.json is no manifest: it is larger than 4 MB\.$"):
        read_manifest(large)


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*/reference.json")), ids=lambda path: path.parent.name)
def test_ours_are_good(path: Path) -> None:
    manifest = read_manifest(path)
    assert manifest.id == path.parent.name
    assert all([manifest.source, manifest.citation, manifest.licence, manifest.description, manifest.version])
    if manifest.celldex:
        assert (manifest.checksum, manifest.celldex.version) == (None, "2024-02-26")
        assert (manifest.labels.main, manifest.labels.fine) == ("label.main", "label.fine")


def test_the_five_built_in_ones_are_there() -> None:
    found = {path.parent.name for path in BUNDLED.glob("*/reference.json") if read_manifest(path).celldex}
    assert found == {"blueprint_encode", "hpca", "immgen", "monaco_immune", "mouse_rnaseq"}


LISTS = STUDY_FILES / "singler_builtin_labels"


@pytest.mark.skipif(not LISTS.is_dir(), reason="the lists of labels are not here")
@pytest.mark.parametrize("id_", ["blueprint_encode", "hpca", "immgen", "monaco_immune", "mouse_rnaseq"])
def test_numbers_of_labels(id_: str) -> None:
    lines = (LISTS / f"{id_.removesuffix('_immune')}.tsv").read_text(encoding="utf-8").splitlines()
    assert len({line.split("\t")[0] for line in lines}) == read_manifest(BUNDLED / id_ / "reference.json").n_labels.fine
