"""Names of genes by a column of their table: which columns there are, and which is taken unless somebody says otherwise."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.study.dataset import Dataset, open_dataset
from iscan_dash.errors import UnknownColumn
from tests.studies import some_counts, write_study

Open = Callable[..., Dataset]

ENSEMBL = tuple(f"ENSG0000000000{number}" for number in range(4))
SYMBOLS = ["CD3D", "", "LYZ", "LYZ"]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Write a study with columns of genes, and open it."""
    kept: list[Dataset] = []

    def open_(genes: Any = ENSEMBL, **parts: Any) -> Dataset:
        kept.append(open_dataset(write_study(tmp_path / f"{len(kept)}.h5ad", genes=list(genes), **parts)))
        return kept[-1]

    yield open_
    for dataset in kept:
        dataset.close()


@pytest.mark.parametrize(
    "symbols",
    [
        np.array(SYMBOLS, object),
        pd.Categorical([name or None for name in SYMBOLS]),
        pd.array([name or None for name in SYMBOLS], dtype="string"),
    ],
    ids=["text", "category", "string"],
)
def test_names_of_a_column(opened: Open, symbols: Any) -> None:
    genes = opened(var={"feature_name": symbols}).genes()
    assert genes.automatic == "feature_name"
    # What is chosen is taken as it is; what is found keeps the ids of genes without a symbol.
    assert genes.names("feature_name") == tuple(SYMBOLS)
    assert genes.names() == ("CD3D", ENSEMBL[1], "LYZ", "LYZ")
    assert genes.names("_index") == ENSEMBL


def test_columns_that_may_hold_names(opened: Open) -> None:
    columns = {
        "symbol": np.array(["", "B", "C", "D"], object),
        "chromosome": pd.Categorical(["1", "1", "2", "2"]),
        "empty": np.array(["", "", "", ""], object),
        "length": [1, 2, 3, 4],
        "kept": [True, False, True, False],
    }
    genes = opened(var=columns).genes()
    assert genes.columns == {"_index": ENSEMBL[0], "symbol": "B"}
    assert [genes.has(name) for name in (None, "_index", "symbol", "length", "none")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("column", ["none", "length", ""])
def test_a_column_without_names_is_refused(opened: Open, column: str) -> None:
    dataset = opened(var={"length": [1, 2, 3, 4], "symbol": ["A", "B", "C", "D"]})
    with pytest.raises(UnknownColumn) as refused:
        dataset.gene_names("X", column)
    assert str(refused.value) == (
        f'The genes of 0.h5ad have no column of names "{column}". There are: symbol. Without one, their index is used.'
    )


def test_raw_has_a_table_of_its_own(opened: Open) -> None:
    counts = some_counts(4, 5)
    raw = ad.AnnData(counts, var=pd.DataFrame({"symbol": list("ABCDE")}, index=[f"g{place}" for place in range(5)]))
    dataset = opened(genes=[f"g{place}" for place in range(3)], x=counts[:, :3], raw=raw)
    assert dataset.gene_names("raw/X", "symbol") == ("A", "B", "C", "D", "E")
    assert dataset.genes("layers/x").columns == {"_index": "g0"}
    with pytest.raises(UnknownColumn, match=r"^The genes of 0\.h5ad"):
        dataset.gene_names("X", "symbol")
