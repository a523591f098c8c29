"""Which cells change their label, from what to what, as runs of neighbouring cells."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAGIC = b"runs1"


@dataclass(frozen=True, eq=False)
class CodesDelta:
    """A change of label ids, run by run; runs are in order and do not overlap.

    Parameters
    ----------
    starts
        First row of each run, shape (n_runs,), int64.
    lengths
        Rows of each run, shape (n_runs,), int64.
    old, new
        Label id of all the run's cells before and after, shape (n_runs,), int32.

    Examples
    --------
    >>> delta = CodesDelta.between(np.array([0, 0, 0, 1]), np.array([0, 2, 2, 1]))
    >>> delta.n_cells, delta.inverse().apply(delta.apply(np.array([0, 0, 0, 1]))).tolist()
    (2, [0, 0, 0, 1])
    """

    starts: np.ndarray
    lengths: np.ndarray
    old: np.ndarray
    new: np.ndarray

    @classmethod
    def between(cls, before: np.ndarray, after: np.ndarray) -> "CodesDelta":
        """Find the difference of two arrays of label ids of the same shape (n_cells,)."""
        rows = np.flatnonzero(before != after)
        old, new = before[rows], after[rows]
        breaks = np.ones(len(rows), bool)
        breaks[1:] = (np.diff(rows) != 1) | (old[1:] != old[:-1]) | (new[1:] != new[:-1])
        first = np.flatnonzero(breaks)
        lengths = np.diff(np.append(first, len(rows)))
        return cls(rows[first].astype(np.int64), lengths, old[first].astype(np.int32), new[first].astype(np.int32))

    @property
    def n_cells(self) -> int:
        """Number of cells that change."""
        return int(self.lengths.sum())

    def inverse(self) -> "CodesDelta":
        """Return the change back."""
        return CodesDelta(self.starts, self.lengths, self.new, self.old)

    def apply(self, codes: np.ndarray) -> np.ndarray:
        """Return a changed copy of `codes`, shape (n_cells,).

        Raises
        ------
        ValueError
            The cells do not carry the label ids that this change starts from.
        """
        within = np.arange(self.n_cells) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        rows = np.repeat(self.starts, self.lengths) + within
        if len(rows) and (rows[-1] >= len(codes) or not np.array_equal(codes[rows], np.repeat(self.old, self.lengths))):
            raise ValueError("the cells do not carry the labels this change starts from")
        changed = codes.copy()
        changed[rows] = np.repeat(self.new, self.lengths)
        return changed

    def to_bytes(self) -> bytes:
        """Pack the runs, compressed; `from_bytes` reads them back."""
        gaps = np.diff(self.starts, prepend=0)
        parts = [_pack(array) for array in (gaps, self.lengths, self.old, self.new)]
        return _MAGIC + zlib.compress(b"".join(parts), 1)

    @classmethod
    def from_bytes(cls, packed: bytes) -> "CodesDelta":
        """Read what `to_bytes` packed.

        Raises
        ------
        ValueError
            The bytes are not such a pack, or are damaged.
        """
        if not packed.startswith(_MAGIC):
            raise ValueError("not a packed change of labels")
        try:
            content = zlib.decompress(packed[len(_MAGIC) :])
        except zlib.error as error:
            raise ValueError(f"a packed change of labels is damaged: {error}") from error
        arrays, place = [], 0
        for _ in range(4):
            array, place = _unpack(content, place)
            arrays.append(array)
        if place != len(content) or len({len(array) for array in arrays}) > 1:
            raise ValueError("a packed change of labels does not fit together")
        gaps, lengths, old, new = arrays
        return cls(
            np.cumsum(gaps, dtype=np.int64), lengths.astype(np.int64), old.astype(np.int32), new.astype(np.int32)
        )


def _pack(values: np.ndarray) -> bytes:
    """Write non-negative integers in the smallest type that holds them: its size, how many, the values."""
    largest = int(values.max(initial=0))
    dtype: np.dtype[Any] = np.min_scalar_type(largest).newbyteorder("<")
    return bytes([dtype.itemsize]) + len(values).to_bytes(8, "little") + values.astype(dtype).tobytes()


def _unpack(content: bytes, place: int) -> tuple[np.ndarray, int]:
    size, length = int.from_bytes(content[place : place + 1]), int.from_bytes(content[place + 1 : place + 9], "little")
    end = place + 9 + size * length
    if size not in (1, 2, 4, 8) or end > len(content):
        raise ValueError("a packed change of labels is cut short")
    return np.frombuffer(content[place + 9 : end], np.dtype(f"<u{size}")), end
