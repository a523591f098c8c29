"""Tell studies and files apart by their content, wherever they are kept."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path


def content_fingerprint(cells: Iterable[tuple[int, Iterable[list[bytes]]]]) -> str:
    """Hash the ordered cells of a study: equal for the same cells, whatever the files are called.

    Parameters
    ----------
    cells
        For each file its number of cells and its cell ids in blocks, in order.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> content_fingerprint([(2, [[b"AAC-1", b"AAG-1"]])]) == content_fingerprint([(2, [[b"AAC-1"], [b"AAG-1"]])])
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    for n_cells, blocks in cells:
        digest.update(f"{n_cells}\n".encode())
        for block in blocks:
            digest.update(b"\n".join(block) + b"\n")
    return digest.hexdigest()


def file_sha256(path: Path, is_cancelled: Callable[[], bool] = lambda: False) -> str | None:
    """Hash a file, so that it can be shown to be unchanged.

    Parameters
    ----------
    path
        The file.
    is_cancelled
        Asked between blocks of 4 MB; when it says yes the hash is given up.

    Returns
    -------
    str or None
        64 hexadecimal digits, None when cancelled.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(4 << 20):
            if is_cancelled():
                return None
            digest.update(block)
    return digest.hexdigest()
