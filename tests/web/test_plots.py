"""What a plot of several files shows, and what it says of a cell."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core import palette
from iscan_dash.errors import UnknownColumn
from iscan_dash.web.components import plot_panel
from iscan_dash.web.forms import PlotStart
from iscan_dash.web.plots import ColourBy, Plots
from tests.studies import log1p_cp10k, some_counts, write_study
from tests.web.conftest import MakeApp, services_of

COUNTS = some_counts(6, 3)
COUNTS[2, 2] = 40


@pytest.fixture(scope="module")
def services(make_app: MakeApp, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two files without a sample column: log values and counts of A, B, C, and counts of B, C, D."""
    folder = tmp_path_factory.mktemp("files")
    fate = {"fate": pd.Categorical(list("xyxyxy"))}
    umap = {"X_umap": np.random.default_rng(0).normal(size=(6, 2))}
    layers = {"counts": COUNTS}
    first = write_study(
        folder / "one.h5ad", fate, genes=["A", "B", "C"], x=log1p_cp10k(COUNTS), layers=layers, obsm=umap
    )
    second = write_study(folder / "two.h5ad", fate, genes=["B", "C", "D"], x=COUNTS, obsm=umap)
    return services_of(make_app(first, second, single_user=True))


@pytest.fixture
def plots(services: Any) -> Plots:
    """The plots of the two files."""
    found: Plots = services.plots
    return found


def test_counts_are_painted_as_log1p_and_said_as_they_are(plots: Plots) -> None:
    gene = ColourBy("gene", "B")
    colours = plots.colours(gene)
    values = np.concatenate([COUNTS[:, 1], COUNTS[:, 0]])
    top = np.percentile(np.log1p(values[values > 0]), 99)

    assert (colours.unit, colours.title, colours.n_missing) == ("log1p counts", "B", 0)
    assert colours.range == pytest.approx((0, top))
    spec = plots.spec("X_umap", gene, label_centroids=True)
    assert (spec["unit"], spec["clipped"]) == ("log1p counts", [0, int((np.log1p(values) > top).sum())])
    assert [plots.cell(row, gene)["fields"] for row in range(12)] == [[["B counts", f"{value:g}"]] for value in values]


def test_the_hover_knows_the_gene_that_is_shown_again(plots: Plots) -> None:
    for name, value in (("B", COUNTS[0, 1]), ("C", COUNTS[0, 2]), ("B", COUNTS[0, 1])):
        plots.colours(ColourBy("gene", name))
        assert plots.cell(0, ColourBy("gene", name))["fields"] == [[f"{name} counts", f"{value:g}"]]
    # A file without the gene has nothing to say.
    assert plots.cell(7, ColourBy("gene", "A"))["fields"] == []


def test_zero_and_missing_have_their_greys(plots: Plots) -> None:
    spec = plots.spec("X_umap", ColourBy("gene", "A"), label_centroids=True)

    assert spec["n_missing"] == 6
    assert (spec["ink"][spec["missing"]], spec["zero"]) == (palette.MISSING, palette.ZERO)
    assert spec["on_dark"] == palette.ON_DARK


def test_both_axes_of_an_embedding_have_one_unit(plots: Plots) -> None:
    assert plots.spec("X_umap", ColourBy("", ""), label_centroids=True)["axes"]["equal"] is True


def test_cells_can_be_coloured_by_file(services: Any) -> None:
    options = [option["value"] for option in plot_panel.colour_options(services)]
    assert options == ["metadata:fate", "metadata:Sample"]
    colours = services.plots.colours(ColourBy("metadata", "Sample"))
    assert [(row.label, row.count) for row in colours.legend] == [("one", 6), ("two", 6)]
    assert services.plots.cell(7, ColourBy("metadata", "Sample"))["fields"] == [["Sample", "two"]]


def table(services: Any, by: ColourBy) -> tuple[str, list[list[str]]]:
    """Return what stands above the table of a plot, and its rows."""
    above, made = plot_panel.as_table(services, "X_umap", by)
    head, body = made.children
    text = [[getattr(cell.children, "children", cell.children) for cell in row.children] for row in body.children]
    return above.children, [[cell.children for cell in head.children.children], *text]


def test_a_table_has_the_numbers_of_a_scale(services: Any) -> None:
    note, rows = table(services, ColourBy("gene", "D"))
    assert note.startswith("Axes: UMAP. ") and note.endswith("D is missing in 1 of 2 files.")
    assert rows[0] == ["D (log1p counts)", "Cells"]
    values = services.plots.numbers(ColourBy("gene", "D"))
    counts = {name: int(count) for name, count in rows[1:]}
    assert len(counts) == 12 and sum(counts.values()) == 12
    assert counts["0"] == (values == 0).sum() and counts["missing"] == 6
    # The last range holds what lies beyond the end of the scale.
    assert rows[-2][0].endswith(" or more") and counts[rows[-2][0]] >= 1
    assert "missing" not in dict(table(services, ColourBy("gene", "B"))[1])


def test_a_table_has_the_numbers_of_the_selected_cells(services: Any) -> None:
    condition = {"is": "labels", "kind": "sample", "key": "", "values": ["two"]}
    services.selections.apply({"do": "filter", "condition": condition})
    try:
        for by in (ColourBy("gene", "B"), ColourBy("metadata", "Sample"), ColourBy("", "")):
            _, (head, *rows) = table(services, by)
            assert head[1:] == ["Cells", "Selected"]
            assert [sum(int(row[place]) for row in rows) for place in (1, 2)] == [12, 6]
    finally:
        services.selections.apply({"do": "clear"})


def test_cells_are_coloured_by_a_saved_selection(services: Any) -> None:
    condition = {"is": "labels", "kind": "sample", "key": "", "values": ["two"]}
    services.selections.apply({"do": "filter", "condition": condition})
    (saved,) = services.selections.apply({"do": "save", "name": "the second"})["saved"]
    services.selections.apply({"do": "clear"})
    by = ColourBy.parse(f"selection:{saved['id']}")
    assert str(by) in [option["value"] for option in plot_panel.colour_options(services)]
    colours = services.plots.colours(by)
    assert (colours.title, colours.codes.tolist()) == ("the second", [1] * 6 + [0] * 6)
    assert services.plots.cell(7, by)["fields"] == [["the second", "in"]]
    before = services.plots.version(by)
    services.selections.apply({"do": "rename_saved", "id": saved["id"], "name": "other"})
    assert services.plots.version(by) != before and services.plots.colours(by).title == "other"
    services.selections.apply({"do": "delete_saved", "id": saved["id"]})
    _, note = plot_panel.spec(services, "X_umap", by, labels=True, size=None, opacity=1)
    assert note.startswith("There is no such saved selection any more")


def test_a_link_to_a_gene_that_is_nowhere(services: Any) -> None:
    message = plot_panel.unknown_gene(services, "NOPE")
    assert message is not None
    assert (message["kind"], message["text"]) == (
        "warning",
        'The link names a gene that this study does not have, "NOPE"; the usual plot is shown instead.',
    )
    assert [plot_panel.unknown_gene(services, gene) for gene in ("A", None, "")] == [None] * 3


def test_a_gene_is_read_from_the_layer_that_is_asked_for(plots: Plots) -> None:
    by = ColourBy("gene", "A", "layers/counts")
    assert ColourBy.parse(str(by)) == by
    spec = plots.spec("X_umap", by, label_centroids=True)
    # The second file has neither the gene nor the layer.
    assert (spec["unit"], spec["n_missing"]) == ("log1p counts", 6)
    assert plots.cell(0, by)["fields"] == [["A counts", f"{COUNTS[0, 0]:g}"]]
    assert plots.spec("X_umap", ColourBy("gene", "A"), label_centroids=True)["codes"] != spec["codes"]
    with pytest.raises(UnknownColumn, match='no matrix "layers/none"'):
        plots.colours(ColourBy("gene", "A", "layers/none"))


def test_two_genes_are_axes_of_their_own_units(plots: Plots) -> None:
    spec = plots.spec("gene:B|gene:C", ColourBy("", ""), label_centroids=True)
    assert spec["axes"] == {
        "name": "gene:B|gene:C",
        "x": "B (log1p counts)",
        "y": "C (log1p counts)",
        "visible": True,
        "equal": False,
    }
    xy = np.frombuffer(plots.positions("gene:B|gene:C"), np.float32).reshape(2, -1)
    assert xy[0] == pytest.approx(np.log1p(np.concatenate([COUNTS[:, 1], COUNTS[:, 0]])))
    assert spec["bounds"] == pytest.approx((xy[0].min(), xy[0].max(), xy[1].min(), xy[1].max()))
    # Cells of a file that lacks one of them have no position.
    assert plots.unplaced("gene:A|gene:B") == 6


def test_a_plot_begins_as_it_is_asked_to_or_as_usual(services: Any) -> None:
    start = PlotStart(axes="gene:A|gene:B", by="gene:C")
    assert plot_panel.started(services, start) == ("gene:A|gene:B", ColourBy("gene", "C"))
    usual = ("X_umap", ColourBy("metadata", "fate"))
    for axes, by in (("", ""), ("X_none", "metadata:none"), ("gene:A|gene:NONE", "annotation:gone"), ("|", "x:y")):
        assert plot_panel.started(services, PlotStart(axes=axes, by=by)) == usual
    assert plot_panel.chosen_axes("genes", "A", None) is None
    assert plot_panel.chosen_axes("genes", "A", "B") == "gene:A|gene:B"
    assert plot_panel.chosen_axes("X_umap", "A", "B") == "X_umap"
