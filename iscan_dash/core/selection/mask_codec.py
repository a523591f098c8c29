"""Masks of cells as bits, eight cells a byte: an eighth of the memory and of what is sent."""

import numpy as np


def encode(mask: np.ndarray) -> bytes:
    r"""Pack a mask; the first cell is the lowest bit of the first byte.

    Parameters
    ----------
    mask
        shape (n_cells,), bool.

    Examples
    --------
    >>> encode(np.array([True, False, False, True]))
    b'\t'
    """
    return np.packbits(mask, bitorder="little").tobytes()


def decode(packed: bytes, n_cells: int) -> np.ndarray:
    r"""Unpack what `encode` gave.

    Parameters
    ----------
    packed
        The bits.
    n_cells
        Number of cells.

    Returns
    -------
    numpy.ndarray
        shape (n_cells,), bool.

    Raises
    ------
    ValueError
        There are bits for more or for fewer cells.

    Examples
    --------
    >>> decode(b"\t", 4).tolist()
    [True, False, False, True]
    """
    if len(packed) != (n_cells + 7) // 8:
        raise ValueError(f"{len(packed)} bytes hold no mask of {n_cells} cells")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
    if bits[n_cells:].any():
        raise ValueError(f"the mask has cells beyond the {n_cells} of the study")
    return bits[:n_cells].view(bool)
