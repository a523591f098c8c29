"""The lines of Python that put an exported CSV back beside its data, for people who go on in a notebook."""

from pathlib import Path

import numpy as np

from iscan_dash.core.formulas import MARK
from iscan_dash.core.study import Study

_READ = """\
{re}import anndata
import pandas as pd

adata = anndata.read_h5ad({h5ad!r})

# Everything is text: "NA" and "007" are labels. Lines with "#" are comments only before the header.
with open({csv!r}, encoding="utf-8", newline="") as file:
    start = 0
    while file.readline().startswith("#"):
        start = file.tell()
    file.seek(start)
    labels = pd.read_csv(file, dtype=str, keep_default_na=False)
{unmark}{part}
cells = {cells}
"""

_UNMARK = f"""
# One ' was put before each text that a spreadsheet takes for a formula.
mark = re.compile({MARK!r})
labels.columns = [mark.sub("", name) for name in labels.columns]
for name in labels.columns:
    labels[name] = [mark.sub("", text) for text in labels[name]]
"""

_BY_ID = """\
labels = labels.set_index("index")
unknown = cells[~cells.isin(labels.index)]
if len(unknown) or not labels.index.is_unique:
    raise ValueError(f"{len(unknown)} cells have no row in the CSV, or it names cells twice.")
labels = labels.loc[cells]
"""

_BY_ROW = """\
# Some cells share their ids, so they are told apart by their order.
if list(cells) != list(labels["index"]):
    raise ValueError("The rows of the CSV are not the cells of the h5ad in the same order.")
labels = labels.set_index("index")
"""

_ASSIGN = """
for name in labels.columns{columns}:
    adata.obs[name] = pd.Categorical(labels[name])
"""


def pandas_snippet(study: Study, csv: str | Path, *, file: int = 0, for_cellxgene: bool = False) -> str:
    """Return Python code that reads an exported CSV, checks its cells and adds its columns to ``adata.obs``.

    Parameters
    ----------
    study
        The study.
    csv
        Path of the exported CSV.
    file
        Which file of the study the code reads, from 0.
    for_cellxgene
        Whether the CSV was made for cellxgene, without samples.
    """
    dataset = study.datasets[file]
    start, end = study.offsets[file : file + 2].tolist()
    is_unique = len(np.unique(study.cell_ids)) == study.n_cells
    part = f"labels = labels.iloc[{start}:{end}]  # the other rows are of other files\n"
    cells = f"adata.obs[{study.obs_names!r}].astype(str)" if study.obs_names else "adata.obs_names"
    read = _READ.format(
        h5ad=str(dataset.path),
        csv=str(csv),
        cells=cells,
        re="" if for_cellxgene else "import re\n\n",
        unmark="" if for_cellxgene else _UNMARK,
        part=part if len(study.datasets) > 1 and not is_unique else "",
    )
    return read + (_BY_ID if is_unique else _BY_ROW) + _ASSIGN.format(columns="" if for_cellxgene else "[1:]")
