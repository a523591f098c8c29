"""The live preview equals the annotation that is made of it: 1 to 4 sources, every rule for missing parts."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dash import Dash

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.errors import SelectionRefused
from iscan_dash.services.workspace import Source
from iscan_dash.web.pages import new_annotation
from tests.browser.server import Draft
from tests.browser.studies import N_CELLS, combined, small_values
from tests.web.conftest import MakeApp, services_of, visitor

RULES = ("default", "leave_out", "whole_label")

DEFAULT = "none, yet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drafts")


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path, folder: Path) -> Dash:
    return make_app(small_file, annotations_dir=folder, single_user=True)


@pytest.fixture(scope="module")
def annotation(app: Dash) -> str:
    """An annotation to copy from; in it no cell is missing."""
    workspace = services_of(app).workspace
    return workspace.create_from_existing("fine", [Source("cluster", "leiden_fine")], CombineRecipe("other")).id


def form_of(n_sources: int, missing: str, annotation: str, seq: int) -> tuple[dict[str, Any], list[list[str | None]]]:
    """Return a form as the page sends it, and the columns it copies from."""
    fine = [value or "other" for value in small_values("leiden_fine")]
    parts = [small_values("phase"), small_values("tissue"), small_values("leiden"), [*fine]][4 - n_sources :]
    form = {
        "seq": seq,
        "name": f"{n_sources} {missing}",
        "default": DEFAULT,
        "copy_on": True,
        # The order of the parts is that of the fields, then that of picking.
        "annotation": [annotation],
        "cluster": ["leiden"] if n_sources > 1 else [],
        "metadata": ["phase", "tissue"][4 - n_sources :],
        "delimiter": " + ",
        "missing": missing,
    }
    return form, parts


@pytest.mark.parametrize("missing", RULES)
@pytest.mark.parametrize("n_sources", [1, 2, 3, 4])
def test_the_preview_is_what_is_made(app: Dash, folder: Path, annotation: str, n_sources: int, missing: str) -> None:
    services = services_of(app)
    form, parts = form_of(n_sources, missing, annotation, 7)
    labels = combined(parts, DEFAULT, " + ", missing)
    shown = new_annotation.preview(services, form)
    assert shown["seq"] == 7
    assert (shown["labels"], shown["cells"]) == (len(set(labels)), N_CELLS)
    assert shown["by_default"] == labels.count(DEFAULT)
    counts = services.previews.counts(new_annotation.read_form(form), "")
    assert Counter(dict(counts)) == Counter(labels)
    assert [cells for _, cells in counts] == sorted(Counter(labels).values(), reverse=True)
    assert (shown["name_error"], shown["default_error"], shown["error"]) == (None, None, None)
    asked = {"form": form, "start": 0, "end": N_CELLS}
    answer = visitor(app).post("/api/v1/preview/rows", json=asked).get_json()
    previewed = [row["label"] for row in answer["rows"]]
    assert previewed == labels

    revision, message = new_annotation.create(services, form)
    assert revision == services.workspace.revision
    n_set = N_CELLS - labels.count(DEFAULT)
    assert message["text"] == f'"{form["name"]}" was created: {len(set(labels))} labels, {n_set} cells set.'
    # The newest comes first.
    made = services.workspace.annotations()[0]
    assert [made.column.labels[code] for code in made.column.codes] == previewed
    assert {made.live.by_id[key].text: count for key, count in made.counts.items()} == {
        DEFAULT: 0,
        **Counter(labels),
    }


def test_the_draft_has_every_preview(app: Dash, folder: Path, annotation: str) -> None:
    for n_sources in (1, 2, 3, 4):
        for missing in RULES:
            form, _ = form_of(n_sources, missing, annotation, 1)
            if form["name"] not in services_of(app).workspace.taken_names():
                new_annotation.create(services_of(app), form)
    # Without waiting for the autosave: what it would write now.
    workspace = services_of(app).workspace
    text = "".join(workspace._draft_text(workspace._states))
    path = folder / "now.csv"
    path.write_text(text, encoding="utf-8", newline="")
    draft = Draft.read(path)
    assert draft.columns["index"] == [f"cell{cell}" for cell in range(N_CELLS)]
    for n_sources in (1, 2, 3, 4):
        for missing in RULES:
            form, parts = form_of(n_sources, missing, annotation, 1)
            assert draft.columns[form["name"]] == combined(parts, DEFAULT, " + ", missing)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(line for line in stream if not line.startswith("#")))
    assert {len(row) for row in rows} == {len(draft.columns)}


def test_an_annotation_for_the_selected_cells(app: Dash, annotation: str) -> None:
    services = services_of(app)
    selections = services.selections
    form, parts = form_of(2, "default", annotation, 1)
    form |= {"name": "only some", "filtered": True}

    def asked() -> dict[str, Any]:
        return {**form, "selection": selections.state()["mask_version"]}

    # Nothing selected is never "all".
    with pytest.raises(SelectionRefused, match="No cells are filtered"):
        new_annotation.create(services, asked())
    assert "No cells are filtered" in new_annotation.preview(services, asked())["error"]
    condition = {"is": "labels", "kind": "metadata", "key": "tissue", "values": ["gut"]}
    filter_id = selections.apply({"do": "filter", "condition": condition})["filters"][0]["id"]
    chosen = [value == "gut" for value in small_values("tissue")]
    every = combined(parts, DEFAULT, " + ", "default")
    labels = [label if is_chosen else DEFAULT for label, is_chosen in zip(every, chosen, strict=True)]
    shown = new_annotation.preview(services, asked())
    assert shown["error"] is None
    assert (shown["labels"], shown["by_default"]) == (len(set(labels)), labels.count(DEFAULT))
    answer = visitor(app).post("/api/v1/preview/rows", json={"form": asked(), "start": 0, "end": N_CELLS}).get_json()
    assert [row["label"] for row in answer["rows"]] == labels
    # What the page shows is made, or nothing is.
    stale = asked()
    wider = {**condition, "values": ["gut", "lung"]}
    selections.apply({"do": "filter", "id": filter_id, "condition": wider})
    with pytest.raises(SelectionRefused, match="changed meanwhile"):
        new_annotation.create(services, stale)
    assert "only some" not in services.workspace.taken_names()
    selections.apply({"do": "filter", "id": filter_id, "condition": condition})
    new_annotation.create(services, asked())
    made = services.workspace.annotations()[0]
    assert [made.column.labels[code] for code in made.column.codes] == labels
    assert made.live.recipe["cells"]["text"] == "tissue in {gut}"
    # A query that is not finished, and one that no cell meets.
    selections.apply({"do": "filter", "id": filter_id, "condition": {**condition, "values": ["nowhere"]}})
    with pytest.raises(SelectionRefused, match="No cells match"):
        new_annotation.create(services, asked())
    selections.apply({"do": "custom", "tree": {"is": "or", "of": [{"is": "unfinished"}]}})
    with pytest.raises(SelectionRefused, match="not finished"):
        new_annotation.create(services, asked())
    # Switched off, the selection does not matter.
    assert new_annotation.preview(services, {**form, "filtered": False})["by_default"] == every.count(DEFAULT)
    selections.apply({"do": "clear"})


def test_parts_that_read_alike_are_warned_of(app: Dash) -> None:
    form = {"seq": 1, "name": "n", "default": "d", "copy_on": True, "cluster": ["leiden", "leiden_fine"]}
    ambiguous = new_annotation.preview(services_of(app), {**form, "delimiter": "", "missing": "leave_out"})
    ((code, text),) = ambiguous["warnings"]
    assert code == "W1"
    assert text.startswith("With no delimiter ")
    assert new_annotation.preview(services_of(app), {**form, "delimiter": "-"})["warnings"] == []


def test_a_form_without_sources_is_all_default(app: Dash) -> None:
    form = {"seq": 1, "name": "", "default": DEFAULT, "copy_on": False, "metadata": ["tissue"]}
    shown = new_annotation.preview(services_of(app), form)
    assert (shown["labels"], shown["by_default"]) == (1, N_CELLS)
    assert shown["name_error"] == ("E01", "Enter a name.")


def test_fields_that_are_too_long_are_refused_in_words(app: Dash) -> None:
    for field, text in (("name", "x" * 1001), ("default", "x" * 1001), ("delimiter", "x" * 9)):
        with pytest.raises(ValueError, match=f"^{field}: "):
            new_annotation.read_form({"seq": 1, "default": "d", field: text})


def test_the_counts_table_lists_what_is_searched(app: Dash) -> None:
    services = services_of(app)
    form, parts = form_of(3, "default", "", 1)
    form["annotation"] = []
    parts = parts[: len(form["metadata"]) + len(form["cluster"])]
    labels = Counter(combined(parts, DEFAULT, " + ", "default"))
    texts = str(new_annotation.counts_table(services, form, None))
    assert all(f"'{label}'" in texts for label in labels)
    wanted = min(labels)
    found = str(new_annotation.counts_table(services, form, wanted.upper()))
    assert f"'{wanted}'" in found
    assert all(f"'{label}'" not in found for label in labels if wanted.casefold() not in label.casefold())
    assert "No label matches" in str(new_annotation.counts_table(services, form, "no such label"))
    assert "No labels" in str(new_annotation.counts_table(services, {**form, "default": ""}, None))
