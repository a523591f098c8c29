"""What a damaged or deceitful file says, in sentences rather than in the errors of HDF5."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from iscan_dash.errors import DataError, IscanError

MOST_PACKED = 100
"""So many times its size a file may say to hold, before we look whether that was ever written."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Say that a part of a file cannot be read, whatever HDF5 and AnnData object to.

    Parameters
    ----------
    what
        The part and the file, as a sentence begins.

    Examples
    --------
    >>> with reading('Column "age" of a.h5ad'):
    ...     raise OSError("bad heap index")
    Traceback (most recent call last):
    ...
    iscan_dash.errors.DataError: Column "age" of a.h5ad cannot be read: bad heap index. Write or copy the file again.
    """
    try:
        yield
    except IscanError:
        raise
    except MemoryError as error:
        raise DataError(f"{what} needs more memory than there is. See whether the file is damaged.") from error
    except Exception as error:
        raise DataError(f"{what} cannot be read: {first_line(error)}. Write or copy the file again.") from error


def first_line(error: Exception) -> str:
    """Return what an error says, as a part of a sentence."""
    # A KeyError shows its message in quotes.
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def refuse_harm(file: h5py.File) -> None:
    """Look through a file, without reading its values, for what would do harm when it is read.

    Raises
    ------
    DataError
        A link leads to another file, or an array takes its values from one: whoever wrote the file would choose what
        of this machine is shown. Or an array says to hold a great many values of which most were never written: they
        would fill the memory, or keep the server busy for good.
    """

    def look(path: bytes, link: Any) -> str | None:
        name = path.decode("utf-8", "replace")
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            target = file.get(path, getlink=True).filename
            return (
                f'{file.filename} is not whole: "{name}" leads to another file ({target}). '
                "Write what is there into it with anndata, then open it again."
            )
        if link.type != h5py.h5l.TYPE_HARD:
            return None
        try:
            element = h5py.h5o.open(file.id, path)
        except (KeyError, OSError, RuntimeError):
            return None  # Whoever needs it is told that it cannot be read.
        return _harm_of(file, name, element) if isinstance(element, h5py.h5d.DatasetID) else None

    # It ends with what is returned first; errors are lost on their way through HDF5.
    if (problem := file.id.links.visit(look, info=True)) is not None:
        raise DataError(problem)


def _harm_of(file: h5py.File, name: str, array: h5py.h5d.DatasetID) -> str | None:
    storage = array.get_create_plist()
    if storage.get_layout() == h5py.h5d.VIRTUAL or storage.get_external_count():
        return (
            f'{file.filename} is not whole: "{name}" takes its values from other files. '
            "Write them into it with anndata, then open it again."
        )
    size = math.prod(array.shape or ())
    n_bytes = size * array.get_type().get_size()
    if n_bytes <= MOST_PACKED * file.id.get_filesize():
        return None
    if storage.get_layout() == h5py.h5d.CHUNKED:
        is_there = array.get_num_chunks() * math.prod(storage.get_chunk()) >= size
    else:
        is_there = array.get_storage_size() >= n_bytes
    if is_there:
        return None
    return (
        f'{file.filename} is damaged: "{name}" says that it has {size:,} values, but most were never written. '
        "Write the file again."
    )


class CheckedArray:
    """An array of a matrix on disk, whose values are looked at as they are read.

    Parameters
    ----------
    array
        The array.
    what
        It and its file, as a sentence begins.
    end
        What its values have to be below, from 0 on; None when they may be anything.
    ascend
        Whether they may not become smaller.
    n_used
        How many of the values of a list count, from the first on; all when None.
    """

    def __init__(
        self,
        array: h5py.Dataset,
        what: str,
        end: int | None = None,
        *,
        ascend: bool = False,
        n_used: int | None = None,
    ) -> None:
        self._array = array
        self._what = what
        self._end = end
        self._ascend = ascend
        self.file = array.file
        self.shape: tuple[int, ...] = array.shape if n_used is None else (n_used,)
        self.dtype: np.dtype = array.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: Any) -> np.ndarray:
        """Read values.

        Raises
        ------
        DataError
            They cannot be read, or are not what they have to be.
        """
        if isinstance(place, slice):
            place = slice(*place.indices(self.shape[0]))
        with reading(self._what):
            values: np.ndarray = self._array[place]
        if self._end is not None and values.size:
            # As a number without a sign, one below 0 is very large.
            if values.view(values.dtype.str.replace("i", "u")).max() >= self._end:
                raise DataError(f"{self._what} is damaged: it names what is not there. Write or copy the file again.")
            if self._ascend and np.any(values[1:] < values[:-1]):
                raise DataError(f"{self._what} is damaged: it is not in order. Write or copy the file again.")
        return values


class CheckedSparse:
    """The arrays of a sparse matrix on disk, by their names; see `CheckedArray`.

    Parameters
    ----------
    group
        The matrix.
    what
        It and its file, as a sentence begins.
    n_minor
        How many genes (CSR) or cells (CSC) its indices may name.
    """

    def __init__(self, group: h5py.Group, what: str, n_minor: int) -> None:
        self.file = group.file
        data, indices, pointers = (group[name] for name in ("data", "indices", "indptr"))
        with reading(what):
            first, stored = int(pointers[0]), int(pointers[-1])
        if first != 0 or not 0 <= stored <= len(data):
            raise DataError(f"{what} is damaged: its values are not where it says. Write the file again.")
        # There may be room for more values than there are.
        self._parts = {
            "data": CheckedArray(data, f"{what} (data)", n_used=stored),
            "indices": CheckedArray(indices, f"{what} (indices)", n_minor, n_used=stored),
            "indptr": CheckedArray(pointers, f"{what} (indptr)", stored + 1, ascend=True),
        }

    def __getitem__(self, name: str) -> CheckedArray:
        return self._parts[name]
