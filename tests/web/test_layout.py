"""The layout of all pages, and who imports whom."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dash
import pytest
from dash import Dash, dcc
from dash.development.base_component import Component

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.services.workspace import Source
from iscan_dash.web.components import history, plot_panel
from iscan_dash.web.graph import GRAPH_CONFIG, cell_graph
from iscan_dash.web.pages import data, existing_annotations
from tests.browser.studies import N_CELLS
from tests.web.conftest import MakeApp, asking, services_of


def walk(tree: Any) -> Iterator[Component]:
    """Go through a layout: children, and components that are given as other properties."""
    if isinstance(tree, Component):
        yield tree
        for name in tree._prop_names:
            yield from walk(getattr(tree, name, None))
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from walk(part)
    elif isinstance(tree, dict):
        yield from walk(list(tree.values()))


@pytest.fixture(scope="module")
def pages(app: Dash) -> dict[str, Any]:
    """The frame with each of its pages, and the parts that callbacks fill in later."""
    services = services_of(app)
    workspace = services.workspace
    made = [
        workspace.create_from_existing(name, [Source("cluster", "leiden")], CombineRecipe("none"))
        for name in ("first", "second")
    ]
    workspace.rename(made[0].id, "renamed", 1)
    workspace.delete(made[1].id, workspace.annotation(made[1].id).version)
    workspace.duplicate(made[0].id)
    with asking(app):
        frame = app.layout()
        layouts = {page["path"]: page["layout"]() for page in dash.page_registry.values()}
    study = workspace.study
    filled = {
        "/": [data.finding_list(workspace.findings()), data.inventory(study), data.column_rows(study)],
        "/annotate/existing": [
            existing_annotations.table(workspace, history.entries(workspace), made[0].id),
            existing_annotations.deleted_list(workspace),
        ],
    }
    return {path: [frame, made, filled.get(path)] for path, made in layouts.items()}


def test_every_page_is_there(pages: dict[str, Any]) -> None:
    assert {"/", "/annotate", "/annotate/existing"} <= set(pages)


def test_ids_are_unique_on_every_page(pages: dict[str, Any]) -> None:
    for path, page in pages.items():
        ids = Counter(str(part.id) for part in walk(page) if getattr(part, "id", None) is not None)
        assert len(ids) > 40, path
        assert {name: times for name, times in ids.items() if times > 1} == {}, path


def test_labels_name_a_control_of_their_page(pages: dict[str, Any]) -> None:
    for path, page in pages.items():
        parts = list(walk(page))
        ids = {str(part.id) for part in parts if getattr(part, "id", None) is not None}
        named = {part.htmlFor for part in parts if getattr(part, "htmlFor", None)}
        assert named
        assert named - ids == set(), path


def test_every_graph_has_the_one_configuration() -> None:
    assert cell_graph("any").config is GRAPH_CONFIG
    # Plotly would offer to send the figure's data to a server of theirs.
    assert GRAPH_CONFIG["showSendToCloud"] is False
    assert GRAPH_CONFIG.get("plotlyServerURL", "") == ""


def test_no_page_begins_with_a_graph(pages: dict[str, Any]) -> None:
    # Plotly's scripts would keep the browser from showing the cells and the page beside them.
    for path, page in pages.items():
        assert not [part for part in walk(page) if isinstance(part, dcc.Graph)], path


def test_a_graph_is_made_nowhere_else() -> None:
    package = Path(plot_panel.__file__).parents[2]
    makers = [path for path in package.rglob("*.py") if "dcc.Graph(" in path.read_text(encoding="utf-8")]
    assert [path.name for path in makers] == ["graph.py"]


def test_no_callback_takes_the_place_of_another(app: Dash) -> None:
    # Dash names those without an output by their inputs, and of two of one name keeps the last.
    names = Counter(callback["output"] for callback in app._callback_list)
    assert [name for name, times in names.items() if times > 1] == []


def test_options_are_plain_text(pages: dict[str, Any]) -> None:
    # Dash's dropdown breaks when options made of components change.
    dropdowns = [part for page in pages.values() for part in walk(page) if isinstance(part, dcc.Dropdown)]
    assert len(dropdowns) > 5
    for dropdown in dropdowns:
        for option in dropdown.options or []:
            assert isinstance(option["label"], str)


def test_nothing_is_loaded_from_elsewhere(app: Dash) -> None:
    assert app.config.serve_locally
    assert app.config.external_scripts == []
    assert app.config.external_stylesheets == []


def test_genes_that_begin_like_what_was_typed_come_first(app: Dash) -> None:
    def found(typed: str | None, chosen: str | None = None) -> list[str]:
        return [option["value"] for option in plot_panel.gene_options(services_of(app), typed, chosen)]

    assert found("cd3") == ["CD3D", "CD3E"]
    assert found("cd3e") == ["CD3E"]
    assert found("D") == ["CD3D", "CD3E"]
    assert found(" lyz ") == ["LYZ"]
    assert found("none") == []
    assert found("cd3", "LYZ") == ["CD3D", "CD3E", "LYZ"]
    assert found(None, "NOPE") == []


def test_a_plot_of_what_was_deleted_falls_back(app: Dash) -> None:
    by = plot_panel.ColourBy("annotation", "gone")
    made, note = plot_panel.spec(services_of(app), "X_none", by, labels=True, size=None, opacity=1)
    assert note.startswith("This annotation was deleted.")
    assert (made["title"], made["cells"]) == ("leiden", N_CELLS)


def test_pages_of_an_application_without_matrix(make_app: MakeApp, tmp_path: Path) -> None:
    import h5py

    from tests.studies import write_study

    path = write_study(tmp_path / "bare.h5ad", {"batch": ["a", "b"] * 5})
    with h5py.File(path, "r+") as file:
        del file["X"]
    app = make_app(path, single_user=True)
    with asking(app):
        names = [part.id for part in walk(app.layout()) if isinstance(part, dcc.Dropdown)]
    assert "plot-gene" in names
    made, note = plot_panel.first_spec(services_of(app))
    assert made["cells"] == 10
    assert note


def test_columns_are_told_in_singular_and_plural(make_app: MakeApp, tmp_path: Path) -> None:
    from iscan_dash.web.pages import new_annotation
    from tests.studies import write_study

    score = [0.123456, 1.5]
    first = write_study(tmp_path / "a.h5ad", {"stage": ["x", "x"], "lane": ["1", "2"], "score": score})
    services = services_of(make_app(first, write_study(tmp_path / "b.h5ad", cells=2), single_user=True))
    rows = {row["name"]: row["content"] for row in data.column_rows(services.workspace.study)}
    assert rows == {
        "stage": "1 level, 1 of 2 files",
        "lane": "2 levels, 1 of 2 files",
        "score": "0.1235 to 1.5, 1 of 2 files",
        "Sample": "2 levels",
    }
    labels = [option["label"] for option in new_annotation.source_options(services.workspace, "metadata")]
    assert labels == ["stage (1 level, 2 missing)", "lane (2 levels, 2 missing)", "Sample (2 levels)"]


def imported_by(*modules: str) -> set[str]:
    """Return the top-level modules that are loaded when some modules are, in an interpreter of its own."""
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script, *modules], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


def modules_under(*packages: str) -> list[str]:
    root = Path(plot_panel.__file__).parents[3]
    paths = [path for package in packages for path in (root / package.replace(".", "/")).rglob("*.py")]
    return [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in paths]


def test_the_domain_and_the_services_know_nothing_of_dash() -> None:
    modules = modules_under("iscan_dash.core", "iscan_dash.services")
    assert len(modules) > 15
    web = {"dash", "flask", "plotly", "dash_ag_grid", "dash_bootstrap_components", "waitress", "werkzeug"}
    assert imported_by(*modules) & web == set()


def test_the_command_line_starts_without_the_page() -> None:
    # `iscan-dash check` and `--help` need not wait for it.
    assert imported_by("iscan_dash.cli") & {"dash", "flask", "plotly", "anndata", "pandas"} == set()
