"""Compare an HDF5 file with a copy to which something was added, object by object, in little memory."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from iscan_dash.errors import StorageError

BLOCK = 16 * 2**20
"""Bytes of values that are held at once, of each file."""

TEXT_BYTES = 256
"""What a text of any length is taken to need."""


@dataclass(frozen=True)
class Compared:
    """What was found to be the same.

    Parameters
    ----------
    n_objects
        Groups, arrays and named types; the file itself is not one.
    n_attributes
        Their attributes.
    n_bytes
        Bytes of the arrays, as they are in memory.
    """

    n_objects: int
    n_attributes: int
    n_bytes: int


def compare_files(
    original: h5py.File,
    copy: h5py.File,
    *,
    added: Collection[str] = (),
    rewritten: Collection[tuple[str, str]] = (),
    block: int = BLOCK,
    step: Callable[[int], None] = lambda _: None,
) -> Compared:
    """Compare every object of a file with that of the same name in a copy: kind, type, shape, storage and values.

    Soft and external links are compared as links; an object with several names is compared once.

    Parameters
    ----------
    original, copy
        The open files.
    added
        Paths of the objects, with all that is in them, that only the copy has.
    rewritten
        Attributes that may differ, as (path of the object, name).
    block
        Bytes of values that are held at once, of each file.
    step
        Called with the number of bytes on disk that were compared since the last call.

    Raises
    ------
    StorageError
        Something differs, or cannot be read. The message names the object.
    """
    return _Comparison(original, copy, set(added), set(rewritten), block, step).run()


class _Comparison:
    def __init__(
        self,
        original: h5py.File,
        copy: h5py.File,
        added: set[str],
        rewritten: set[tuple[str, str]],
        block: int,
        step: Callable[[int], None],
    ) -> None:
        self._files = original, copy
        self._added = added
        self._rewritten = rewritten
        self._block = block
        self._step = step
        self._counts = [0, 0, 0]
        # Where each object of the original is in the copy, so that a second name must lead to the same place.
        self._seen: dict[int, int] = {}

    def run(self) -> Compared:
        original, copy = self._files
        waiting = [("/", original["/"], copy["/"])]
        self._seen[_address(original["/"])] = _address(copy["/"])
        while waiting:
            path, ours, theirs = waiting.pop()
            try:
                self._compare(path, ours, theirs)
                if isinstance(ours, h5py.Group):
                    waiting += self._members(path, ours, theirs)
            except (OSError, TypeError, ValueError, KeyError, RuntimeError) as error:
                raise StorageError(f"The copy was given up: {path} cannot be read to be compared ({error}).") from error
        n_objects, n_attributes, n_bytes = self._counts
        return Compared(n_objects - 1, n_attributes, n_bytes)

    def _members(
        self, path: str, ours: h5py.Group, theirs: h5py.Group
    ) -> Iterator[tuple[str, h5py.HLObject, h5py.HLObject]]:
        names = list(ours)
        wanted = {*names, *(name for name in theirs if _join(path, name) in self._added)}
        _require(wanted == set(theirs), path, "holds other objects")
        for name in names:
            inner = _join(path, name)
            link, other = ours.get(name, getlink=True), theirs.get(name, getlink=True)
            _require(type(link) is type(other), inner, "is another kind of link")
            if not isinstance(link, h5py.HardLink):
                _require(_target(link) == _target(other), inner, "links to something else")
                continue
            one, two = ours[name], theirs[name]
            address = _address(one)
            if address in self._seen:
                _require(self._seen[address] == _address(two), inner, "is another object")
                continue
            self._seen[address] = _address(two)
            yield inner, one, two

    def _compare(self, path: str, ours: h5py.HLObject, theirs: h5py.HLObject) -> None:
        _require(type(ours) is type(theirs), path, "is of another kind")
        self._counts[0] += 1
        self._compare_attributes(path, ours, theirs)
        if isinstance(ours, h5py.Datatype):
            _require(ours.id.equal(theirs.id), path, "is another type")
        elif isinstance(ours, h5py.Dataset):
            self._compare_arrays(path, ours, theirs)

    def _compare_attributes(self, path: str, ours: h5py.HLObject, theirs: h5py.HLObject) -> None:
        rewritten = {name for owner, name in self._rewritten if owner == path}
        _require(set(ours.attrs) | rewritten == set(theirs.attrs) | rewritten, path, "has other attributes")
        for name in set(ours.attrs) - rewritten:
            one, two = ours.attrs.get_id(name), theirs.attrs.get_id(name)
            is_same_type = one.get_type().equal(two.get_type()) and one.shape == two.shape
            is_same = is_same_type and _is_same(_array(ours.attrs[name]), _array(theirs.attrs[name]), self._files)
            _require(is_same, path, f'has another attribute "{name}"')
            self._counts[1] += 1

    def _compare_arrays(self, path: str, ours: h5py.Dataset, theirs: h5py.Dataset) -> None:
        _require(ours.id.get_type().equal(theirs.id.get_type()), path, "has values of another type")
        _require((ours.shape, ours.maxshape) == (theirs.shape, theirs.maxshape), path, "has another shape")
        _require(ours.id.get_create_plist().equal(theirs.id.get_create_plist()), path, "is stored in another way")
        stored, told = ours.id.get_storage_size(), 0
        if ours.shape is None:
            return
        # A text or a list of any length is a pointer here.
        width = TEXT_BYTES if ours.dtype.hasobject else ours.dtype.itemsize
        for place in blocks(ours.shape, max(1, self._block // width), ours.chunks):
            one, two = _array(ours[place]), _array(theirs[place])
            _require(_is_same(one, two, self._files), path, "has other values")
            self._counts[2] += one.nbytes
            part = int(stored * one.size / max(ours.size, 1))
            self._step(part)
            told += part
        self._step(max(stored - told, 0))


def blocks(shape: tuple[int, ...], n_values: int, chunks: tuple[int, ...] | None = None) -> Iterator[tuple[slice, ...]]:
    """Cut an array into blocks of at most `n_values` values, along whole chunks where they are smaller.

    Examples
    --------
    >>> list(blocks((3,), 2))
    [(slice(0, 2, None),), (slice(2, 3, None),)]
    >>> list(blocks((1, 3), 2))
    [(slice(0, 1, None), slice(0, 2, None)), (slice(0, 1, None), slice(2, 3, None))]
    """
    if not shape:
        yield ()
        return
    n_row = math.prod(shape[1:])
    if n_row > n_values:
        for row in range(shape[0]):
            for rest in blocks(shape[1:], n_values, chunks[1:] if chunks else None):
                yield slice(row, row + 1), *rest
        return
    n_rows = max(1, n_values // max(n_row, 1))
    if chunks and n_rows > chunks[0]:
        n_rows -= n_rows % chunks[0]
    for start in range(0, shape[0], n_rows):
        yield slice(start, min(start + n_rows, shape[0])), *(slice(0, n) for n in shape[1:])


def _array(value: Any) -> np.ndarray:
    """Return what HDF5 gave as an array, single values too; those without a value (`h5py.Empty`) as an empty one."""
    if isinstance(value, h5py.Empty):
        return np.empty(0, value.dtype)
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    array = np.empty((), object)
    array[()] = value
    return array


def _is_same(ours: np.ndarray, theirs: np.ndarray, files: tuple[h5py.File, h5py.File]) -> bool:
    """Compare values bit by bit, so that NaN equals NaN and 0 does not equal -0."""
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    if ours.dtype.names:
        return all(_is_same(ours[name], theirs[name], files) for name in ours.dtype.names)
    if not ours.dtype.hasobject:
        return ours.tobytes() == theirs.tobytes()
    return all(_is_same_item(*pair, files) for pair in zip(ours.ravel().tolist(), theirs.ravel().tolist(), strict=True))


def _is_same_item(one: Any, two: Any, files: tuple[h5py.File, h5py.File]) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, h5py.Reference | h5py.RegionReference):
        # A reference holds a place in the file; what counts is the object there.
        names = [file[reference].name if reference else None for file, reference in zip(files, (one, two), strict=True)]
        return names[0] == names[1]
    if isinstance(one, np.ndarray):
        return _is_same(one, two, files)
    return bool(one == two)


def _address(item: h5py.HLObject) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _join(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"


def _target(link: h5py.SoftLink | h5py.ExternalLink) -> tuple[str, str]:
    return getattr(link, "filename", ""), link.path


def _require(is_so: bool, path: str, problem: str) -> None:
    if not is_so:
        raise StorageError(f"The copy was given up: {path} {problem} than in the original. Try again.")
