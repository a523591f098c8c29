"""Read elements of an ``.h5ad`` file: texts and categories here, everything else with AnnData's own readers.

AnnData takes half a second to import, which the first page, that names categories at most, is not to wait for.
"""

from typing import Any

import h5py
import numpy as np

from iscan_dash.core.study.columns import value_text


def read_element(group: h5py.Group, key: str) -> Any:
    """Read one element of an ``.h5ad`` file into memory, whatever its encoding.

    Parameters
    ----------
    group
        The open group that holds the element.
    key
        Its name.

    Returns
    -------
    Any
        What AnnData makes of it: ``numpy.ndarray``, ``pandas.Categorical``, a nullable pandas array, ... A category is
        never said to be ordered: its levels come in the order of the file all the same.
    """
    element = group[key]
    if encoding(element) != "categorical":
        return _read(element)
    import pandas as pd

    codes = element if _is_old_category(element) else element["codes"]
    return pd.Categorical.from_codes(codes[()], read_levels(group, key))


def read_levels(group: h5py.Group, key: str) -> Any:
    """Read the levels of a category, in the file's order."""
    element = group[key]
    return _read(group[element.attrs["categories"]] if _is_old_category(element) else element["categories"])


def _read(element: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(element, h5py.Dataset) and element.ndim == 1 and h5py.check_string_dtype(element.dtype):
        return element.asstr()[()]
    from anndata.io import read_elem

    return read_elem(element)


def read_texts(table: h5py.Group, column: str) -> list[str]:
    """Read a column as text, ``""`` where it is missing."""
    return [value_text(value) or "" for value in np.asarray(read_element(table, column))]


def encoding(element: h5py.Group | h5py.Dataset) -> str:
    """Return the element's AnnData encoding, ``""`` when it has none (plain arrays of AnnData 0.7)."""
    if _is_old_category(element):
        return "categorical"
    value = element.attrs.get("encoding-type", "")
    return value.decode() if isinstance(value, bytes) else str(value)


def n_values(element: h5py.Group | h5py.Dataset) -> int:
    """Return how many values a column holds, without reading them."""
    if isinstance(element, h5py.Group):
        element = element["codes" if "codes" in element else "values"]
    return int(element.shape[0])


def _is_old_category(element: h5py.Group | h5py.Dataset) -> bool:
    """Tell whether these are the codes of a category as AnnData 0.7 wrote it, with the levels kept elsewhere."""
    return isinstance(element, h5py.Dataset) and isinstance(element.attrs.get("categories"), h5py.Reference)
