"""Generated studies: deterministic `.h5ad` files of any size, made once and kept in the user's cache.

    python -m benchmarks.studies 100k 1m

The cells are drawn as a sequencer draws them: every cluster has a profile of genes, a cell takes so many molecules from
the profile of its cluster, and a value is ``log1p(molecules / all molecules of the cell * 10,000)``. The matrix is CSR,
float32, 32-bit indices, *not compressed*: what `AnnData.write_h5ad(path)` writes when it is asked nothing else, and the
fastest kind to load for a program that reads all of it. Files are written block by block, so making one of any size
takes little memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import platformdirs
from anndata.io import write_elem
from filelock import FileLock

RECIPE_VERSION = 1
"""Part of every file's name: raise it whenever a change below would give other bytes."""

TARGET_SUM = 1e4
BLOCK_CELLS = 20_000
CHUNK = 1 << 15
"""Elements in one HDF5 chunk of the matrix: 128 kB, near to what h5py chooses by itself for such arrays."""

CLUSTERS = 30
COARSE_CLUSTERS = 12
SAMPLES = 4
DONORS = 16
MITOCHONDRIAL = 13
MISSING_CELL_TYPES = 0.06
CELL_TYPES = (
    "B naive",
    "B memory",
    "Plasma",
    "CD4 T naive",
    "CD4 T memory",
    "Treg",
    "CD8 T naive",
    "CD8 T effector",
    "MAIT",
    "gdT",
    "NK CD56bright",
    "NK CD56dim",
    "Monocyte CD14",
    "Monocyte CD16",
    "cDC1",
    "cDC2",
    "pDC",
    "Platelet",
)

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """What decides the bytes of a generated study.

    Parameters
    ----------
    name
        Short name, as on the command line.
    cells, genes
        Shape of the matrix.
    molecules
        Median number of molecules of a cell; with `genes` it decides how dense the matrix is.
    seed
        Start of all random numbers.
    """

    name: str
    cells: int
    genes: int
    molecules: int
    seed: int = 20

    @property
    def path(self) -> Path:
        """Where the study is kept."""
        return cache_dir() / f"study-{self.name}-v{RECIPE_VERSION}.h5ad"


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("100k", cells=100_000, genes=2_000, molecules=260),
        Recipe("1m", cells=1_000_000, genes=2_000, molecules=100),
        Recipe("1m-30k", cells=1_000_000, genes=30_000, molecules=215),
        Recipe("5m", cells=5_000_000, genes=2_000, molecules=40),
    )
}


def cache_dir() -> Path:
    """Return the folder of everything the benchmarks make and keep, made when it is missing."""
    folder = Path(platformdirs.user_cache_dir("iscan-dash")) / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def study(name: str) -> Path:
    """Return the path of a generated study, making the file first when it is not there.

    Parameters
    ----------
    name
        One of `RECIPES`.
    """
    recipe = RECIPES[name]
    with FileLock(f"{recipe.path}.lock"):
        if not recipe.path.exists():
            click.echo(f"Making {recipe.path.name}: {recipe.cells:,} x {recipe.genes:,} ...", err=True)
            partial = recipe.path.with_suffix(".partial")
            write(recipe, partial)
            partial.replace(recipe.path)
    return recipe.path


@dataclass(frozen=True)
class Truth:
    """What any program that opened a study must agree with."""

    cells: int
    genes: int
    labels: dict[str, int]


def truth(path: Path, column: str = "leiden") -> Truth:
    """Read the shape and the counts of one column straight from the file.

    Parameters
    ----------
    path
        A study.
    column
        A categorical obs column without missing values.
    """
    with h5py.File(path, "r") as file:
        cells, genes = (int(n) for n in file["X"].attrs["shape"])
        codes = file[f"obs/{column}/codes"][:]
        names = file[f"obs/{column}/categories"].asstr()[:]
    counts = np.bincount(codes, minlength=len(names))
    return Truth(cells, genes, {str(k): int(n) for k, n in zip(names, counts, strict=True)})


def barcodes(start: int, stop: int) -> npt.NDArray[np.bytes_]:
    """Return the ids of the cells `start` to `stop`, like ``b"ACGTACGTACGTACGT-1"``.

    A cell's number goes through a bijection of the 32-bit integers (the finaliser of MurmurHash3) and is spelt in base
    4, so that ids look random and are never equal.

    Examples
    --------
    >>> barcodes(1, 3)
    array([b'CCACCATGAGGAGTCT-1', b'ATAATTCATAATAACG-1'], dtype='|S18')
    """
    h = np.arange(start, stop, dtype=np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    places = np.arange(30, -1, -2, dtype=np.uint32)
    text = np.empty((h.size, 18), dtype=np.uint8)
    text[:, :16] = letters[(h[:, None] >> places) & np.uint32(3)]
    text[:, 16:] = np.frombuffer(b"-1", dtype=np.uint8)
    return text.view("S18").ravel()


def gene_names(genes: int) -> list[str]:
    """Return `genes` names, the first ones mitochondrial."""
    return [f"MT-{k + 1}" if k < MITOCHONDRIAL else f"GENE{k + 1:05d}" for k in range(genes)]


@dataclass
class Block:
    """Some neighbouring cells: matrix rows (CSR parts), columns and coordinates."""

    values: FloatArray
    indices: npt.NDArray[np.int32]
    row_lengths: IntArray
    columns: dict[str, npt.NDArray[Any]]
    umap: FloatArray


class Generator:
    """The random study that a recipe describes, block by block.

    Every block has its own random numbers, seeded by the recipe and the block's place, so a block never depends on
    those before it.

    Parameters
    ----------
    recipe
        What to draw.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        rng = np.random.default_rng([recipe.seed, 0])
        share = (np.arange(CLUSTERS) + 3.0) ** -0.8
        self.share = share / share.sum()
        self.coarse = np.sort(np.arange(CLUSTERS) % COARSE_CLUSTERS)
        self.cell_type = rng.permutation(np.arange(CLUSTERS) % len(CELL_TYPES))
        self.mitochondrial = rng.uniform(0.02, 0.09, CLUSTERS)
        self.profiles = self._profiles(rng)
        angle = np.arange(CLUSTERS) * np.pi * (3.0 - np.sqrt(5.0))
        radius = 3.4 * np.sqrt(np.arange(CLUSTERS) + 0.5)
        self.centres = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        turn = rng.uniform(0.0, np.pi, CLUSTERS)
        axes = np.stack([np.cos(turn), np.sin(turn), -np.sin(turn), np.cos(turn)], axis=1).reshape(-1, 2, 2)
        self.spread = axes * rng.uniform(0.6, 1.3, (CLUSTERS, 2, 1))

    def _profiles(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Return the cumulative gene profile of every cluster, clusters x genes."""
        genes = self.recipe.genes
        weight = rng.lognormal(0.0, 1.3, genes) * np.exp(rng.normal(0.0, 0.3, (CLUSTERS, genes)))
        markers = max(10, genes // 60)
        for cluster in range(CLUSTERS):
            weight[cluster, rng.choice(genes, markers, replace=False)] *= rng.uniform(8, 30, markers)
        own = weight[:, MITOCHONDRIAL:]
        own *= ((1.0 - self.mitochondrial) / own.sum(axis=1))[:, None]
        mito = weight[:, :MITOCHONDRIAL]
        mito *= (self.mitochondrial / mito.sum(axis=1))[:, None]
        return np.cumsum(weight, axis=1)

    def blocks(self) -> Iterator[Block]:
        """Yield the cells in file order, `BLOCK_CELLS` at a time."""
        for start in range(0, self.recipe.cells, BLOCK_CELLS):
            yield self._block(start, min(start + BLOCK_CELLS, self.recipe.cells))

    def _block(self, start: int, stop: int) -> Block:
        recipe, cells = self.recipe, stop - start
        rng = np.random.default_rng([recipe.seed, 1, start])
        cluster = rng.choice(CLUSTERS, cells, p=self.share)
        sample = np.arange(start, stop) * SAMPLES // recipe.cells  # files are joined sample by sample
        molecules = np.maximum(20, recipe.molecules * rng.lognormal(0.0, 0.35, cells)).astype(np.int64)

        gene = np.empty(molecules.sum(), dtype=np.int64)
        cell_of = np.repeat(np.arange(cells), molecules)
        draw = rng.random(gene.size)
        for k in range(CLUSTERS):
            mine = cluster[cell_of] == k
            gene[mine] = np.searchsorted(self.profiles[k], draw[mine])
        np.minimum(gene, recipe.genes - 1, out=gene)  # a draw above the last rounded sum
        key, count = np.unique(cell_of * recipe.genes + gene, return_counts=True)
        row, indices = np.divmod(key, recipe.genes)
        row_lengths = np.bincount(row, minlength=cells)
        mito = np.bincount(row, weights=count * (indices < MITOCHONDRIAL), minlength=cells)

        coarse = self.coarse[cluster]
        moved = rng.random(cells) < 0.03
        coarse[moved] = rng.integers(0, COARSE_CLUSTERS, moved.sum())
        cell_type = self.cell_type[cluster]
        cell_type[rng.random(cells) < MISSING_CELL_TYPES] = -1
        normal = rng.normal(0.0, 1.0, (cells, 2))
        return Block(
            values=np.log1p(count / molecules[row] * TARGET_SUM).astype(np.float32),
            indices=indices.astype(np.int32),
            row_lengths=row_lengths,
            columns={
                "sample": sample,
                "donor": sample * (DONORS // SAMPLES) + rng.integers(0, DONORS // SAMPLES, cells),
                "n_counts": molecules.astype(np.float32),
                "n_genes": row_lengths.astype(np.float32),
                "percent_mt": (100.0 * mito / molecules).astype(np.float32),
                "cell_type": cell_type,
                "leiden": cluster,
                "louvain_res.0.4": coarse,
            },
            umap=(self.centres[cluster] + np.einsum("ni,nij->nj", normal, self.spread[cluster])).astype(np.float32),
        )


LEVELS: dict[str, list[str]] = {
    "sample": [f"sample_{k + 1}" for k in range(SAMPLES)],
    "donor": [f"D{k + 1:02d}" for k in range(DONORS)],
    "cell_type": list(CELL_TYPES),
    "leiden": [str(k) for k in range(CLUSTERS)],
    "louvain_res.0.4": [str(k) for k in range(COARSE_CLUSTERS)],
}
"""The categories of every categorical obs column."""


def _encode(group: h5py.Group | h5py.Dataset, kind: str, version: str, **more: Any) -> None:
    """Mark an element as anndata does, so that anndata knows how to read it."""
    group.attrs.update({"encoding-type": kind, "encoding-version": version, **more})


def _categorical(codes: npt.NDArray[Any], levels: list[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes.astype(np.int64), categories=pd.Index(levels))


def write(recipe: Recipe, path: Path) -> None:
    """Write a study, holding one block of cells and the obs columns in memory.

    Parameters
    ----------
    recipe
        What to write.
    path
        Where; an existing file is replaced.
    """
    blocks: dict[str, list[npt.NDArray[Any]]] = {}
    row_lengths: list[IntArray] = []
    with h5py.File(path, "w") as file:
        _encode(file, "anndata", "0.1.0")
        matrix = file.create_group("X")
        _encode(matrix, "csr_matrix", "0.1.0", shape=np.array([recipe.cells, recipe.genes]))
        parts = {
            name: matrix.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,))
            for name, dtype in (("data", "f4"), ("indices", "i4"))
        }
        obs = file.create_group("obs")
        text = h5py.string_dtype()
        ids = obs.create_dataset("_index", (recipe.cells,), text)
        _encode(ids, "string-array", "0.2.0")
        umap = file.create_dataset("obsm/X_umap", (recipe.cells, 2), "f4")
        _encode(umap, "array", "0.2.0")

        start = 0
        for block in Generator(recipe).blocks():
            stop = start + block.row_lengths.size
            for name, part in (("data", block.values), ("indices", block.indices)):
                stored = parts[name]
                stored.resize((stored.shape[0] + part.size,))
                stored[-part.size :] = part
            ids[start:stop] = barcodes(start, stop).astype(object)
            umap[start:stop] = block.umap
            row_lengths.append(block.row_lengths)
            for name, column in block.columns.items():
                blocks.setdefault(name, []).append(column)
            start = stop

        indptr = np.concatenate([[0], np.cumsum(np.concatenate(row_lengths))])
        small = indptr[-1] < np.iinfo(np.int32).max
        matrix.create_dataset("indptr", data=indptr.astype(np.int32 if small else np.int64))
        for name, column_blocks in blocks.items():
            column = np.concatenate(column_blocks)
            levels = LEVELS.get(name)
            write_elem(obs, name, _categorical(column, levels) if levels else column)
        _encode(obs, "dataframe", "0.2.0", _index="_index")
        obs.attrs["column-order"] = np.array(list(blocks), dtype=text)
        write_elem(file, "var", pd.DataFrame(index=pd.Index(gene_names(recipe.genes), name="gene")))
        write_elem(file, "uns", {"benchmark_recipe": f"{recipe.name} v{RECIPE_VERSION}"})
        _encode(file["obsm"], "dict", "0.1.0")
        for name in ("layers", "obsp", "varm", "varp"):
            _encode(file.create_group(name), "dict", "0.1.0")


@click.command()
@click.argument("names", nargs=-1, required=True, type=click.Choice(list(RECIPES)))
def main(names: tuple[str, ...]) -> None:
    """Make the studies NAMES where they are missing and print their paths."""
    for name in names:
        path = study(name)
        with h5py.File(path, "r") as file:
            stored = file["X/data"].shape[0]
        recipe = RECIPES[name]
        density = stored / (recipe.cells * recipe.genes)
        click.echo(
            f"{path}\n  {recipe.cells:,} cells x {recipe.genes:,} genes, {stored:,} values"
            f" ({density:.1%}), {path.stat().st_size / 1e6:,.0f} MB"
        )


if __name__ == "__main__":
    main()
