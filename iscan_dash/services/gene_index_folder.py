"""The folder of gene indices: several servers may share it, and what was used last is kept."""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from iscan_dash.core.study.dataset import Dataset
from iscan_dash.core.study.gene_index import (
    DamagedIndex,
    GeneIndex,
    index_key,
    open_gene_index,
    write_gene_index,
)
from iscan_dash.core.study.matrices import Tell
from iscan_dash.errors import StorageError
from iscan_dash.services.durable import sync

ENDING = ".genes"
PART = ".part"

VALUE_BYTES = 4
"""What a value takes in an index, about; counts take less."""

TURNED_BYTES = 8
"""What a value takes in the temporary file while an index is made."""

SPARE = 1_000_000_000
"""Bytes of the disk that are left to others."""

POLL = 0.5
"""Seconds between looks whether another server has finished."""

log = logging.getLogger(__name__)


class IndexFolder:
    """Opens and makes indices.

    Parameters
    ----------
    folder
        Where; made when it is missing.
    most
        Bytes that all indices take together, about: when one more is made those that were used longest ago go.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self._most = most
        self._lock = FileLock(folder / "lock")

    def open(self, key: str, shape: tuple[int, int]) -> GeneIndex | None:
        """Return an index, None when there is none or it is damaged.

        Raises
        ------
        StorageError
            It cannot be read, which may pass.
        """
        path = self._path(key)
        try:
            index = open_gene_index(path, key, shape)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except DamagedIndex as error:
            log.warning("%s", error)
            return None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error
        with contextlib.suppress(OSError):
            # So that what is used is kept.
            os.utime(path)
        return index

    def clean(self) -> None:
        """Remove what was begun by servers that are gone."""
        if not self.folder.is_dir():
            return
        # Whoever holds the lock is at work, and cleans up.
        with contextlib.suppress(OSError, Timeout), self._lock.acquire(timeout=0):
            self._sweep()

    def make(
        self,
        dataset: Dataset,
        matrix_key: str,
        key: str,
        tell: Tell,
        wait: Callable[[], None],
        *,
        damaged: int | None = None,
    ) -> None:
        """Make the index of a matrix, unless another server has done so meanwhile.

        Parameters
        ----------
        dataset
            The file.
        matrix_key
            Key of the matrix.
        key
            What `index_key` says of it.
        tell
            Is told of the progress.
        wait
            Is called again and again while another server makes an index.
        damaged
            The column of a gene that was damaged in the one that is there; when it still is, that one is made again.

        Raises
        ------
        StorageError
            There is too little disk space, or the folder cannot be written; the message is for the log.
        DataError
            The matrix is damaged, or the file was changed meanwhile.
        """
        matrix = dataset.matrices[matrix_key]
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_turn(wait)
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be written: {error.strerror or error}.") from error
        try:
            self._sweep()
            if not self._has(key, matrix.shape, damaged):
                # Under the lock, so that it is none that another server has just made.
                self._path(key).unlink(missing_ok=True)
                self._refuse_too_large(matrix.stored)
                self._write(dataset, matrix_key, key, tell)
        except OSError as error:
            raise StorageError(
                f"The index could not be written to {self.folder}: {error.strerror or error}. Make space there, or "
                "choose another folder (ISCAN_DATA_DIR)."
            ) from error
        finally:
            self._lock.release()

    def _has(self, key: str, shape: tuple[int, int], damaged: int | None) -> bool:
        index = self.open(key, shape)
        try:
            if index is not None and damaged is not None:
                index.gene(damaged)
        except DamagedIndex:
            return False
        return index is not None

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{ENDING}"

    def _take_turn(self, wait: Callable[[], None]) -> None:
        while True:
            try:
                self._lock.acquire(timeout=POLL)
                return
            except Timeout:
                wait()

    def _sweep(self) -> None:
        for left in self.folder.glob(f"*{PART}"):
            log.info("%s was left by a server that is gone, and is removed.", left)
            left.unlink(missing_ok=True)

    def _refuse_too_large(self, stored: int) -> None:
        size = VALUE_BYTES * stored
        if size > self._most:
            raise StorageError(
                f"The index would take some {size / 1e9:.1f} GB, more than the {self._most / 1e9:.1f} GB that indices "
                "may take (ISCAN_GENE_INDEX_GB)."
            )
        needed, free = size + TURNED_BYTES * stored + SPARE, shutil.disk_usage(self.folder).free
        if needed > free:
            raise StorageError(
                f"Making the index takes up to {needed / 1e9:.1f} GB in {self.folder}, where {free / 1e9:.1f} GB are "
                "free. Make space there, or choose another folder (ISCAN_DATA_DIR)."
            )

    def _write(self, dataset: Dataset, matrix_key: str, key: str, tell: Tell) -> None:
        path = self._path(key)
        part = path.with_suffix(PART)
        try:
            with part.open("wb") as file:
                write_gene_index(dataset.matrices[matrix_key], file, key, tell)
                file.flush()
                os.fsync(file.fileno())
            if not dataset.is_unchanged() or index_key(dataset.matrices[matrix_key], dataset.stamp) != key:
                raise StorageError(f"{dataset.path} was changed while it was read. Restart the server to read it anew.")
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync(self.folder)
        self._make_room(path)

    def _make_room(self, newest: Path) -> None:
        others = [(file.stat().st_mtime_ns, file.stat().st_size, file) for file in self.folder.glob(f"*{ENDING}")]
        total = 0
        for _, size, file in sorted(others, key=lambda other: (other[2] != newest, -other[0])):
            total += size
            if total > self._most and file != newest:
                log.info("%s makes room for a newer index.", file)
                file.unlink(missing_ok=True)
