"""Where the peers' scores are kept, and what was scored."""

import csv
import gzip
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.engine.query import Query
from iscan_dash.core.enrichment.sets import MatchedSet
from tests.core.singler.golden import GOLDEN

FOLDER = GOLDEN / "enrichment"
needs_golden = pytest.mark.skipif(not FOLDER.is_dir(), reason="the results of the peers are not here")


def rows(name: str) -> list[dict[str, str]]:
    """Rows of a table."""
    path = FOLDER / name
    with gzip.open(path, "rt") if path.suffix == ".gz" else Path(path).open() as file:
        return list(csv.DictReader(file))


def columns(name: str) -> dict[str, np.ndarray]:
    """Columns of numbers of a table, without the one that names the cells."""
    table = rows(name)
    return {key: np.array([float(row[key]) for row in table]) for key in list(table[0])[1:]}


@cache
def pbmc() -> Query:
    """The cells that were scored."""
    matrix = sparse.csr_array(sparse.load_npz(FOLDER / "pbmc_X.npz"))
    return Query.of([row["gene"] for row in rows("pbmc_genes.csv")], matrix)


@cache
def pbmc_sets() -> tuple[MatchedSet, ...]:
    """The sets, matched by exact names."""
    lines = [line.rstrip("\n").split("\t") for line in (FOLDER / "sets.gmt").open()]
    return tuple(MatchedSet.of(name, genes, pbmc().genes) for name, _, *genes in lines)


def groups(column: str) -> tuple[np.ndarray, list[str]]:
    """Codes and names of the groups of a column."""
    labels = [row[column] for row in rows("pbmc_obs.csv")]
    names = sorted(set(labels))
    return np.array([names.index(label) for label in labels]), names
