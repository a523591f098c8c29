import re
from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.study.axes import axes_positions, axes_title, gene_axes
from iscan_dash.errors import UnknownColumn
from tests.conftest import Opener
from tests.studies import some_counts, write_study

COUNTS = some_counts(4, 3)
GENES = ["A", "HLA|gene:x", "C"]


def test_two_genes_are_logged_as_their_colours_are(tmp_path: Path, open_files: Opener) -> None:
    study = open_files(write_study(tmp_path / "a.h5ad", genes=GENES, x=COUNTS))
    xy = axes_positions(study, gene_axes("C", "A"))
    assert xy.dtype == np.float32 and xy.flags.c_contiguous
    np.testing.assert_array_equal(xy, np.log1p(COUNTS[:, [2, 0]].T))
    assert axes_title(study, "gene:C|gene:A") == "C x A"


@pytest.mark.parametrize(("x", "y"), [("A", "HLA|gene:x"), ("HLA|gene:x", "C"), ("HLA|gene:x", "HLA|gene:x")])
def test_names_of_genes_may_hold_bars(x: str, y: str, tmp_path: Path, open_files: Opener) -> None:
    study = open_files(write_study(tmp_path / "a.h5ad", genes=GENES, x=COUNTS))
    expected = np.log1p(COUNTS[:, [GENES.index(x), GENES.index(y)]].T)
    np.testing.assert_array_equal(axes_positions(study, gene_axes(x, y)), expected)


def test_a_file_that_lacks_a_gene_has_no_positions(tmp_path: Path, open_files: Opener) -> None:
    one = write_study(tmp_path / "one.h5ad", genes=["A", "B"], cells=["a", "b"])
    two = write_study(tmp_path / "two.h5ad", genes=["B", "C"], cells=["c", "d"])
    assert np.isnan(axes_positions(open_files(one, two), "gene:A|gene:B")).tolist() == [[False, False, True, True]] * 2


def test_every_study_has_the_qc_axes(tmp_path: Path, open_files: Opener) -> None:
    study = open_files(write_study(tmp_path / "a.h5ad", x=some_counts(4, 5), obsm={"X_umap": np.ones((4, 2))}))
    counts = some_counts(4, 5)
    np.testing.assert_array_equal(axes_positions(study, "qc"), [counts.sum(1), (counts > 0).sum(1)])
    assert [axes_title(study, axes) for axes in ("qc", "X_umap")] == ["counts x genes", "umap"]


@pytest.mark.parametrize("axes", ["X_pca", "", "gene:", "gene:A", "gene:A|gene:Z", "gene:Z|gene:A", "gene:A|B"])
def test_axes_that_are_not_there_are_refused(axes: str, tmp_path: Path, open_files: Opener) -> None:
    study = open_files(write_study(tmp_path / "a.h5ad", genes=GENES, x=COUNTS, obsm={"X_umap": np.ones((4, 2))}))
    with pytest.raises(UnknownColumn, match=re.escape("This study has no")):
        axes_positions(study, axes)
