from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest

from iscan_dash.core.study import Study
from iscan_dash.services.export import export_csv
from iscan_dash.services.snippet import pandas_snippet
from tests.services.test_export import annotation
from tests.studies import write_study

Opener = Callable[..., Study]

HARD = [
    "#1", "# comment", "a,b", 'the "T"', '"', "Th1 α/β", "🧬👩‍🔬", "NA", "nan", "None", "", "007", "1e5", "=1+1", "a;b",
    "True", "a\\", "x  y", "'", "-", "'=1", "''@x", "-1", "'-1",
]  # fmt: skip


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


@pytest.mark.parametrize("for_cellxgene", [False, True])
@pytest.mark.parametrize("place", range(len(HARD)))
def test_every_legal_label_comes_back(
    tmp_path: Path, open_files: Opener, monkeypatch: pytest.MonkeyPatch, place: int, for_cellxgene: bool
) -> None:
    label = HARD[place] or "x"
    study = open_files(write_study(tmp_path / 'my "data".h5ad', cells=["#c1", "=c2", "007"]))
    # The first of the names makes the comment look like the start of a quoted text.
    made = [annotation('5" #', [label, "other"], [0, 1, 0]), annotation(f"name {label}"[:64], ["T"], [0, 0, 0])]
    export_csv(tmp_path / "out.csv", study, made, for_cellxgene=for_cellxgene)
    monkeypatch.chdir(tmp_path)
    adata = run(pandas_snippet(study, "out.csv", for_cellxgene=for_cellxgene))["adata"]
    assert adata.obs['5" #'].tolist() == [label, "other", label]
    assert adata.obs[f"name {label}"].tolist() == ["T"] * 3
    assert list(adata.obs.columns) == ['5" #', f"name {label}"]
    assert isinstance(adata.obs['5" #'].dtype, pd.CategoricalDtype)


def test_cells_are_joined_by_id(tmp_path: Path, open_files: Opener) -> None:
    obs = {"barcode": ["x", "y", "z"]}
    study = open_files(write_study(tmp_path / "a.h5ad", obs), obs_names="barcode")
    path = tmp_path / "out.csv"
    export_csv(path, study, [annotation("fate", ["p", "q", "r"], [0, 1, 2])])
    code = pandas_snippet(study, path)
    # Rows in another order, as after sorting in a spreadsheet.
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-3], *reversed(lines[-3:])]) + "\n")
    assert run(code)["adata"].obs["fate"].tolist() == ["p", "q", "r"]
    path.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ValueError, match=r"^1 cells have no row in the CSV, or it names cells twice\.$"):
        run(code)
    path.write_text("\n".join([*lines, lines[-1]]) + "\n")
    with pytest.raises(ValueError, match=r"^0 cells have no row in the CSV, or it names cells twice\.$"):
        run(code)


def test_cells_that_share_ids_are_joined_by_order(tmp_path: Path, open_files: Opener) -> None:
    files = [write_study(tmp_path / f"{name}.h5ad", cells=["c1", "c2"]) for name in ("a", "b")]
    study, path = open_files(*files), tmp_path / "out.csv"
    export_csv(path, study, [annotation("fate", ["p", "q", "r", "s"], [0, 1, 2, 3])])
    for place, labels in enumerate((["p", "q"], ["r", "s"])):
        adata = run(pandas_snippet(study, path, file=place))["adata"]
        assert adata.obs["fate"].tolist() == labels
        assert adata.obs_names.tolist() == ["c1", "c2"]
    ad.read_h5ad(files[1])[::-1].copy().write_h5ad(tmp_path / "c.h5ad")
    (tmp_path / "c.h5ad").replace(files[1])
    with pytest.raises(ValueError, match="not the cells of the h5ad in the same order"):
        run(pandas_snippet(study, path, file=1))


def test_files_of_different_cells(tmp_path: Path, open_files: Opener) -> None:
    files = [write_study(tmp_path / f"{name}.h5ad", cells=[f"{name}1", f"{name}2"]) for name in ("a", "b")]
    study, path = open_files(*files), tmp_path / "out.csv"
    export_csv(path, study, [annotation("sample", ["p", "q", "r", "s"], [0, 1, 2, 3])])
    adata = run(pandas_snippet(study, path, file=1))["adata"]
    # pandas numbers the second of two columns of one name.
    assert adata.obs["sample.1"].tolist() == ["r", "s"]
